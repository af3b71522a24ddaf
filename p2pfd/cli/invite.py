"""A task as a command is given it: a task file, or an invitation as a file, an address, standard input or its text."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from p2pfd.cli.task_file import load
from p2pfd.core.manifest import Manifest
from p2pfd.core.shown import one_line
from p2pfd.core.spec import TaskSpec
from p2pfd.core.ticks import SECOND
from p2pfd.errors import NetworkError, PlanError, StorageError
from p2pfd.node.clock import SystemClock
from p2pfd.node.manifest import MAX_TEXT, PREFIX, unseal

_SECONDS = 20
_REDIRECTS = 3
_INSTEAD = "save the invitation to a file and name that, or paste its text"
_WEB = ("https://", "http://")


def invitation(source: str) -> tuple[str, Manifest]:
    """The text that a source holds, and its manifest; the error says what is wrong with it and with which."""
    if source.lstrip().startswith(PREFIX):
        return source, unseal(source)
    text = _text(source)
    if not text.lstrip().startswith(PREFIX):
        raise PlanError(f"{_named(source)} is no invitation", f"its text begins with {PREFIX}")
    try:
        return text, unseal(text)
    except PlanError as error:
        raise PlanError(f"{_named(source)}: {error.what}", error.fix) from error


def task_or_invitation(source: str) -> tuple[TaskSpec, Manifest | None]:
    """The task in a source, and the manifest that it stands in, if it stands in one."""
    path = Path(source)
    if source == "-" or source.startswith((PREFIX, *_WEB)) or (path.is_file() and _begins_one(path)):
        _, manifest = invitation(source)
        return manifest.task, manifest
    return load(path), None


def _begins_one(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(256).lstrip().startswith(PREFIX.encode())


def _text(source: str) -> str:
    try:
        if source == "-":
            raw = sys.stdin.buffer.read(MAX_TEXT + 1)
        elif source.startswith(_WEB):
            raw = _fetched(source)
        else:
            path = Path(source)
            if not path.is_file():
                raise PlanError(f"there is no file {path}", "name an invitation: a file, an address, or its text")
            with path.open("rb") as file:
                raw = file.read(MAX_TEXT + 1)
    except OSError as error:
        raise StorageError(f"cannot read {_named(source)}: {error.strerror}", "see to its permissions") from error
    if len(raw) > MAX_TEXT:
        raise PlanError(f"{_named(source)} has more than {MAX_TEXT} bytes", "that is no invitation")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise PlanError(f"{_named(source)} is not text", "that is no invitation") from error


def _fetched(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"user-agent": "p2pfd"})  # noqa: S310 - the caller checked the scheme
    end, parts, size = SystemClock().now() + _SECONDS * SECOND, [], 0
    try:
        with urllib.request.build_opener(_Redirects).open(request, timeout=_SECONDS) as answer:
            while size <= MAX_TEXT and (part := answer.read1(MAX_TEXT + 1)):
                parts.append(part)
                size += len(part)
                if SystemClock().now() > end:
                    raise TimeoutError(f"it takes longer than {_SECONDS:g} s")
    except (urllib.error.URLError, HTTPException, ValueError, TimeoutError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the answer as well, with its connection
        why = one_line(str(getattr(error, "reason", "") or error))
        raise NetworkError(f"{_named(url)} cannot be had: {why}", _INSTEAD) from error
    return b"".join(parts)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A few of them, and none from where nobody can listen in to where somebody can."""

    max_redirections = _REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The next request; ValueError for one that is not made."""
        to = newurl.lower()
        if not to.startswith("https://" if req.full_url.lower().startswith("https://") else _WEB):
            fp.close()
            raise ValueError(f"it sends on to {one_line(newurl, 120)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _named(source: str) -> str:
    return "standard input" if source == "-" else source if len(source) <= 120 else source[:117] + "..."

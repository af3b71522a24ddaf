"""A task as a command is given it: a task file, or an invitation as a file, an address, standard input or its text."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from p2pfd.cli.task_file import load
from p2pfd.core.manifest import Manifest
from p2pfd.core.spec import TaskSpec
from p2pfd.errors import NetworkError, PlanError, StorageError
from p2pfd.node.manifest import MAX_TEXT, PREFIX, unseal

_SECONDS = 20.0
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
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            raw: bytes = answer.read(MAX_TEXT + 1)
            return raw
    except (urllib.error.URLError, HTTPException, ValueError, TimeoutError) as error:
        why = getattr(error, "reason", error)
        raise NetworkError(f"{url} cannot be had: {why}", "save the invitation to a file, and name that") from error


def _named(source: str) -> str:
    return "standard input" if source == "-" else source if len(source) <= 120 else source[:117] + "..."

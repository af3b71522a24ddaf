"""Where a command gets a passphrase from: a file, the environment, or a person at a terminal; never from its words."""

from __future__ import annotations

import getpass
import os
import select
import stat
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from p2pfd.cli.parse import Parser
from p2pfd.errors import StorageError, UsageError

VARIABLE, NEW_VARIABLE = "P2PFD_PASSPHRASE", "P2PFD_NEW_PASSPHRASE"
SHORTEST = 8
MAX_BYTES = 1024
_PIPE_SECONDS = 10.0


@dataclass(frozen=True)
class Source:
    """One passphrase: what it is called when a person is asked, and what to look at before."""

    what: str
    option: str
    variable: str
    file: Path | None
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def get(self) -> str:
        """The passphrase of keys that exist."""
        return self._told() or self._asked(self.what)

    def choose(self) -> str:
        """A passphrase for keys to come: long enough, and typed twice by a person."""
        told = self._told()
        if told is None:
            told = self._asked(self.what)
            long_enough(told)
            if self._asked("the same again") != told:
                raise UsageError("these were two different passphrases", "nothing was written; try again")
        return long_enough(told)

    def given(self) -> bool:
        """Whether it needs no person."""
        return self.file is not None or bool(self.env.get(self.variable))

    def _told(self) -> str | None:
        if self.file is not None:
            return _read(self.file)
        text = self.env.get(self.variable) or None
        if text is not None and not _is_text(text):
            raise UsageError(f"{self.variable} is not text", "write the passphrase in UTF-8")
        return text

    def _asked(self, what: str) -> str:
        if not sys.stdin.isatty():
            raise UsageError(
                f"{what}: there is no terminal to ask at", f"give it: {self.option} FILE, or set {self.variable}"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)
                text = getpass.getpass(f"{what}: ", sys.stderr)
        except (EOFError, UnicodeDecodeError, getpass.GetPassWarning) as error:
            raise UsageError(
                f"{what}: it cannot be typed unseen here", f"give it: {self.option} FILE, or set {self.variable}"
            ) from error
        if not text or not _is_text(text):
            raise UsageError(f"{what}: nothing was typed that is text", "try again")
        return text


def options(parser: Parser) -> None:
    """The option that names a file with the passphrase of the node's keys."""
    parser.add_argument(
        "--passphrase-file", type=Path, metavar="FILE", help=f"where the keys' passphrase stands (else {VARIABLE})"
    )


def current(file: Path | None) -> Source:
    """The passphrase of the node's keys."""
    return Source("passphrase of the keys", "--passphrase-file", VARIABLE, file)


def new(file: Path | None) -> Source:
    """The passphrase that the keys are to have."""
    return Source("new passphrase", "--new-passphrase-file", NEW_VARIABLE, file)


def long_enough(text: str) -> str:
    """The passphrase, unless a machine would guess it at once."""
    if len(text) < SHORTEST:
        raise UsageError(
            f"the passphrase has {len(text)} characters", f"take at least {SHORTEST}; several words are best"
        )
    return text


def _is_text(text: str) -> bool:
    """Bytes that are no text come in disguise from the environment and from terminals."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(path: Path) -> str:
    """A file's only line; also a pipe's, as with ``--passphrase-file <(pass show p2pfd)``."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            state = os.fstat(handle)
            if stat.S_ISDIR(state.st_mode):
                raise StorageError(f"{path} is a folder", "name a file with the passphrase")
            if stat.S_ISREG(state.st_mode) and state.st_mode & 0o077:
                raise StorageError(f"others may read {path}", f"run: chmod 600 {path}")
            raw = _drained(handle, path)
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "name a file with the passphrase") from error
    try:
        text = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise StorageError(f"{path} is not text", "name a file with the passphrase") from None
    if not text or len(raw) > MAX_BYTES or "\n" in text or "\0" in text:
        raise StorageError(f"{path} is not one line of at most {MAX_BYTES} bytes", "write the passphrase, and no more")
    return text


def _drained(handle: int, path: Path) -> bytes:
    raw = b""
    while len(raw) <= MAX_BYTES:
        ready, _, _ = select.select([handle], [], [], _PIPE_SECONDS)
        if not ready:
            raise StorageError(f"nothing came out of {path} in {_PIPE_SECONDS:g} s", "name a file with the passphrase")
        part = os.read(handle, MAX_BYTES + 1)
        if not part:
            break
        raw += part
    return raw

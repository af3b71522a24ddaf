"""A task as strangers get it: what it is, where its data, its chain and its first peers are, and who asks for it.

It says nothing that a node must believe: the spec's digest is the task's id, the public samples are known by their
hash, and the chain shows the terms and who opened the task. Only the hints of where to look are taken on trust, and
they can make somebody look in vain and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from p2pfd.core.canonical import Plain, digest_of
from p2pfd.core.ids import Account, Digest, account
from p2pfd.core.spec import MAX_INTEGER, TaskSpec, from_plain
from p2pfd.errors import DecodeError, PlanError

VERSION = 1
MAX_HINTS = 16
MAX_HINT = 256
MAX_NOTE = 500
DIGEST_BYTES = 32
_KEYS = ("version", "task", "bootstrap", "data", "rpc", "genesis", "requester", "issued", "until", "note")


@dataclass(frozen=True, slots=True)
class Manifest:
    """An invitation to a task."""

    task: TaskSpec
    requester: Account
    """Who opened the task, pays for it, and signed this."""
    bootstrap: tuple[str, ...] = ()
    """Addresses of peers to begin with."""
    data: tuple[str, ...] = ()
    """Where the public samples can be had."""
    rpc: tuple[str, ...] = ()
    """Where the chain answers to anybody."""
    genesis: bytes = b""
    """The hash of the chain's first block, by which two chains with one id differ; empty leaves that open."""
    issued: int = 0
    """In which second it was signed: of two invitations to one task the later one counts. 0 where nobody says."""
    until: int = 0
    """Up to which second it is worth joining; 0 leaves that open."""
    note: str = ""
    """A word to whoever reads it."""

    def __post_init__(self) -> None:
        for name in ("bootstrap", "data", "rpc"):
            _check_hints(name, getattr(self, name))
        for url in (*self.data, *self.rpc):
            _check_url(url)
        for name in ("issued", "until"):
            if not 0 <= getattr(self, name) <= MAX_INTEGER:
                raise PlanError(f"{name} is {getattr(self, name)}", "it is a second since 1970, or 0")
        if len(self.genesis) not in (0, DIGEST_BYTES):
            raise PlanError(f"genesis has {len(self.genesis)} bytes", f"a block's hash has {DIGEST_BYTES}, or none")
        if len(self.note) > MAX_NOTE or not (self.note.isprintable() or not self.note):
            raise PlanError("the note is too long or not printable", f"write at most {MAX_NOTE} printable characters")

    @property
    def digest(self) -> Digest:
        """What is signed."""
        return digest_of("manifest", self.to_plain())

    def to_plain(self) -> dict[str, Plain]:
        """The manifest as maps and lists."""
        return {
            "version": VERSION,
            "task": self.task.to_plain(),
            "bootstrap": list(self.bootstrap),
            "data": list(self.data),
            "rpc": list(self.rpc),
            "genesis": self.genesis,
            "requester": self.requester,
            "issued": self.issued,
            "until": self.until,
            "note": self.note,
        }


def manifest_of(value: object) -> Manifest:
    """The manifest that `to_plain` wrote; PlanError names what is wrong with any other value."""
    if not isinstance(value, Mapping) or set(value) != set(_KEYS):
        raise PlanError("this is no manifest of this release", f"the keys are {', '.join(_KEYS)}")
    plain: Mapping[str, Any] = value
    if plain["version"] != VERSION or isinstance(plain["version"], bool):
        raise PlanError("this manifest is of another version", f"this release reads version {VERSION}")
    rest: dict[str, Any] = {}
    for name in ("bootstrap", "data", "rpc"):
        found = plain[name]
        if not isinstance(found, (list, tuple)) or not all(isinstance(hint, str) for hint in found):
            raise PlanError(f"{name} is no list of texts", "the manifest is damaged: ask for it again")
        rest[name] = tuple(found)
    kinds: dict[str, type] = {"genesis": bytes, "issued": int, "until": int, "note": str}
    for name, kind in kinds.items():
        if type(plain[name]) is not kind:
            raise PlanError(f"{name} is of the wrong type", "the manifest is damaged: ask for it again")
        rest[name] = plain[name]
    try:
        who = account(plain["requester"])
    except (DecodeError, TypeError, AttributeError) as error:
        raise PlanError("requester is no account", "an account is 0x and forty hex digits") from error
    return Manifest(from_plain(plain["task"]), who, **rest)


def _check_hints(name: str, hints: tuple[str, ...]) -> None:
    if len(hints) > MAX_HINTS:
        raise PlanError(f"{name} has {len(hints)} entries", f"name at most {MAX_HINTS}")
    for hint in hints:
        if not 0 < len(hint) <= MAX_HINT or not hint.isprintable() or " " in hint:
            raise PlanError(f"an entry of {name} is no address", f"write 1 to {MAX_HINT} printable characters")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username and not parts.password
    except ValueError:
        good = False
    if not good:
        raise PlanError(f"{url[:80]!r} is no address of the web", "write https://...; without a name and a password")

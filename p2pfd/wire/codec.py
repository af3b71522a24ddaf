"""Messages to bytes and back: one byte string for one message, and a reason for every other byte string.

A message is the canonical list of its kind's name and a map of its fields. The name is at the front, so the size limit
of the kind is known, and held, before anything is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from p2pfd.core import canonical
from p2pfd.core.canonical import Plain
from p2pfd.core.encounter_claims import MAX_SIZE
from p2pfd.core.ids import DIGEST_BYTES, MAX_ROUND, Account, account, peer_id
from p2pfd.core.labels import SALT_BYTES, WORD_BYTES
from p2pfd.errors import DecodeError
from p2pfd.wire.limits import (
    ACCOUNT_SIGNATURE_BYTES,
    MAX_LABEL_BYTES,
    MAX_OFFERED,
    MAX_TOLERANCE,
    MAX_WHEREABOUTS,
    MESSAGE_LIMITS,
    MIN_LABEL_BYTES,
    PAPER_SIGNATURE_BYTES,
    PEER_SIGNATURE_BYTES,
)
from p2pfd.wire.messages import (
    Agree,
    Bind,
    Brief,
    Commit,
    Deliver,
    Hello,
    Message,
    Offer,
    Propose,
    Reveal,
    Show,
    Whereabouts,
)

_ADDRESS = re.compile(r"/[!-~]+")
Check = Callable[[object], None]
"""Returns for a value that may stand in a field, and raises a DecodeError that completes "the field …" otherwise."""


def integer(low: int, high: int) -> Check:
    """A whole number from low to high, both included."""

    def check(value: object) -> None:
        if type(value) is not int:
            raise DecodeError(f"is {_called(value)}, not a number")
        if not low <= value <= high:
            raise DecodeError(f"is out of range: it lies between {low} and {high}")

    return check


def raw_bytes(least: int, most: int | None = None, step: int = 1) -> Check:
    """Bytes of a length from least to most that is a multiple of step."""
    most = least if most is None else most

    def check(value: object) -> None:
        if type(value) is not bytes:
            raise DecodeError(f"is {_called(value)}, not bytes")
        if not least <= len(value) <= most:
            raise DecodeError(f"has {len(value)} bytes, not {least if least == most else f'{least} to {most}'}")
        if len(value) % step:
            raise DecodeError(f"has {len(value)} bytes, not a multiple of {step}")

    return check


def a_peer(value: object) -> None:
    """A peer id that holds an Ed25519 key."""
    if type(value) is not str:
        raise DecodeError(f"is {_called(value)}, not a peer id")
    try:
        peer_id(value)
    except DecodeError as error:
        raise DecodeError(f"is no peer id: {error.what}") from error


def an_account(value: object) -> None:
    """An account in its one spelling, lower-case."""
    if type(value) is not str:
        raise DecodeError(f"is {_called(value)}, not an account")
    try:
        canonical_spelling: Account = account(value)
    except DecodeError as error:
        raise DecodeError(f"is {error.what}") from error
    if canonical_spelling != value:
        raise DecodeError("is an account with capital letters")


def addresses(value: object) -> None:
    """Printable ASCII that may be addresses, each once, a space between; who would dial them looks closer."""
    if type(value) is not str:
        raise DecodeError(f"is {_called(value)}, not text")
    if not 1 <= len(value) <= MAX_WHEREABOUTS:
        raise DecodeError(f"has {len(value)} letters, not 1 to {MAX_WHEREABOUTS}")
    words = value.split(" ")
    if len(set(words)) != len(words) or not all(_ADDRESS.fullmatch(word) for word in words):
        raise DecodeError("is no list of different addresses")


def check_fields(value: object, checks: Mapping[str, Check]) -> dict[str, Any]:
    """The map, once it has exactly these fields and each passes its check."""
    if not isinstance(value, dict):
        raise DecodeError(f"the fields are {_called(value)}, not a map")
    for name in value:
        if name not in checks:
            raise DecodeError(f"unknown field {name[:32]!r}")
    for name, check in checks.items():
        if name not in value:
            raise DecodeError(f"field {name!r} is missing")
        try:
            check(value[name])
        except DecodeError as error:
            raise DecodeError(f"field {name!r} {error.what}") from error
    return value


def _called(value: object) -> str:
    return {type(None): "nothing", bool: "a truth value", int: "a number", str: "text", bytes: "bytes"}.get(
        type(value), "a list or a map"
    )


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    build: type[Message]
    checks: Mapping[str, Check]

    @property
    def front(self) -> bytes:
        """What every message of this kind begins with: a list of two, and the name."""
        return b"\x92" + canonical.encode(self.name)


_ROUND = integer(0, MAX_ROUND)
_DIGEST = raw_bytes(DIGEST_BYTES)
_SIZE = integer(1, MAX_OFFERED)
_TOLERANCE = integer(0, MAX_TOLERANCE)
_WORD = raw_bytes(WORD_BYTES)
_SALT = raw_bytes(SALT_BYTES)
_PLACE = integer(0, MAX_SIZE - 1)
_PAPER_SIGNATURE = raw_bytes(PAPER_SIGNATURE_BYTES)
_KINDS = (
    _Kind("agree", Agree, {"name": _DIGEST, "salt": _SALT, "signature": _PAPER_SIGNATURE}),
    _Kind(
        "bind",
        Bind,
        {"result": _DIGEST, "place": _PLACE, "commitment": _DIGEST, "signature": _PAPER_SIGNATURE},
    ),
    _Kind(
        "brief",
        Brief,
        {
            "learner": an_account,
            "neighbor": an_account,
            "terms": _WORD,
            "before": _DIGEST,
            "size": _SIZE,
            "tolerance": _TOLERANCE,
            "learner_salt": _SALT,
            "neighbor_salt": _SALT,
        },
    ),
    _Kind(
        "commit",
        Commit,
        {"round": _ROUND, "commitment": _DIGEST, "student": raw_bytes(0, DIGEST_BYTES, step=DIGEST_BYTES)},
    ),
    _Kind(
        "deliver",
        Deliver,
        {"name": _DIGEST, "after": _DIGEST, "size": _SIZE, "signature": _PAPER_SIGNATURE},
    ),
    _Kind(
        "hello",
        Hello,
        {
            "peer": a_peer,
            "account": an_account,
            "by_peer": raw_bytes(PEER_SIGNATURE_BYTES),
            "by_account": raw_bytes(ACCOUNT_SIGNATURE_BYTES),
        },
    ),
    _Kind("offer", Offer, {"round": _ROUND, "blob": _DIGEST, "size": _SIZE}),
    _Kind(
        "propose",
        Propose,
        {"terms": _WORD, "before": _DIGEST, "size": _SIZE, "tolerance": _TOLERANCE, "salt": _SALT},
    ),
    _Kind(
        "reveal",
        Reveal,
        {
            "round": _ROUND,
            "salt": raw_bytes(SALT_BYTES),
            "labels": raw_bytes(MIN_LABEL_BYTES, MAX_LABEL_BYTES, step=WORD_BYTES),
        },
    ),
    _Kind("show", Show, {"result": _DIGEST, "place": _PLACE, "opening": _WORD, "signature": _PAPER_SIGNATURE}),
    _Kind("whereabouts", Whereabouts, {"addresses": addresses}),
)
_BY_TYPE: Mapping[type, _Kind] = MappingProxyType({kind.build: kind for kind in _KINDS})
_BY_FRONT: tuple[tuple[bytes, _Kind], ...] = tuple((kind.front, kind) for kind in _KINDS)


def encode(message: Message) -> bytes:
    """The bytes of a message; ValueError for one that no peer would take."""
    kind = _BY_TYPE.get(type(message))
    if kind is None:
        raise TypeError(f"{type(message).__name__} is not a message")
    held: dict[str, Plain] = {entry.name: getattr(message, entry.name) for entry in fields(message)}
    try:
        check_fields(held, kind.checks)
    except DecodeError as error:
        raise ValueError(f"{kind.name}: {error.what}") from error
    return canonical.encode([kind.name, held])


def check_size(raw: bytes) -> str:
    """The kind that these bytes claim to be, once they are not too many for it. Decodes nothing."""
    return _kind_of(raw).name


def decode(raw: bytes) -> Message:
    """The message that `encode` gave these bytes; DecodeError with the reason for any others."""
    kind = _kind_of(raw)
    value = canonical.decode(raw, limit=MESSAGE_LIMITS[kind.name])
    assert isinstance(value, list)  # the front says so
    try:
        return kind.build(**check_fields(value[1], kind.checks))
    except DecodeError as error:
        raise DecodeError(f"{kind.name}: {error.what}") from error


def _kind_of(raw: bytes) -> _Kind:
    for front, kind in _BY_FRONT:
        if raw.startswith(front):
            limit = MESSAGE_LIMITS[kind.name]
            if len(raw) > limit:
                raise DecodeError(f"a {kind.name} of {len(raw)} bytes, at most {limit} are taken")
            return kind
    raise DecodeError("no kind of message begins so", f"the kinds are {', '.join(kind.name for kind in _KINDS)}")

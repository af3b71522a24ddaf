"""What a node thinks of a message it heard. Only `Reject` costs the sender anything."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accept:
    """Valid and new: pass it on."""


ACCEPT = Accept()
"""The only one there is: compare by identity."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Provably wrong: do not pass it on, and hold it against the sender. The evidence convinces a third party."""

    reason: str
    evidence: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Ignore:
    """Late, unknown or not checkable here: do not pass it on, and hold nothing against anyone."""

    reason: str


Verdict = Accept | Reject | Ignore

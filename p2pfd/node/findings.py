"""What a check of `p2pfd doctor` comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from p2pfd.errors import P2pfdError


class State(Enum):
    """How a check came out."""

    WELL = "well"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, in a line, and what to do about it when it is wrong."""

    check: str
    state: State
    what: str
    fix: str = ""


Tell = Callable[[Finding], None]


def well(check: str, what: str) -> Finding:
    """All is well with it."""
    return Finding(check, State.WELL, what)


def wrong(check: str, error: P2pfdError) -> Finding:
    """It is not as it should be."""
    return Finding(check, State.WRONG, error.what, error.fix or "see the message")


def skipped(check: str, why: str) -> Finding:
    """There was nothing to look at."""
    return Finding(check, State.SKIPPED, why)

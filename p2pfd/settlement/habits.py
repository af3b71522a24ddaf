"""How an account deals with one kind of chain: when something is final, what is offered, how often it looks."""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.settlement.fees import FREE, FeePolicy


@dataclass(frozen=True, slots=True)
class Habits:
    """How an account deals with one kind of chain."""

    finality: int = 0
    """Blocks on top before an inclusion is final."""
    fees: FeePolicy = FREE
    look_seconds: float = 0.05
    """Between two looks at what became of it."""
    resend_seconds: float = 2.0
    stuck_blocks: int = 5
    """So many blocks without it, and more is offered; so many with a gap before it, and the gap is filled."""
    window: int = 60
    """So many transactions may be under way at once; nodes keep 64 of an account."""
    outage_seconds: float = 0.0
    """How long the chain may fail to answer before whoever waits is told."""
    longest_seconds: float = 3_600.0
    """How long anybody waits for an end. The transaction is sent on nevertheless."""


INSTANT = Habits()
"""A chain that carries out what it takes at once, and never undoes it."""

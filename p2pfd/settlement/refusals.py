"""What nodes of different make mean when they do not take a transaction: the same things in many words."""

from __future__ import annotations

from enum import Enum, auto

from p2pfd.settlement.rpc import RpcRefusal


class Meaning(Enum):
    """What a refusal says of the transaction."""

    HELD = auto()
    """The node has these very bytes."""
    PAST = auto()
    """A transaction with this nonce stands in a block: it may be this one."""
    EARLY = auto()
    """Nonces before this one are missing."""
    CHEAP = auto()
    """It offers too little, for its place or to replace another."""
    POOR = auto()
    """The account has not the coins for all the gas that it may use."""
    BUSY = auto()
    """The node has no room for it now."""
    UNFIT = auto()
    """The transaction itself is refused."""


_WORDS = (
    (Meaning.HELD, ("already known", "already imported", "alreadyknown", "known transaction", "already in the pool")),
    (Meaning.PAST, ("nonce too low", "nonce is too low", "oldnonce", "nonce below")),
    (Meaning.EARLY, ("nonce too high", "nonce is too high", "nonce gap", "noncegap")),
    (
        Meaning.CHEAP,
        ("underpriced", "fee too low", "less than block base fee", "less than the block's base", "replacement"),
    ),
    (Meaning.POOR, ("insufficient funds", "enough funds", "insufficient balance")),
    (Meaning.BUSY, ("pool is full", "pool overflow", "queue is full", "rate limit", "too many requests", "timeout")),
)
_GANACHE = "correct nonce. account has nonce of: "


def meaning(refusal: RpcRefusal) -> Meaning:
    """What a node means by refusing a transaction."""
    said = refusal.message.lower()
    if _GANACHE in said:
        return _compared(said)
    for found, words in _WORDS:
        if any(word in said for word in words):
            return found
    return Meaning.UNFIT


def _compared(said: str) -> Meaning:
    """Ganache names both nonces: ``account has nonce of: 1 tx has nonce of: 0``."""
    numbers = [word for word in said.split() if word.isdigit() and len(word) < 20]
    if len(numbers) != 2:
        return Meaning.UNFIT
    return Meaning.PAST if int(numbers[1]) < int(numbers[0]) else Meaning.EARLY

"""The simulation's chain: the pure reference ledger, which everyone reaches, and hears from, with some delay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from p2pfd.core.claims import ChainEvent, Claim, Deposit, Included, MarketTerms, OpenTask, Receipt, Reverted, Unknown
from p2pfd.core.events import ChainSaw, Event, Settled, Started
from p2pfd.core.ids import Account, Amount
from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.incentives.market import Market
from p2pfd.incentives.staking import Refused
from p2pfd.sim.faults import ChainAway, Span

CLAIM_TICKS = 50 * MILLISECOND
"""How long a claim takes to the chain."""
NEWS_TICKS = 100 * MILLISECOND
"""How long it takes until a node sees what the chain did."""
TRIES = (0, 1 * SECOND, 3 * SECOND, 7 * SECOND, 15 * SECOND)
"""When, after the first time, a node tries to reach a chain that does not answer; then the claim's fate is unknown."""

News = list[tuple[int | None, Event]]
"""Who is to know (None: everybody), and what."""


@dataclass(frozen=True, slots=True)
class Claimed(Started):
    """A claim arrives at the chain."""

    node: int
    sender: Account
    intent: str
    claim: Claim


class SimChain(Protocol):
    """A chain as the heap driver sees it."""

    def open(self, now: Tick) -> News:
        """What is on the chain from the start."""
        ...

    def send(self, now: Tick, node: int, claimed: Claimed) -> tuple[Tick, Event] | None:
        """When a claim reaches the chain, or what the node hears instead; None if it dies with the node."""
        ...

    def news_at(self, now: Tick) -> Tick:
        """When nodes see what happens on the chain now."""
        ...

    def take(self, now: Tick, claimed: Claimed) -> News:
        """Carry out a claim, or refuse it."""
        ...


class LedgerChain:
    """Takes claims in the order in which they arrive; its clock shows the seconds of virtual time.

    It stands for the chain and for the node's own side of it: what was asked once under a name is not asked again, and
    a claim that does not get through is tried some more times, as long as the process lives that wants it.
    """

    def __init__(
        self,
        wallets: Mapping[Account, int],
        requester: Account,
        terms: MarketTerms,
        away: Sequence[ChainAway] = (),
        absences: Mapping[int, Sequence[Span]] | None = None,
    ) -> None:
        self.market = Market(wallets, unbond_seconds=60)
        self.refused: list[tuple[str, str]] = []
        self._requester = requester
        self._terms = terms
        self.wallets = wallets
        """What everybody had at the beginning."""
        self.away = sorted(away, key=lambda fault: fault.begin)
        self.absences = absences or {}
        self._receipts: dict[tuple[int, str], Receipt] = {}
        self._blocks = 0

    def open(self, now: Tick) -> News:
        """The requester pays in what all rounds may cost, and opens the task."""
        budget = Amount(self._terms.pot * self._terms.rounds)
        self.market.apply(now // SECOND, self._requester, Deposit(budget))
        return _everybody(self.market.apply(now // SECOND, self._requester, OpenTask(self._terms)))

    def send(self, now: Tick, node: int, claimed: Claimed) -> tuple[Tick, Event] | None:
        """When a claim reaches the chain; or when the node gives it up, and hears so. None if it dies with the node."""
        for wait in TRIES:
            at = Tick(now + wait)
            if any(now < begin <= at for begin, _ in self.absences.get(node, ())):
                return None
            if not self.is_away(at):
                return Tick(at + CLAIM_TICKS), claimed
        return at, Settled(claimed.intent, Unknown("", "the chain could not be reached"))

    def news_at(self, now: Tick) -> Tick:
        """When nodes see what happens on the chain now."""
        at = now + NEWS_TICKS
        for fault in self.away:
            if fault.begin <= at < fault.end:
                at = fault.end
        return Tick(at)

    def is_away(self, now: Tick) -> bool:
        """Whether nobody reaches the chain."""
        return any(fault.begin <= now < fault.end for fault in self.away)

    def take(self, now: Tick, claimed: Claimed) -> News:
        """Carry out a claim, or refuse it, or say again what became of it; the books must balance after every one."""
        known = self._receipts.get((claimed.node, claimed.intent))
        if known is not None:
            return [(claimed.node, Settled(claimed.intent, known))]
        self._blocks += 1
        ref = str(self._blocks)
        receipt: Receipt
        events: tuple[ChainEvent, ...] = ()
        try:
            events = self.market.apply(now // SECOND, claimed.sender, claimed.claim)
            receipt = Included(ref, self._blocks, 0)
        except Refused as refusal:
            self.refused.append((claimed.intent, str(refusal)))
            receipt = Reverted(ref, str(refusal))
        self._receipts[claimed.node, claimed.intent] = receipt
        self.market.check()
        return [(claimed.node, Settled(claimed.intent, receipt)), *_everybody(events)]


def _everybody(events: tuple[ChainEvent, ...]) -> News:
    return [(None, ChainSaw(event)) for event in events]

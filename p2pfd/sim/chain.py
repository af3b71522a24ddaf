"""The simulation's chain: the pure reference ledger, which everyone reaches, and hears from, with some delay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from p2pfd.core.claims import ChainEvent, Claim, Deposit, Included, MarketTerms, OpenTask, Receipt, Reverted
from p2pfd.core.events import ChainSaw, Event, Settled, Started
from p2pfd.core.ids import Account, Amount
from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.incentives.market import Market
from p2pfd.incentives.staking import Refused

CLAIM_TICKS = 50 * MILLISECOND
"""How long a claim takes to the chain."""
NEWS_TICKS = 100 * MILLISECOND
"""How long it takes until a node sees what the chain did."""

News = list[tuple[int | None, Event]]
"""Who is to know (None: everybody), and what."""


@dataclass(frozen=True, slots=True)
class Claimed(Started):
    """A claim arrives at the chain."""

    node: int
    sender: Account
    intent: str
    claim: Claim


class LedgerChain:
    """Takes claims in the order in which they arrive; its clock shows the seconds of virtual time."""

    def __init__(self, wallets: Mapping[Account, int], requester: Account, terms: MarketTerms) -> None:
        self.market = Market(wallets, unbond_seconds=60)
        self.refused: list[tuple[str, str]] = []
        self._requester = requester
        self._terms = terms
        self._blocks = 0

    def open(self, now: Tick) -> News:
        """The requester pays in what all rounds may cost, and opens the task."""
        budget = Amount(self._terms.pot * self._terms.rounds)
        self.market.apply(now // SECOND, self._requester, Deposit(budget))
        return _everybody(self.market.apply(now // SECOND, self._requester, OpenTask(self._terms)))

    def take(self, now: Tick, claimed: Claimed) -> News:
        """Carry out a claim, or refuse it; the books must balance after every one."""
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
        self.market.check()
        return [(claimed.node, Settled(claimed.intent, receipt)), *_everybody(events)]


def _everybody(events: tuple[ChainEvent, ...]) -> News:
    return [(None, ChainSaw(event)) for event in events]

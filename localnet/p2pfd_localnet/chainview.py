"""A task's chain as the mesh's page shows it: blocks, stakes, and why each payment is what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import trio

from p2pfd.core.claims import (
    BondForfeited,
    ChainEvent,
    Enrolled,
    LabelsCommitted,
    LabelsRevealed,
    MarketTerms,
    RevealsClosed,
    RevealsOpened,
    RoundOpened,
    RoundSettled,
    TaskClosed,
    TaskOpened,
    WorkerPaid,
    WorkerSuspended,
)
from p2pfd.core.ids import Account
from p2pfd.core.labels import unpack
from p2pfd.errors import DecodeError
from p2pfd.incentives.ptsc import SCALE
from p2pfd.incentives.why import Why, why
from p2pfd_localnet.picture import Picture
from p2pfd_localnet.words import tokens

_ANY_NIBBLE = 16


class ChainView:
    """Follows one task."""

    def __init__(self, terms: MarketTerms, names: Mapping[Account, str], picture: Picture) -> None:
        self._terms = terms
        self._names = names
        self._picture = picture
        self._block = -1
        self._lines: list[str] = []
        self._stakes: dict[str, int] = {}
        self._labels: dict[Account, bytes] = {}
        self._counted: tuple[Account, ...] = ()
        self._paid: dict[Account, WorkerPaid] = {}

    async def take(self, block: int, event: ChainEvent) -> None:
        """One thing that the chain tells, in its order."""
        if block != self._block:
            self._block, self._lines = block, []
        self._lines = [*self._lines, self._words(event)]
        self._picture.block(block, self._lines)
        match event:
            case Enrolled(worker=who):
                self._stake(who, self._terms.bond)
            case BondForfeited(worker=who, amount=amount):
                self._stake(who, -amount)
            case WorkerSuspended(worker=who):
                self._stake(who, 0, suspended=True)
            case RoundOpened():
                self._labels, self._counted, self._paid = {}, (), {}
            case LabelsRevealed(worker=who, labels=labels):
                self._labels[who] = labels
            case RevealsClosed(counted=counted):
                self._counted = counted
            case WorkerPaid(worker=who):
                self._paid[who] = event
            case RoundSettled(counted=True):
                await self._explain()
            case _:
                pass

    def _stake(self, who: Account, more: int, *, suspended: bool = False) -> None:
        name = self._names.get(who)
        if name is not None:
            self._stakes[name] = self._stakes.get(name, 0) + more
            self._picture.stake(name, self._stakes[name], suspended=suspended)

    async def _explain(self) -> None:
        terms, counted = self._terms, self._counted
        try:
            labels = [unpack(self._labels[who], terms.samples, _ANY_NIBBLE) for who in counted]
        except (KeyError, DecodeError):
            return  # a round that somebody joined late to watch, or labels that are none: the audit tells
        for place, who in enumerate(counted):
            paid, name = self._paid.get(who), self._names.get(who)
            if paid is not None and name is not None:
                reasons = why(labels, terms.classes, terms.pot, terms.rate, place)
                self._picture.explain(paid.round, name, _plain(paid, reasons, terms))
                await trio.lowlevel.checkpoint()  # there is a mesh to watch over meanwhile

    def _words(self, event: object) -> str:
        match event:
            case TaskOpened():
                return "the task is opened, its pots are set aside"
            case Enrolled(worker=who, seats_taken=seats):
                return f"{self._name(who)} takes seat {seats}: {tokens(self._terms.bond)} bound"
            case RoundOpened(round=rnd, workers=workers):
                return f"round {rnd + 1} opens for {len(workers)}"
            case LabelsCommitted(worker=who):
                return f"{self._name(who)} commits"
            case RevealsOpened(committed=committed):
                return f"reveals open for {len(committed)}"
            case LabelsRevealed(worker=who):
                return f"{self._name(who)} reveals"
            case RevealsClosed(counted=counted):
                return f"reveals close, {len(counted)} count"
            case WorkerPaid(worker=who, amount=amount):
                return f"{self._name(who)} is paid {tokens(amount)}"
            case BondForfeited(worker=who, amount=amount):
                return f"{self._name(who)} did not reveal and loses {tokens(amount)}"
            case WorkerSuspended(worker=who):
                return f"{self._name(who)} is suspended"
            case RoundSettled(round=rnd, counted=True, paid=paid):
                return f"round {rnd + 1} is settled: {tokens(paid)} paid"
            case RoundSettled(round=rnd):
                return f"round {rnd + 1} does not count: too few revealed"
            case TaskClosed(rounds=rounds):
                return f"the task is closed after {rounds} rounds: bonds are free"
            case _:  # a market of another mode tells more
                return re.sub(r"(?<!^)(?=[A-Z])", " ", type(event).__name__).lower()

    def _name(self, who: Account) -> str:
        return self._names.get(who, f"{who[:8]}…")


def _plain(paid: WorkerPaid, reasons: Why, terms: MarketTerms) -> dict[str, Any]:
    """The sums behind a payment, label by label."""
    return {
        "score": paid.score / SCALE,
        "paid": paid.amount,
        "same": (paid.score, paid.amount) == (reasons.score, reasons.amount),
        "peers": reasons.peers,
        "samples": reasons.samples,
        "mean": reasons.mean / SCALE,
        "rate": terms.rate,
        "due": reasons.due,
        "all_due": reasons.all_due,
        "pot": terms.pot,
        "parts": [[part.label, part.said, part.agreements, part.worth / SCALE] for part in reasons.parts],
    }

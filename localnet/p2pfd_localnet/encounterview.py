"""A contract of encounters as the mesh's page shows it: its blocks, and what each encounter paid, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from p2pfd.core import encounter_events as told
from p2pfd.core.ids import Account
from p2pfd_localnet.encounters import end_plain, key_of
from p2pfd_localnet.picture import Picture
from p2pfd_localnet.words import tokens

if TYPE_CHECKING:
    from p2pfd.settlement.encounter_history import Entry


class EncounterView:
    """Follows one contract."""

    def __init__(self, names: Mapping[Account, str], picture: Picture) -> None:
        self._names = names
        self._picture = picture
        self._block = -1
        self._lines: list[str] = []
        self._seats: dict[int, str] = {}

    async def take(self, block: int, entry: Entry) -> None:
        """One thing that the contract tells, in its order."""
        line = self._words(entry)
        if block != self._block:
            self._block, self._lines = block, []
        if line:
            self._lines = [*self._lines, line]
            self._picture.block(block, self._lines)
        if entry.end is not None:
            plain = end_plain(entry.end, {str(who): name for who, name in self._names.items()})
            self._picture.pay(key_of(entry.end), {**plain, "block": block, "tx": "0x" + entry.tx.hex()})

    def _words(self, entry: Entry) -> str:
        match entry.event:
            case told.SeatTaken(seat, holder):
                self._seats[seat] = self._name(holder)
                return f"{self._name(holder)} takes seat {seat}"
            case told.SeatLeft(seat):
                return f"{self._seats.get(seat, '?')} leaves seat {seat}"
            case told.SeatBack(seat):
                return f"{self._seats.get(seat, '?')} is back in seat {seat}"
            case told.SeatVacated(seat):
                return f"{self._seats.pop(seat, '?')} gives up seat {seat}"
            case told.Opened(key):
                return f"{self._learner(key)} opens an encounter"
            case told.Drawn(key):
                return f"the committee of {self._learner(key)} is fixed"
            case told.Reported(key):
                return f"votes on what {self._learner(key)} got go on chain"
            case told.Settled() | told.Defaulted() | told.Voided():
                return self._ended(entry)
            case _:
                return ""

    def _ended(self, entry: Entry) -> str:
        terms, end = entry.terms, entry.end
        if terms is None:
            return f"an encounter of {self._learner(entry.event.key)} ends: {entry.problem}"  # type: ignore[union-attr]
        pair = f"{self._name(terms.learner)} and {self._name(terms.neighbor)}"
        if isinstance(entry.event, told.Defaulted):
            return f"{pair}: nothing was delivered, {tokens(entry.event.damages)} damages"
        if isinstance(entry.event, told.Voided) or end is None:
            return f"{pair}: too few validators, both have theirs back"
        verdict = {"valid": "accepted", "invalid": "refused"}.get(end.verdict, "no verdict")
        gets = end.neighbor - terms.prepayment
        return f"{pair} settle: {verdict}, the neighbor {'+' if gets > 0 else ''}{tokens(gets)}"

    def _learner(self, key: int) -> str:
        return self._name(Account(f"0x{key >> 96:040x}"))

    def _name(self, who: Account) -> str:
        return self._names.get(who, f"{who[:8]}…")

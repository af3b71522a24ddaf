"""Membership: tokens deposited, a seat taken and kept filled, and all of it given back at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from p2pfd.core.canonical import Plain
from p2pfd.core.claims import Deposit, Unstake, Withdraw
from p2pfd.core.effects import Work
from p2pfd.core.encounter_claims import Collect, ComeBack, EncounterClaim, Join, Leave, TopUp, Vacate
from p2pfd.core.ids import Amount
from p2pfd.core.ticks import SECOND, Tick, after
from p2pfd.roles.encounter.office import Office
from p2pfd.roles.encounter.part import OVER, Effects, Part, Rule
from p2pfd.roles.encounter.work import Audit, Audited

LOOK, CLAIM, READY = "look", "claim", "ready"
_CLAIMS = ("deposit", "join", "top_up", "collect", "come_back", "leave", "vacate", "unstake", "withdraw")


class Membership(Part):
    """What a device has on chain, and what it does about it: one claim at a time, and a look after each."""

    role = "member"
    rules = (
        Rule(
            (LOOK,), "done audit", (CLAIM, READY, OVER), "claims the first thing that is missing, if any", "on_looked"
        ),
        Rule((LOOK,), "failed audit", (READY,), "looks again later", "on_blind"),
        Rule((READY,), "timer look", (LOOK,), "looks where its tokens are", "on_look"),
        *(
            rule
            for kind in _CLAIMS
            for rule in (
                Rule((CLAIM,), f"included {kind}", (LOOK,), "looks where its tokens are now", "on_look"),
                Rule((CLAIM,), f"refused {kind}", (READY,), "looks again later", "on_blind"),
            )
        ),
    )

    def __init__(self, office: Office, busy: Callable[[], bool]) -> None:
        super().__init__("member", LOOK)
        self.office = office
        self._busy = busy
        self.free = 0
        """What was free when it looked last."""
        self.looked = False
        self.wish: tuple[str, int, int] = ("", 0, 0)
        """The claim under way: what, which seat, how much."""
        self.leaving = False

    @property
    def at_work(self) -> bool:
        """Whether it looks, or waits for a claim: something comes of it soon."""
        return self.stage in (LOOK, CLAIM)

    def begin(self, now: Tick) -> Effects:
        """Look for the first time."""
        return [self.compute("audit")]

    def glance(self, now: Tick) -> Effects:
        """Something has changed: look soon."""
        return self.on_look(now) if self.stage == READY else []

    def work(self, job: str) -> Work:
        """The only work there is."""
        return Audit()

    def claim(self, kind: str) -> EncounterClaim:
        """The claim that is wished for."""
        _, seat, amount = self.wish
        claims: dict[str, EncounterClaim] = {
            "deposit": Deposit(Amount(amount)),
            "join": Join(),
            "top_up": TopUp(seat, Amount(amount)),
            "collect": Collect(seat),
            "come_back": ComeBack(seat),
            "leave": Leave(seat),
            "vacate": Vacate(seat),
            "unstake": Unstake(Amount(amount)),
            "withdraw": Withdraw(),
        }
        return claims[kind]

    # -- handlers ------------------------------------------------------------------------------------------------------

    def on_look(self, now: Tick) -> Effects:
        """Where are the tokens?"""
        self.stage = LOOK
        return [*self.quiet("look"), self.compute("audit")]

    def on_blind(self, now: Tick) -> Effects:
        """The chain did not say, or did not want to."""
        self.stage = READY
        return [self.wait("look", after(now, self.office.habits.look))]

    def on_looked(self, now: Tick, held: Audited) -> Effects:
        """What is missing."""
        self.free, self.looked = held.free, True
        told = self.tell("balance", wallet=held.wallet, free=held.free, seats=sum(seat.balance for seat in held.seats))
        self.leaving = now >= self.office.habits.until and not self._busy()
        wish = self._parting(now, held) if self.leaving else self._wish(now, held)
        if wish is not None:
            self.stage, self.wish = CLAIM, wish
            return [told, *self.submit(wish[0])]
        if self.leaving and not held.seats and not held.free and not held.unbonding:
            self.stage = OVER
            return [told, self.tell("left", wallet=held.wallet)]
        low = held.free < self.needed() and not self.leaving
        warned = [self.tell("low", free=held.free, needed=self.needed())] if low else []
        return [told, *warned, *self.on_blind(now)]

    def needed(self) -> int:
        """With less free than this, nothing can be begun."""
        habits = self.office.habits
        party = habits.encounters > 0 or habits.serves > 0
        return max(habits.prepayment, habits.threshold) if party else 0

    def _wish(self, now: Tick, held: Audited) -> tuple[str, int, int] | None:
        habits = self.office.habits
        joins = habits.validates and not held.seats
        wanted = habits.stake + (habits.bond if joins else 0)
        if held.free < wanted and held.wallet > 0:
            return "deposit", 0, min(held.wallet, wanted - held.free)
        if joins and held.free >= habits.bond + self.needed():
            return "join", 0, 0
        for seat in held.seats:
            missing, spare = habits.bond - seat.balance, held.free - self.needed()
            if missing > 0 and spare > 0 and habits.validates:
                return "top_up", seat.number, min(missing, spare)
            if (
                seat.left_at
                and missing <= 0
                and now > (seat.left_at + habits.longest + 1) * SECOND
                and habits.validates
            ):
                return "come_back", seat.number, 0
            if -missing >= habits.prepayment:
                return "collect", seat.number, 0
        return None

    def _parting(self, now: Tick, held: Audited) -> tuple[str, int, int] | None:
        second = now // SECOND
        for seat in held.seats:
            if not seat.left_at:
                return "leave", seat.number, 0
            if second > seat.left_at + self.office.habits.unbond_seconds:
                return "vacate", seat.number, 0
        if held.free and not held.seats:  # all at once: each unstaking begins the delay anew
            return "unstake", 0, held.free
        return ("withdraw", 0, 0) if held.unbonding and second > held.ready else None

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def to_plain(self) -> dict[str, Plain]:
        """The membership, for a snapshot."""
        state: list[Plain] = [self.free, self.looked, self.leaving]
        return {**super().to_plain(), "wish": list(self.wish), "state": state}

    def fill(self, value: Mapping[str, Any]) -> None:
        """Take over what `to_plain` wrote."""
        super().fill(value)
        what, seat, amount = value["wish"]
        self.wish = (str(what), int(seat), int(amount))
        self.free, self.looked, self.leaving = value["state"]

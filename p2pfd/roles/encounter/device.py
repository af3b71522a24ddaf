"""A device: one machine that is learner, neighbor and validator in as many encounters as there are, and a member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from p2pfd.core import encounter_events as told
from p2pfd.core import encounter_where as where_
from p2pfd.core.canonical import Plain, decode, encode
from p2pfd.core.effects import Answer, Effect, Emit, Persist, Publish, SetTimer
from p2pfd.core.encounter_claims import MAX_SIZE
from p2pfd.core.encounter_events import EncounterEvent
from p2pfd.core.events import ChainSaw, Computed, Event, Heard, Message, Restored, Settled, Started, TimerFired
from p2pfd.core.ids import Account
from p2pfd.core.ticks import SECOND, Tick, after
from p2pfd.core.verdict import ACCEPT, Ignore
from p2pfd.errors import DecodeError
from p2pfd.roles.circle import GREET
from p2pfd.roles.encounter.case import Standing
from p2pfd.roles.encounter.deal import from_plain, proposed, terms_of, unfair
from p2pfd.roles.encounter.learner import Learner
from p2pfd.roles.encounter.membership import Membership
from p2pfd.roles.encounter.neighbor import Neighbor
from p2pfd.roles.encounter.office import Desk, Office
from p2pfd.roles.encounter.part import Effects, Part
from p2pfd.roles.encounter.side import Answered, Side
from p2pfd.roles.encounter.validator import Validator
from p2pfd.wire.messages import Agree, Bind, Brief, Deliver, Hello, Propose, Show

NEXT = "next"
SNAPSHOT_LIMIT = 16 * 1024 * 1024
MOST_JUDGED = 256
"""So many encounters are judged at a time at most; each costs its learner and its neighbor an escrow."""
_VERSION = 1
_ENDS = (told.Settled, told.Defaulted, told.Voided)
_STRANGER = Ignore("no account vouches for this peer yet")


class Device:
    """All that one account does in encounters. Each encounter is a part of its own, under its key."""

    kind = "encounters"

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.office = Office(desk)
        self.member = Membership(self.office, lambda: bool(self.sides))
        self.sides: dict[str, Side] = {}
        self.done = 0
        """How many encounters of its own were opened, and are over."""
        self.greeting = False
        self.waiting = False
        """Whether the next encounter of its own has its timer."""

    # -- the machine protocol ------------------------------------------------------------------------------------------

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        """What follows from this event."""
        effects = self._react(now, event)
        effects += self._tidy(now)
        return tuple(effects)

    def _react(self, now: Tick, event: Event) -> Effects:
        match event:
            case Started():
                return [*self._greet(), *self.member.begin(now)]
            case Restored():
                return self._restored(now)
            case Heard():
                return self._heard(now, event)
            case TimerFired(name):
                return self._fired(now, name)
            case Computed(job, outcome, failure):
                part, name = self._part(job)
                return [] if part is None else part.computed(now, name, outcome, failure)
            case Settled(intent, receipt):
                part, name = self._part(intent)
                return [] if part is None else part.receipt(now, name, receipt)
            case ChainSaw():
                saw: object = event.event
                return self._saw(now, saw, event.block) if isinstance(saw, get_args(EncounterEvent)) else []

    def snapshot(self) -> bytes:
        """The whole state as canonical bytes."""
        office = self.office
        state: dict[str, Plain] = {
            "kind": self.kind,
            "version": _VERSION,
            "task": self.desk.task,
            "circle": office.circle.to_plain(),
            "seats": [[seat, who] for seat, who in sorted(office.seats.items())],
            "nonces": [[who, lane, nonce] for (who, lane), nonce in sorted(office.nonces.items())],
            "marks": [[who, count] for who, count in sorted(office.marks.items())],
            "member": self.member.to_plain(),
            "sides": [{"role": side.role, **side.to_plain()} for side in self.sides.values()],
            "done": self.done,
            "flags": [self.greeting, self.waiting],
        }
        return encode(state)

    def restore(self, raw: bytes) -> None:
        """Become the device of a snapshot of the same account's in the same task."""
        value = decode(raw, limit=SNAPSHOT_LIMIT)
        if not isinstance(value, dict) or (value.get("kind"), value.get("version")) != (self.kind, _VERSION):
            raise DecodeError(f"not a snapshot of {self.kind}, version {_VERSION}")
        if value.get("task") != self.desk.task:
            raise DecodeError("a snapshot of another task")
        try:
            self._fill(value)
        except (KeyError, TypeError, ValueError, AttributeError, DecodeError) as error:
            raise DecodeError(f"a damaged snapshot of {self.kind}") from error

    def _fill(self, value: Mapping[str, Any]) -> None:
        office = self.office
        office.circle.fill(value["circle"])
        office.seats = {int(seat): Account(who) for seat, who in value["seats"]}
        office.nonces = {(Account(who), int(lane)): int(nonce) for who, lane, nonce in value["nonces"]}
        office.marks = {Account(who): int(count) for who, count in value["marks"]}
        self.member.fill(value["member"])
        self.sides = {}
        for held in value["sides"]:
            side = self._blank(held)
            side.fill(held)
            self.sides[side.id] = side
        self.done = int(value["done"])
        self.greeting, self.waiting = value["flags"]

    def _blank(self, held: Mapping[str, Any]) -> Side:
        match held["role"]:
            case "learner":
                return Learner(self.office, 0)
            case "neighbor":
                return Neighbor(self.office, from_plain(held["case"]["deal"]))
            case "validator":
                return Validator(self.office, 0)
        raise DecodeError("a side of no role")

    # -- events --------------------------------------------------------------------------------------------------------

    def _restored(self, now: Tick) -> Effects:
        effects = self._greet()
        soonest = after(now, self.office.habits.slack_seconds * SECOND)
        effects += self.member.restored(soonest)
        for side in tuple(self.sides.values()):
            effects += side.restored(soonest)
        return [*effects, SetTimer(NEXT, now)] if self.waiting else effects

    def _part(self, name: str) -> tuple[Part | None, str]:
        owner, _, rest = name.partition("/")
        return (self.member if owner == self.member.id else self.sides.get(owner)), rest

    def _fired(self, now: Tick, name: str) -> Effects:
        if name == GREET:
            return self._greet()
        if name == NEXT:
            self.waiting = False
            return []
        part, rest = self._part(name)
        return [] if part is None else part.fired(now, rest)

    def _saw(self, now: Tick, saw: Any, block: int) -> Effects:
        match saw:
            case told.SeatTaken(seat, holder):
                self.office.seats[seat] = holder
                return []
            case told.SeatVacated(seat):
                self.office.seats.pop(seat, None)
                return []
            case told.SeatLeft(seat) | told.SeatBack(seat):
                return self.member.glance(now) if self.office.seats.get(seat) == self.office.me else []
        if isinstance(saw, _ENDS):
            self.office.ended(saw.key)
        called = self._called(now, saw) if isinstance(saw, told.Drawn) else []
        effects: Effects = []
        for side in tuple(self.sides.values()):
            if side.case.key == saw.key:
                effects += side.saw(now, saw, block)
        return [*called, *effects]

    def _called(self, now: Tick, drawn: told.Drawn) -> Effects:
        """Perhaps this device was drawn: the size of the committee is not told, and seat 0 looks like nobody's."""
        mine = [where_.seat(drawn.where, place) for place in range(MAX_SIZE)]
        known = any(side.case.key == drawn.key for side in self.sides.values())
        if known or not any(self.office.seats.get(seat) == self.office.me for seat in mine):
            return []
        if sum(isinstance(side, Validator) for side in self.sides.values()) >= MOST_JUDGED:
            return [Emit("validator.full", {"key": f"{drawn.key:x}"})]
        side = Validator(self.office, drawn.key)
        self.sides[side.id] = side
        return side.begin(now)

    # -- what peers say ------------------------------------------------------------------------------------------------

    def _heard(self, now: Tick, event: Heard) -> Effects:
        message = event.message
        if isinstance(message, Hello):
            return self._heard_hello(now, event, message)
        who = self.office.circle.accounts.get(event.sender)
        if who is None:
            return [Answer(event.delivery, _STRANGER)]
        verdict, effects = self._take(now, who, message, event.raw)
        return [Answer(event.delivery, verdict), *effects]

    def _heard_hello(self, now: Tick, event: Heard, hello: Hello) -> Effects:
        verdict, is_new = self.office.circle.hear(hello, ())
        effects: Effects = [Answer(event.delivery, verdict)]
        if is_new and not self.greeting and self.desk.hello is not None:
            self.greeting = True
            effects.append(self.office.circle.greeting(now))
        return effects

    def _take(self, now: Tick, who: Account, message: Message, raw: bytes) -> Answered:
        """Messages find their encounter by what they name; an encounter that is not here makes nobody a liar."""
        sides: list[Side]
        match message:
            case Propose():
                return self._proposed(now, who, message, raw)
            case Agree():
                sides = [side for side in self.sides.values() if isinstance(side, Learner) and side.asked[-1:] == [who]]
            case Brief():
                key = terms_of(message.terms, message.learner, message.neighbor).key
                sides = [side for side in self.sides.values() if isinstance(side, Validator) and side.case.key == key]
            case Deliver(name):
                sides = [side for side in self.sides.values() if side.case.name == name]
            case Bind(result) | Show(result):
                sides = [side for side in self.sides.values() if side.case.result == result]
            case _:
                return Ignore(f"a {type(message).__name__} means nothing to this role"), []
        answered: Answered = Ignore("of no encounter that is known here"), []
        for side in sides:  # more than one only where this device asks the same neighbor in two lanes
            answered = side.heard(now, who, message, raw)
            if not isinstance(answered[0], Ignore):
                break
        return answered

    def _proposed(self, now: Tick, who: Account, message: Propose, raw: bytes) -> Answered:
        office = self.office
        salt = office.hidden("neighbor", who, message.terms, message.before, message.salt)
        deal = proposed(message, who, office.me, self.desk.task, salt)
        terms = deal.terms
        held = next((side for side in self.sides.values() if side.id == f"neighbor-{terms.key:x}"), None)
        if held is not None:
            return held.heard(now, who, message, raw)
        reason = unfair(terms, message.tolerance, now // SECOND, self.office.habits)
        served = [side for side in self.sides.values() if isinstance(side, Neighbor)]
        pending = [side for side in served if side.case.standing is Standing.NONE]
        if reason is None and terms.nonce != office.nonce(who, terms.lane):
            reason = "the nonce is not the lane's next one"
        if reason is None and (len(served) >= office.serves(who) or now >= office.habits.until):
            reason = "this device serves no more at present"
        if reason is None and any(side.case.sure.learner == who for side in pending):
            reason = "another proposal of this learner is being weighed"
        if reason is None and self._spare() < max(terms.prepayment, office.habits.threshold):
            reason = "this device has too little free"
        if reason is not None:
            return Ignore(reason), []
        side = Neighbor(office, deal)
        self.sides[side.id] = side
        return ACCEPT, side.begin(now)

    # -- what is to be begun, and what is over -------------------------------------------------------------------------

    def _spare(self) -> int:
        """What is free and not promised: of encounters that are not open yet, the prepayment will still be bound."""
        promised = 0
        for side in self.sides.values():
            if side.case.standing is Standing.NONE and not isinstance(side, Validator):
                promised += side.case.terms.prepayment if side.case.terms else self.office.habits.prepayment
        return self.member.free - promised

    def _tidy(self, now: Tick) -> Effects:
        effects: Effects = []
        ended = [side for side in self.sides.values() if side.over]
        for side in ended:
            del self.sides[side.id]
            if isinstance(side, Learner):
                self.done += side.case.standing is not Standing.NONE
                effects += self._later(now, self.office.habits.pause)
        if ended:
            effects += [Persist(), *self.member.glance(now)]
        return [*effects, *self._begin(now)]

    def _begin(self, now: Tick) -> Effects:
        """Encounters of one's own, as many as there are lanes."""
        habits = self.office.habits
        if self.waiting or not self.member.looked or now >= habits.until:
            return []
        lanes = {side.lane for side in self.sides.values() if isinstance(side, Learner)}
        free = [lane for lane in range(habits.lanes) if lane not in lanes]
        if not free or self.done + len(lanes) >= habits.encounters:
            return []
        if not self.office.partners():
            return self._later(now, habits.pause)  # nobody has said hello yet, or there are too few seats to judge it
        if self._spare() < self.member.needed():
            # What its membership is at now may change that, and then it is asked here again at once.
            return [] if self.member.at_work else self._later(now, habits.patience)
        side = Learner(self.office, free[0])
        self.sides[side.id] = side
        return [*side.begin(now), *self._later(now, habits.pause)]

    def _later(self, now: Tick, length: int) -> Effects:
        if self.waiting:
            return []
        self.waiting = True
        return [SetTimer(NEXT, after(now, length))]

    def _greet(self) -> Effects:
        self.greeting = False
        return [Publish(self.desk.hello)] if self.desk.hello is not None else []

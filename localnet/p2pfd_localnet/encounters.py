"""Encounters as people see them: what learner, neighbor and validators each tell, folded into one picture of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from p2pfd.core.encounter_claims import RULES
from p2pfd.incentives.encounter_audit import End
from p2pfd.incentives.payouts import WHOLE
from p2pfd.incentives.ptsc import SCALE
from p2pfd_localnet.events import NodeEvent

STEPS = ("stake", "check in", "learn", "draw", "judge", "vote", "result", "award", "go on")
"""What an encounter goes through, in the order in which it does; it is counted from one."""
KEPT = 600
"""So many are remembered; the first ones are forgotten first."""
_ROLES = ("learner", "neighbor", "validator")
_ADDRESS = 1 << 160
_KEY_DIGITS = 64
_NONCE = (1 << 40) - 1
_WITHOUT_VOTES = ("voided", "defaulted")


@dataclass
class Seat:
    """A validator's place in a committee."""

    node: str
    vote: bool | None = None
    before: float | None = None
    after: float | None = None


@dataclass
class Meeting:
    """One encounter, as far as anybody told."""

    number: int
    learner: str
    nth: int
    """Which of its learner's own it is, from one."""
    neighbor: str = ""
    prepayment: int = 0
    began: int = 0
    ended: int = 0
    step: int = 1
    state: str = "open"
    accuracy: float | None = None
    seats: dict[int, Seat] = field(default_factory=dict)

    def reach(self, step: str) -> None:
        """It has come so far, at least."""
        self.step = max(self.step, STEPS.index(step) + 1)

    def to_plain(self) -> dict[str, Any]:
        """What the page draws."""
        return {
            "number": self.number,
            "learner": self.learner,
            "nth": self.nth,
            "neighbor": self.neighbor,
            "step": self.step,
            "state": self.state,
            "began": self.began // 1000,
            "ended": self.ended // 1000,
            "accuracy": self.accuracy,
            "seats": [
                [place, seat.node, seat.vote, seat.before, seat.after] for place, seat in sorted(self.seats.items())
            ],
        }


class Encounters:
    """All encounters of a mesh, by the key that the chain gives each."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._met: dict[str, Meeting] = {}
        self._count = 0

    def get(self, key: str) -> Meeting | None:
        """The encounter of this key."""
        return self._met.get(key)

    def take(self, event: NodeEvent, names: Mapping[str, str]) -> str:
        """Fold in what a node tells of one; its key, or nothing where the event is about none. Accounts have names."""
        role, _, name = event.name.partition(".")
        of, _, key = event.text("part").partition("-")
        if role not in _ROLES or of != role or not key:
            return ""
        met = self._met.get(key)
        if met is None:
            if name not in ("opened", "drawn"):  # the end of one that was forgotten, or of something else
                return ""
            met = self._begin(key, names)
            if met is None:
                return ""
        tell = getattr(self, f"_{role}_{name}", None)
        if tell is not None:
            tell(met, event, names)
        if name in ("opened", "drawn"):
            met.began = min(met.began or event.t, event.t)
        return key

    def _begin(self, key: str, names: Mapping[str, str]) -> Meeting | None:
        try:
            number = int(key, 16)
        except ValueError:
            return None
        if number < 0 or len(key) > _KEY_DIGITS:
            return None
        self._count += 1
        who = f"0x{(number >> 96) % _ADDRESS:040x}"
        met = self._met[key] = Meeting(self._count, names.get(who, f"{who[:8]}…"), (number & _NONCE) + 1)
        met.reach("check in")
        while len(self._met) > KEPT:
            del self._met[next(iter(self._met))]
        return met

    # -- one method per event ------------------------------------------------------------------------------------------

    def _learner_opened(self, met: Meeting, event: NodeEvent, names: Mapping[str, str]) -> None:
        met.neighbor = _name(event.text("neighbor"), names) or met.neighbor
        met.prepayment = event.whole("prepayment")

    def _neighbor_opened(self, met: Meeting, event: NodeEvent, _names: Mapping[str, str]) -> None:
        met.neighbor = event.node
        met.prepayment = event.whole("prepayment")
        met.reach("learn")

    def _validator_drawn(self, met: Meeting, event: NodeEvent, names: Mapping[str, str]) -> None:
        met.neighbor = _name(event.text("neighbor"), names) or met.neighbor
        place = event.whole("place")
        if 0 <= place < self._size and place not in met.seats:
            met.seats[place] = Seat(event.node)
        met.reach("draw")

    def _validator_judged(self, met: Meeting, event: NodeEvent, _names: Mapping[str, str]) -> None:
        for seat in met.seats.values():
            if seat.node == event.node:
                seat.vote = event.fields.get("good") is True
                seat.before, seat.after = _millionths(event, "before"), _millionths(event, "after")
        met.reach("judge")
        if len(met.seats) == self._size and all(seat.vote is not None for seat in met.seats.values()):
            met.reach("vote")

    def _learner_settled(self, met: Meeting, event: NodeEvent, _names: Mapping[str, str]) -> None:
        met.state = "accepted" if event.fields.get("accepted") is True else "refused"
        met.ended = event.t
        met.reach("result")
        met.reach("award")

    def _learner_learnt(self, met: Meeting, event: NodeEvent, _names: Mapping[str, str]) -> None:
        met.accuracy = event.fraction("accuracy")
        met.reach("go on")

    def _over(self, met: Meeting, event: NodeEvent, _names: Mapping[str, str]) -> None:
        end = event.text("end")
        if end == "settled":
            met.reach("award")
        if end in _WITHOUT_VOTES and met.state == "open":
            met.state = end
            met.ended = event.t

    _learner_over = _neighbor_over = _validator_over = _over


def end_plain(end: End, names: Mapping[str, str]) -> dict[str, Any]:
    """What an encounter paid, and the sums behind it."""
    terms = end.terms
    return {
        "learner": _name(terms.learner, names),
        "neighbor": _name(terms.neighbor, names),
        "prepayment": terms.prepayment,
        "share": terms.prepayment * terms.share // WHOLE,
        "rule": RULES[terms.rule],
        "verdict": end.verdict,
        "paid": [end.neighbor - terms.prepayment, end.learner - terms.prepayment],
        "right": end.right,
        "judges": [
            {
                "node": _name(judge.holder, names) if judge.holder else "",
                "vote": judge.vote,
                "before": list(judge.before),
                "matches": judge.matches,
                "worth": judge.worth / SCALE,
                "score": judge.score / SCALE,
                "change": judge.change,
            }
            for judge in end.judges
        ],
    }


def key_of(end: End) -> str:
    """The key under which nodes tell of the encounter."""
    return f"{end.terms.key:x}"


def _name(account: str, names: Mapping[str, str]) -> str:
    return names.get(account, f"{account[:8]}…" if account else "")


def _millionths(event: NodeEvent, key: str) -> float | None:
    value = event.fields.get(key)
    return value / 1_000_000 if isinstance(value, int) and not isinstance(value, bool) else None

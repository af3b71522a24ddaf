"""What learner, neighbor and validators of an encounter all do: collect votes, settle in turns, take timed exits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from p2pfd.core.canonical import Plain
from p2pfd.core.claims import Receipt, Unknown
from p2pfd.core.effects import Send
from p2pfd.core.encounter_claims import EncounterClaim
from p2pfd.core.encounter_events import EncounterEvent
from p2pfd.core.events import Message
from p2pfd.core.ids import Account
from p2pfd.core.ticks import SECOND, Tick, after
from p2pfd.core.verdict import ACCEPT, Ignore, Verdict
from p2pfd.roles.encounter.case import Case, Standing
from p2pfd.roles.encounter.office import Office
from p2pfd.roles.encounter.part import OVER, Effects, Part, Rule
from p2pfd.wire.messages import Bind, Deliver, Show

TURN = 1 * SECOND
"""Whoever is next in turn waits so long for those before."""
CLOSES = 8
"""A close that was refused is tried again, so often at most."""
_NOTHING = Ignore("nothing that is waited for here")
Answered = tuple[Verdict, Effects]


def collecting(*at: str) -> tuple[Rule, ...]:
    """The rules by which votes are collected, in these stages."""
    return (
        Rule(at, "bind", (), "keeps the commitment", "on_bind"),
        Rule(at, "show", (), "keeps the vote; with all of them, settles in its turn", "on_show"),
        Rule(at, "timer settle", (), "settles, if nobody has", "on_settle"),
        Rule(at, "refused settle", (), "reports instead, in its turn", "on_unsettled"),
        Rule(at, "timer report", (), "not all votes came: reports, with the commitments that are here", "on_report"),
        Rule(at, "refused report", (), "tries again", "on_unreported"),
    )


def closing(*at: str) -> tuple[Rule, ...]:
    """The rules by which a timed exit is taken, in these stages."""
    return (
        Rule(at, "timer close", (OVER,), "closes, in its turn, and tries again if refused", "on_close"),
        Rule(at, "chain Revealed", (), "waits on", "on_noted"),
    )


class Side(Part):
    """One side of one encounter."""

    rank: ClassVar[int]

    def __init__(self, office: Office, key: int, stage: str) -> None:
        super().__init__(f"{self.role}-{key:x}", stage)
        self.office = office
        self.case = Case(office, key)
        self.closes = 0

    # -- what comes ----------------------------------------------------------------------------------------------------

    def heard(self, now: Tick, who: Account, message: Message, raw: bytes) -> Answered:
        """A message of a peer that vouches for an account."""
        out: Answered | None = self.react(now, type(message).__name__.lower(), who, message, raw)
        return (_NOTHING, []) if out is None else out

    def saw(self, now: Tick, event: EncounterEvent, block: int) -> Effects:
        """The chain told something of this encounter."""
        self.case.see(event, block)
        return self.react(now, f"chain {type(event).__name__}", event) or []

    # -- turns ---------------------------------------------------------------------------------------------------------

    def turn(self) -> int:
        """How many are to go first: the neighbor, who has most to win, then the learner, then the committee."""
        return self.rank

    def in_turn(self, name: str, first: Tick) -> Effects:
        """Be woken when it is one's turn."""
        return [self.wait(name, after(first, TURN * self.turn()))]

    def at_second(self, second: int) -> Tick:
        """When the chain has surely told of all that was before this second was over."""
        return Tick((second + 1 + self.office.habits.slack_seconds) * SECOND)

    def until_report(self) -> Effects:
        """The timers of an encounter that is open: by when to report, and when it can be closed."""
        terms = self.case.sure
        report = Tick((terms.learn_by - self.office.habits.margin_seconds) * SECOND)
        return [*self.in_turn("report", report), *self.in_turn("close", self.at_second(terms.learn_by))]

    def until_award(self) -> Effects:
        """The timer of an encounter that is reported: when it can be closed."""
        over = self.case.reported_at + 2 * self.case.sure.vote_seconds
        return [*self.quiet("report", "settle", "nudge"), *self.in_turn("close", self.at_second(over))]

    # -- handlers ------------------------------------------------------------------------------------------------------

    def on_bind(self, now: Tick, who: Account, message: Bind, raw: bytes) -> Answered:
        """A commitment."""
        return self.case.hear_bind(who, message, raw), []

    def on_show(self, now: Tick, who: Account, message: Show, raw: bytes) -> Answered:
        """A vote."""
        verdict = self.case.hear_show(who, message, raw)
        return verdict, self.complete(now) if verdict is ACCEPT else []

    def on_deliver(self, now: Tick, who: Account, message: Deliver, raw: bytes) -> Answered:
        """What the neighbor is liable for."""
        return self.case.hear_deliver(who, message, raw), []

    def complete(self, now: Tick) -> Effects:
        """Settle in turn, once all votes are here."""
        return self.in_turn("settle", now) if self.case.all_shown and "settle" not in self.due else []

    def on_settle(self, now: Tick) -> Effects:
        """Nobody before has settled."""
        fits = self.case.standing is Standing.DRAWN and self.case.all_shown and "settle" not in self.pending
        return self.submit("settle") if fits else []

    def on_unsettled(self, now: Tick) -> Effects:
        """The chain may have refused it because another's was first; the events will tell."""
        return self.in_turn("report", after(now, self.office.habits.slack_seconds * SECOND))

    def on_report(self, now: Tick) -> Effects:
        """Begin the votes on chain."""
        fits = self.case.standing is Standing.DRAWN and self.case.liable is not None and "report" not in self.pending
        return self.submit("report") if fits else []

    def on_unreported(self, now: Tick) -> Effects:
        """Once more, while there is time."""
        late = now >= self.case.sure.learn_by * SECOND
        return [] if late else [self.wait("report", after(now, self.office.habits.nudge))]

    def on_close(self, now: Tick) -> Effects:
        """Take the timed exit."""
        if self.case.standing in (Standing.NONE, Standing.ENDED):
            return []
        again = self.wait("close", after(now, (self.office.habits.slack_seconds + self.closes + 1) * SECOND))
        if "close" in self.pending:  # the chain has not answered yet
            return [again]
        self.closes += 1
        if self.closes > CLOSES:
            self.stage = OVER
            return [self.tell("stuck")]
        return [*self.submit("close"), again]

    def receipt(self, now: Tick, intent: str, receipt: Receipt) -> Effects:
        """What became of a claim. A chain that is away has refused no close: it is the same one the next time."""
        if isinstance(receipt, Unknown) and self.pending.get("close") == intent:
            self.closes -= 1
            self.attempts["close"] -= 1
        return super().receipt(now, intent, receipt)

    def on_noted(self, now: Tick, event: EncounterEvent) -> Effects:
        """The case has taken it in."""
        return []

    def on_ended(self, now: Tick, event: EncounterEvent) -> Effects:
        """It is over on chain."""
        self.stage = OVER
        return [self.tell("over", end=self.case.end, got=self.case.credit(self.role))]

    # -- small things --------------------------------------------------------------------------------------------------

    def claim(self, kind: str) -> EncounterClaim:
        """The claims that any side can make."""
        case = self.case
        match kind:
            case "draw":
                return case.draw_claim()
            case "settle":
                return case.settle_claim()
            case "report":
                return case.report_claim()
            case "close":
                return case.close_claim()
        raise KeyError(kind)

    def send(self, to: Iterable[Account | None], *messages: Message | None) -> Effects:
        """Say these to all of them that are known, apart from oneself."""
        peers = [self.office.peer_of(who) for who in to if who is not None and who != self.office.me]
        return [Send(peer, each) for peer in peers if peer is not None for each in messages if each is not None]

    def to_plain(self) -> dict[str, Plain]:
        """The side, for a snapshot."""
        return {**super().to_plain(), "case": self.case.to_plain(), "closes": self.closes}

    def fill(self, value: Mapping[str, Any]) -> None:
        """Take over what `to_plain` wrote."""
        super().fill(value)
        self.case.fill(value["case"])
        self.closes = int(value["closes"])

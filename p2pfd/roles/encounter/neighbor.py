"""The neighbor: weighs a proposal, signs, serves, delivers, and collects the votes that get it paid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2pfd.core.canonical import Plain
from p2pfd.core.effects import Persist, Work
from p2pfd.core.encounter_claims import Signature
from p2pfd.core.encounter_events import EncounterEvent
from p2pfd.core.ids import Account, Digest
from p2pfd.core.ticks import SECOND, Tick, after
from p2pfd.core.verdict import ACCEPT, Ignore
from p2pfd.roles.encounter.case import Standing
from p2pfd.roles.encounter.deal import Deal, write_signature
from p2pfd.roles.encounter.office import Office
from p2pfd.roles.encounter.part import OVER, Effects, Rule
from p2pfd.roles.encounter.side import Answered, Side, closing, collecting
from p2pfd.roles.encounter.work import Recall, Recalled, Serve, Served, Sign, Signed, Weigh, Weighed
from p2pfd.wire.messages import Agree, Propose

WEIGH, SIGN, AGREED, CHECK, SERVE, SEAL, DRAW, GATHER, VOTE = (
    "weigh",
    "sign",
    "agreed",
    "check",
    "serve",
    "seal",
    "draw",
    "gather",
    "vote",
)
_BEFORE = (WEIGH, SIGN, AGREED, CHECK)
_OPEN = (SERVE, SEAL, DRAW, GATHER)


class Neighbor(Side):
    """One encounter in which this device serves."""

    role = "neighbor"
    rank = 0
    rules = (
        Rule((WEIGH,), "done weigh", (SIGN,), "has the request: has the agreement signed", "on_weighed"),
        Rule((WEIGH,), "failed weigh", (OVER,), "gives up: there is no request, or it is none of this task", "on_lost"),
        Rule((SIGN,), "done agreement", (AGREED,), "agrees", "on_signed"),
        Rule((SIGN,), "failed agreement", (OVER,), "gives up", "on_lost"),
        Rule((WEIGH, SIGN, AGREED), "propose", (), "agrees once more; ignores other terms", "on_propose"),
        Rule((WEIGH, SIGN), "chain Opened", (OVER,), "gives up: the learner opened with another one", "on_elsewhere"),
        Rule(
            (AGREED,), "timer lapse", (CHECK,), "asks the chain whether it was opened: the signature lapses", "on_late"
        ),
        Rule((AGREED,), "chain Opened", (CHECK,), "asks the chain what was opened", "on_opened"),
        Rule((CHECK,), "done recall", (SERVE, OVER), "serves; over where another one was opened", "on_recalled"),
        Rule((CHECK,), "chain Opened", (), "goes on", "on_noted"),
        Rule((CHECK,), "failed recall", (OVER,), "over where nothing was opened; else asks again later", "on_unread"),
        Rule((CHECK,), "timer again", (), "asks again", "on_ask_again"),
        Rule((SERVE,), "done serve", (SEAL,), "has the result signed", "on_served"),
        Rule((SERVE,), "failed serve", (), "tries again later, until it can be closed", "on_unknown"),
        Rule((SERVE,), "timer again", (), "tries again", "on_serve_again"),
        Rule((SEAL,), "done result", (DRAW, GATHER), "has the committee drawn, or delivers to it", "on_sealed"),
        Rule((SEAL,), "failed result", (), "tries again later", "on_unknown"),
        Rule((SEAL,), "timer again", (), "tries again", "on_seal_again"),
        Rule((DRAW,), "refused draw", (), "asks again later: a block must pass first", "on_undrawn"),
        Rule((DRAW,), "timer draw", (), "asks again", "on_draw"),
        Rule((DRAW,), "chain Drawn", (GATHER,), "briefs the committee, delivers to it and to the learner", "on_drawn"),
        Rule((SERVE, SEAL), "chain Drawn", (), "goes on: somebody had the committee drawn", "on_noted"),
        Rule((GATHER,), "timer nudge", (), "tells once more those of whom nothing is heard", "on_nudge"),
        *collecting(GATHER),
        Rule((GATHER, SEAL, DRAW), "chain Reported", (VOTE,), "waits for the votes on chain", "on_reported"),
        Rule((VOTE,), "chain Committed", (), "waits on", "on_noted"),
        Rule((VOTE,), "timer nudge", (), "tells once more those who are not bound", "on_nudge"),
        *closing(*_OPEN, VOTE),
        Rule((*_BEFORE, *_OPEN, VOTE), "chain Settled", (OVER,), "is paid, or not", "on_settled"),
        Rule((*_BEFORE, *_OPEN, VOTE), "chain Defaulted", (OVER,), "has paid damages", "on_ended"),
        Rule((*_BEFORE, *_OPEN, VOTE), "chain Voided", (OVER,), "has its tokens back", "on_ended"),
    )

    def __init__(self, office: Office, deal: Deal) -> None:
        super().__init__(office, deal.terms.key, WEIGH)
        self.case.agree(deal)
        self.agreed: Signature | None = None

    def begin(self, now: Tick) -> Effects:
        """Fetch the request."""
        return [self.compute("weigh")]

    def work(self, job: str) -> Work:
        """The works of a neighbor."""
        deal = self.case.deal
        assert deal is not None
        before = deal.check_in.before
        match job:
            case "weigh":
                return Weigh(before, deal.size)
            case "agreement":
                return Sign(self.case.name)
            case "recall":
                return Recall(self.case.key)
            case "serve":
                return Serve(self.case.key, before, deal.size)
        return Sign(self.case.result)

    # -- to an agreement -----------------------------------------------------------------------------------------------

    def on_weighed(self, now: Tick, outcome: Weighed) -> Effects:
        """The request can be served."""
        self.stage = SIGN
        return [self.compute("agreement")]

    def on_signed(self, now: Tick, outcome: Signed) -> Effects:
        """Bound, if the learner opens in time."""
        self.stage, self.agreed = AGREED, outcome.signature
        lapse = self.wait("lapse", self.at_second(self.case.sure.open_by))
        return [Persist(), *self._agree(), lapse]

    def on_propose(self, now: Tick, who: Account, message: Propose, raw: bytes) -> Answered:
        """The learner has not heard the answer, or thinks twice."""
        deal = self.case.deal
        if deal is None or deal.proposal() != message:
            return Ignore("other terms than those that are being weighed"), []
        return ACCEPT, self._agree() if self.stage == AGREED else []

    def _agree(self) -> Effects:
        deal = self.case.deal
        if deal is None or self.agreed is None:
            return []
        message = Agree(Digest(self.case.name), deal.check_in.neighbor_salt, write_signature(self.agreed))
        return self.send([self.case.sure.learner], message)

    def on_lost(self, now: Tick) -> Effects:
        """Nothing is bound yet."""
        self.stage = OVER
        return []

    def on_lapsed(self, now: Tick) -> Effects:
        """The learner went elsewhere."""
        self.stage = OVER
        return [self.tell("lapsed")]

    def on_elsewhere(self, now: Tick, event: EncounterEvent) -> Effects:
        """The learner's key is in use."""
        return self.on_lapsed(now)

    # -- to a result ---------------------------------------------------------------------------------------------------

    def on_opened(self, now: Tick, event: EncounterEvent) -> Effects:
        """Something was opened under the key: the event does not tell with whom."""
        self.stage = CHECK
        return [*self.quiet("lapse"), self.compute("recall")]

    def on_recalled(self, now: Tick, outcome: Recalled) -> Effects:
        """This one, or another neighbor's."""
        if outcome.name != self.case.name:
            return self.on_lapsed(now)
        self.stage = SERVE
        told = self.tell("opened", learner=self.case.sure.learner, prepayment=self.case.sure.prepayment)
        return [Persist(), told, self.compute("serve"), *self.until_report()]

    def on_late(self, now: Tick) -> Effects:
        """The chain told of nothing; it may be late."""
        self.stage = CHECK
        return [self.compute("recall")]

    def on_unread(self, now: Tick) -> Effects:
        """The chain did not say, or has nothing to say."""
        if self.case.standing is not Standing.NONE:
            return self.on_unknown(now)
        self.office.mark(self.case.sure.learner)  # it had this device bound for nothing
        return self.on_lapsed(now)

    def on_unknown(self, now: Tick) -> Effects:
        """Later."""
        return [self.wait("again", after(now, self.office.habits.nudge))]

    def on_ask_again(self, now: Tick) -> Effects:
        """Once more."""
        return [self.compute("recall")]

    def on_serve_again(self, now: Tick) -> Effects:
        """Once more."""
        return [self.compute("serve")]

    def on_seal_again(self, now: Tick) -> Effects:
        """Once more."""
        return [self.compute("result")]

    def on_served(self, now: Tick, outcome: Served) -> Effects:
        """The answer is made: what has to be signed is known."""
        self.stage = SEAL
        self.case.after, self.case.after_size = outcome.after, outcome.size
        self.case.result = self.office.papers.result(self.case.name, outcome.after)
        return [self.compute("result")]

    def on_sealed(self, now: Tick, outcome: Signed) -> Effects:
        """Liable from here on."""
        self.case.deliver(self.case.after, self.case.after_size, outcome.signature)
        if self.case.standing is Standing.DRAWN:
            return self._deliver(now)
        self.stage = DRAW
        return [*self.send([self.case.sure.learner], self.case.delivery()), *self.submit("draw")]

    def on_undrawn(self, now: Tick) -> Effects:
        """The block of the opening has to be over."""
        return [self.wait("draw", after(now, self.office.habits.nudge))]

    def on_draw(self, now: Tick) -> Effects:
        """Once more."""
        return self.submit("draw")

    def on_drawn(self, now: Tick, event: EncounterEvent) -> Effects:
        """The committee is known."""
        return self._deliver(now)

    def _deliver(self, now: Tick) -> Effects:
        self.stage = GATHER
        patience = after(now, self.case.sure.vote_seconds * SECOND)
        report = min(patience, Tick((self.case.sure.learn_by - self.office.habits.margin_seconds) * SECOND))
        told = self.send([self.case.sure.learner], self.case.delivery())
        return [Persist(), *told, *self.on_nudge(now), self.wait("report", max(now, report))]

    def on_nudge(self, now: Tick) -> Effects:
        """Brief and deliver to those of whom nothing is heard."""
        case = self.case
        # After a report only what is on chain counts.
        heard = [place for place, made in enumerate(case.bound) if any(made)] if case.fixed else list(case.binds)
        silent = [case.holder(place) for place in range(case.sure.size) if place not in heard]
        if not silent:
            return []
        deal = case.deal
        again = self.wait("nudge", after(now, self.office.habits.nudge))
        return [*self.send(silent, None if deal is None else deal.brief(), case.delivery()), again]

    def on_reported(self, now: Tick, event: EncounterEvent) -> Effects:
        """The chain counts the votes."""
        self.stage = VOTE
        return [Persist(), *self.until_award(), *self.on_nudge(now)]

    def on_settled(self, now: Tick, event: EncounterEvent) -> Effects:
        """This learner opens what it proposes."""
        self.office.clear(self.case.sure.learner)
        return self.on_ended(now, event)

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def to_plain(self) -> dict[str, Plain]:
        """The neighbor, for a snapshot."""
        return {**super().to_plain(), "agreed": None if self.agreed is None else [self.agreed.r, self.agreed.vs]}

    def fill(self, value: Mapping[str, Any]) -> None:
        """Take over what `to_plain` wrote."""
        super().fill(value)
        self.agreed = None if value["agreed"] is None else Signature(*value["agreed"])

"""The learner: asks around for a neighbor, opens the encounter, and goes on from the answer once it is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2pfd.core.canonical import Plain
from p2pfd.core.effects import Persist, Work
from p2pfd.core.encounter_claims import CheckIn, EncounterClaim, EncounterTerms, OpenEncounter, Signature
from p2pfd.core.encounter_events import EncounterEvent
from p2pfd.core.ids import Account, Amount, Digest
from p2pfd.core.ticks import SECOND, Tick, after
from p2pfd.core.verdict import ACCEPT, Ignore, Reject
from p2pfd.roles.encounter.deal import Deal, from_plain, proposed, read_signature
from p2pfd.roles.encounter.office import Office
from p2pfd.roles.encounter.part import OVER, Effects, Rule
from p2pfd.roles.encounter.side import Answered, Side, closing, collecting
from p2pfd.roles.encounter.work import Ask, Asked, Confirm, Confirmed, Recall, Recalled, Take, Taken
from p2pfd.wire.limits import MAX_OFFERED
from p2pfd.wire.messages import Agree, Deliver

ASK, OFFER, OPENING, LEARN, VOTE, TAKE = "ask", "offer", "opening", "learn", "vote", "take"
TAKES = 5
"""An answer that cannot be fetched is tried again, so often at most."""


class Learner(Side):
    """One encounter that this device pays for."""

    role = "learner"
    rank = 1
    rules = (
        Rule((ASK,), "done ask", (OFFER, OVER), "proposes to a neighbor; over where there is none", "on_asked"),
        Rule((ASK,), "failed ask", (OVER,), "gives up", "on_failed"),
        Rule((OFFER,), "agree", (OPENING,), "checks the signature, opens", "on_agree"),
        Rule((OFFER,), "timer nudge", (), "proposes once more to the same one", "on_nudge"),
        Rule((OFFER,), "timer patience", (OFFER, OVER), "proposes to the next; over after the last", "on_next"),
        Rule((OPENING,), "refused open", (OFFER, OVER), "proposes to the next; over after the last", "on_next"),
        Rule((OPENING,), "timer lapse", (OFFER, OVER), "it was never opened: proposes to the next", "on_next"),
        Rule((OFFER, OPENING), "chain Opened", (LEARN, OVER), "waits for the answer", "on_opened"),
        Rule((LEARN,), "done recall", (), "knows now which of its agreements was opened", "on_recalled"),
        Rule((LEARN,), "failed recall", (), "asks again later", "on_unread"),
        Rule((LEARN,), "timer recall", (), "asks again", "on_reread"),
        Rule((LEARN, VOTE), "deliver", (), "keeps what the neighbor is liable for", "on_deliver"),
        Rule((LEARN,), "chain Drawn", (), "briefs the committee", "on_drawn"),
        Rule((LEARN,), "timer nudge", (), "briefs once more those of whom nothing is heard", "on_brief"),
        *collecting(LEARN),
        Rule((LEARN,), "chain Reported", (VOTE,), "briefs the committee, waits for its votes", "on_reported"),
        Rule((VOTE,), "chain Committed", (), "waits on", "on_noted"),
        *closing(LEARN, VOTE),
        Rule((LEARN, VOTE), "chain Settled", (TAKE, OVER), "accepted: takes the answer; else goes on", "on_settled"),
        Rule((OFFER, OPENING, LEARN, VOTE), "chain Defaulted", (OVER,), "has its tokens back, and damages", "on_bad"),
        Rule((OFFER, OPENING, LEARN, VOTE), "chain Voided", (OVER,), "has its tokens back", "on_ended"),
        Rule((TAKE,), "done confirm", (), "takes the answer that the chain names", "on_confirmed"),
        Rule((TAKE,), "failed confirm", (OVER,), "tries again later; over after the last time", "on_untaken"),
        Rule((TAKE,), "done take", (OVER,), "has learnt", "on_taken"),
        Rule((TAKE,), "failed take", (OVER,), "tries again later; over after the last time", "on_untaken"),
        Rule((TAKE,), "timer again", (OVER,), "tries again; over after the last time", "on_again"),
    )

    def __init__(self, office: Office, lane: int) -> None:
        terms_key = int(office.me, 16) << 96 | lane << 40 | office.nonce(office.me, lane)
        super().__init__(office, terms_key, ASK)
        self.lane = lane
        self.before = b""
        self.size = 0
        self.asked: list[Account] = []
        """Whom it has proposed to; the last one is the present one."""
        self.offered: Deal | None = None
        self.agreed: list[tuple[Deal, Signature]] = []
        """What neighbors have signed; the last one is the one to open, or that was opened."""
        self.takes = 0
        self.certain = False

    def begin(self, now: Tick) -> Effects:
        """Make a request."""
        return [self.compute("ask")]

    def work(self, job: str) -> Work:
        """The works of a learner."""
        if job == "ask":
            return Ask(self.case.key)
        if job == "recall":
            return Recall(self.case.key)
        if job == "confirm":
            return Confirm(self.case.key)
        return Take(self.case.key, Digest(self.case.after), self.case.after_size)

    def claim(self, kind: str) -> EncounterClaim:
        """The claims of a learner."""
        if kind == "open":
            deal, signature = self.agreed[-1]
            return OpenEncounter(deal.terms, deal.details(self.office.papers), signature)
        return super().claim(kind)

    # -- to an agreement -----------------------------------------------------------------------------------------------

    def on_asked(self, now: Tick, outcome: Asked) -> Effects:
        """The request is made."""
        self.before, self.size = outcome.before, outcome.size
        return self.on_next(now)

    def on_failed(self, now: Tick) -> Effects:
        """There is no request."""
        self.stage = OVER
        return []

    def on_next(self, now: Tick) -> Effects:
        """Propose to the next one."""
        quiet = self.quiet("nudge", "patience", "lapse")
        self.pending.pop("open", None)
        partner = self.office.partner(self.case.key, self.asked)
        if partner is None:
            self.stage = OVER
            return [*quiet, self.tell("alone", asked=len(self.asked))]
        self.stage = OFFER
        self.asked.append(partner)
        self.offered = self._offer(now, partner)
        habits = self.office.habits
        waits = [self.wait("patience", after(now, habits.patience)), self.wait("nudge", after(now, habits.nudge))]
        return [*quiet, Persist(), *self.send([partner], self.offered.proposal()), *waits]

    def _offer(self, now: Tick, partner: Account) -> Deal:
        habits, me = self.office.habits, self.office.me
        open_by = now // SECOND + habits.open_seconds
        terms = EncounterTerms(
            learner=me,
            neighbor=partner,
            prepayment=Amount(habits.prepayment),
            open_by=open_by,
            learn_by=open_by + habits.learn_seconds,
            nonce=self.office.nonce(me, self.lane),
            vote_seconds=habits.vote_seconds,
            share=habits.share,
            size=habits.size,
            rule=habits.rule,
            lane=self.lane,
        )
        salt = self.office.hidden("learner", self.case.key, len(self.asked))
        check = CheckIn(self.office.desk.task, Digest(self.before), habits.tolerance, salt, bytes(32))
        return Deal(terms, check, self.size)

    def on_nudge(self, now: Tick) -> Effects:
        """The proposal, or its answer, may have been lost."""
        assert self.offered is not None
        again = self.wait("nudge", after(now, self.office.habits.nudge))
        return [*self.send(self.asked[-1:], self.offered.proposal()), again]

    def on_agree(self, now: Tick, who: Account, message: Agree, raw: bytes) -> Answered:
        """The neighbor has signed: open."""
        assert self.offered is not None
        task, terms = self.office.desk.task, self.offered.terms
        deal = proposed(self.offered.proposal(), terms.learner, terms.neighbor, task, message.salt)
        if deal.name(self.office.papers) != message.name:
            return Ignore("an agreement to another proposal"), []
        signature = read_signature(message.signature)
        if self.office.signed(message.name, signature) != who:
            return Reject("an agreement that its sender's account has not signed", (raw,)), []
        self.case.agree(deal)
        self.agreed.append((deal, signature))
        self.stage = OPENING
        lapse = self.wait("lapse", self.at_second(terms.open_by))
        return ACCEPT, [*self.quiet("nudge", "patience"), *self.submit("open"), lapse]

    def on_opened(self, now: Tick, event: EncounterEvent) -> Effects:
        """Both are bound. Only this device opens under its own key, and only what was signed last."""
        if self.case.deal is None:
            self.stage = OVER
            return [self.tell("strange", why="somebody else opens with this account's key")]
        self.stage = LEARN
        opened = self.tell("opened", neighbor=self.case.sure.neighbor, prepayment=self.case.sure.prepayment)
        # An opening that was given up for late may have been taken all the same, and not the one that came after it.
        recall = [self.compute("recall")] if len(self.agreed) > 1 else []
        return [*self.quiet("nudge", "patience", "lapse"), Persist(), opened, *self.until_report(), *recall]

    def on_recalled(self, now: Tick, outcome: Recalled) -> Effects:
        """The chain says which."""
        found = [each for each in self.agreed if each[0].name(self.office.papers) == outcome.name]
        if found and found[0][0] != self.case.deal:
            self.agreed = found
            self.case.agree(found[0][0])
        return [Persist(), *self.until_report()]

    def on_unread(self, now: Tick) -> Effects:
        """Later."""
        return [self.wait("recall", after(now, self.office.habits.nudge))]

    def on_reread(self, now: Tick) -> Effects:
        """Once more."""
        return [self.compute("recall")]

    # -- to a result ---------------------------------------------------------------------------------------------------

    def on_deliver(self, now: Tick, who: Account, message: Deliver, raw: bytes) -> Answered:
        """The answer can be fetched from now on; votes that came before can settle only with it."""
        verdict, _ = super().on_deliver(now, who, message, raw)
        return verdict, [Persist(), *self.complete(now)] if verdict is ACCEPT else []

    def on_drawn(self, now: Tick, event: EncounterEvent) -> Effects:
        """So that nobody who was drawn can be kept from knowing."""
        return self.on_brief(now)

    def on_brief(self, now: Tick) -> Effects:
        """Brief those of whom nothing is heard."""
        deal = self.case.deal
        silent = [self.case.holder(place) for place in range(self.case.sure.size) if place not in self.case.binds]
        again = [self.wait("nudge", after(now, self.office.habits.nudge))] if silent else []
        return [*self.send(silent, None if deal is None else deal.brief()), *again]

    def on_reported(self, now: Tick, event: EncounterEvent) -> Effects:
        """The votes are on chain."""
        self.stage = VOTE
        deal = self.case.deal
        briefs = self.send(self.case.committee(), None if deal is None else deal.brief())
        return [Persist(), *briefs, *self.until_award()]

    def on_settled(self, now: Tick, event: EncounterEvent) -> Effects:
        """Merge only what was accepted."""
        told = self.tell("settled", accepted=self.case.accepted, neighbor=self.case.sure.neighbor)
        quiet = self.quiet(*sorted(self.due))
        if not self.case.accepted:
            self.office.mark(self.case.sure.neighbor)
            self.stage = OVER
            return [*quiet, told]
        self.office.clear(self.case.sure.neighbor)
        self.stage = TAKE
        # What was delivered here counts only if it is what was voted on: the neighbor may have signed two answers.
        self.certain = bool(self.case.after) and (self.case.fixed or self.case.all_bound)
        return [*quiet, told, Persist(), *self.on_again(now)]

    def on_confirmed(self, now: Tick, outcome: Confirmed) -> Effects:
        """The answer that was voted on."""
        if outcome.after != self.case.after:
            self.case.after, self.case.after_size = outcome.after, MAX_OFFERED
        self.certain = True
        return [Persist(), *self.on_again(now)]

    def on_bad(self, now: Tick, event: EncounterEvent) -> Effects:
        """The neighbor delivered nothing."""
        if self.case.terms is not None:
            self.office.mark(self.case.sure.neighbor)
        return self.on_ended(now, event)

    def on_taken(self, now: Tick, outcome: Taken) -> Effects:
        """The learner is better for it."""
        self.stage = OVER
        return [self.tell("learnt", weights=outcome.weights, **outcome.figures)]

    def on_untaken(self, now: Tick) -> Effects:
        """It can not be had, now."""
        self.takes += 1
        if self.takes >= TAKES:
            self.stage = OVER
            return [self.tell("lost")]
        return [self.wait("again", after(now, self.office.habits.patience))]

    def on_again(self, now: Tick) -> Effects:
        """Once more."""
        return [self.compute("take" if self.certain else "confirm")]

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def to_plain(self) -> dict[str, Plain]:
        """The learner, for a snapshot."""
        return {
            **super().to_plain(),
            "lane": self.lane,
            "request": [self.before, self.size],
            "asked": list(self.asked),
            "offered": None if self.offered is None else self.offered.to_plain(),
            "agreed": [[deal.to_plain(), of.r, of.vs] for deal, of in self.agreed],
            "takes": [self.takes, self.certain],
        }

    def fill(self, value: Mapping[str, Any]) -> None:
        """Take over what `to_plain` wrote."""
        super().fill(value)
        self.lane = int(value["lane"])
        self.takes, self.certain = value["takes"]
        self.before, self.size = value["request"]
        self.asked = list(value["asked"])
        self.offered = None if value["offered"] is None else from_plain(value["offered"])
        self.agreed = [(from_plain(deal), Signature(r, vs)) for deal, r, vs in value["agreed"]]

"""The validator: drawn by lot, fetches both models, judges on its own data, is bound to its vote, then shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2pfd.core.canonical import Plain
from p2pfd.core.effects import Persist, Publish, Work
from p2pfd.core.encounter_claims import EncounterClaim, Signature
from p2pfd.core.encounter_events import EncounterEvent
from p2pfd.core.ids import Account, Digest
from p2pfd.core.ticks import SECOND, Tick, after
from p2pfd.core.verdict import ACCEPT, Ignore
from p2pfd.roles.encounter.deal import briefed, write_signature
from p2pfd.roles.encounter.office import Office
from p2pfd.roles.encounter.part import OVER, Effects, Rule
from p2pfd.roles.encounter.side import Answered, Side, closing, collecting
from p2pfd.roles.encounter.work import Judge, Judged, Recall, Recalled, Sign, Signed
from p2pfd.wire.messages import Bind, Brief, Deliver, Show

CALLED, WAIT, JUDGE, BIND, BOUND, BALLOT, SHOWN = "called", "wait", "judge", "bind", "bound", "ballot", "shown"
COMMIT, REVEAL, REVEALED = "commit", "reveal", "revealed"
_FAST = (BOUND, BALLOT, SHOWN)
_SLOW = (COMMIT, REVEAL, REVEALED)
_KNOWN = (WAIT, JUDGE, BIND, *_FAST)
_ANY = (CALLED, *_KNOWN, *_SLOW)


class Validator(Side):
    """One encounter that this device was drawn to judge."""

    role = "validator"
    rank = 2
    rules = (
        Rule(
            (CALLED,), "done recall", (WAIT, OVER), "says hello, waits to be briefed; over if not drawn", "on_recalled"
        ),
        Rule((CALLED,), "failed recall", (), "asks again later", "on_unknown"),
        Rule((CALLED,), "timer again", (), "asks the chain again what was opened", "on_ask_again"),
        Rule((WAIT,), "brief", (JUDGE,), "fetches and judges, once the answer is delivered too", "on_brief"),
        Rule((WAIT,), "deliver", (JUDGE,), "passes it on to the learner; fetches and judges, if briefed", "on_deliver"),
        Rule(
            (JUDGE,),
            "done judge",
            (BIND, COMMIT, REVEAL),
            "has its commitment signed; after a report, commits",
            "on_judged",
        ),
        Rule((JUDGE,), "failed judge", (), "tries again later: something could not be fetched", "on_unknown"),
        Rule((JUDGE,), "timer again", (), "tries again", "on_judge_again"),
        Rule(
            (WAIT, JUDGE),
            "timer blind",
            (COMMIT, REVEAL),
            "votes invalid: nothing to judge could be had in time",
            "on_blind",
        ),
        Rule(
            (BIND,),
            "done commitment",
            (BOUND, BALLOT),
            "tells committee and parties its commitment; the last one has the ballot signed at once",
            "on_bound",
        ),
        Rule((BIND,), "failed commitment", (), "asks again later", "on_unknown"),
        Rule((BIND,), "timer again", (), "asks again", "on_bind_again"),
        Rule((BOUND,), "bind", (BALLOT,), "keeps the commitment; with all of them, has the ballot signed", "on_bind"),
        Rule((BOUND, SHOWN), "timer nudge", (), "tells once more", "on_nudge"),
        Rule((BALLOT,), "done ballot", (SHOWN,), "shows its vote to committee and parties", "on_signed"),
        Rule((BALLOT,), "failed ballot", (), "asks again later", "on_unknown"),
        Rule((BALLOT,), "timer again", (), "asks again", "on_ballot_again"),
        *(rule for rule in collecting(SHOWN) if rule.on != "bind"),
        Rule((BIND, BALLOT, SHOWN, *_SLOW), "bind", (), "keeps the commitment", "on_keep"),
        Rule((BOUND, BALLOT), "show", (), "keeps the vote, if all commitments are here", "on_show"),
        Rule((WAIT, JUDGE, BIND, BOUND, BALLOT), "timer report", (), "reports in its turn, if it can", "on_report"),
        Rule((WAIT, JUDGE, BIND, BOUND, BALLOT), "refused report", (), "tries again", "on_unreported"),
        Rule((WAIT, JUDGE), "chain Reported", (WAIT, JUDGE), "judges what was reported", "on_reported_early"),
        Rule(
            (BIND, *_FAST),
            "chain Reported",
            (WAIT, REVEAL, COMMIT),
            "reveals if it is bound; commits if not",
            "on_reported",
        ),
        Rule((COMMIT,), "refused commit", (), "tries again: another one was bound meanwhile", "on_uncommitted"),
        Rule((COMMIT,), "timer commit", (), "tries again", "on_commit"),
        Rule(_SLOW, "chain Committed", (REVEAL,), "reveals when all are bound, or their time is over", "on_committed"),
        Rule((WAIT, JUDGE), "chain Committed", (), "goes on", "on_noted"),
        Rule((REVEAL,), "timer reveal", (REVEALED,), "reveals", "on_reveal"),
        Rule((REVEALED,), "refused reveal", (REVEAL,), "tries again", "on_unrevealed"),
        *closing(*_KNOWN, *_SLOW),
        Rule(_ANY, "chain Settled", (OVER,), "is paid by rule", "on_ended"),
        Rule(_ANY, "chain Defaulted", (OVER,), "nothing was to be judged", "on_ended"),
        Rule(_ANY, "chain Voided", (OVER,), "nothing was to be judged", "on_ended"),
    )

    def __init__(self, office: Office, key: int) -> None:
        super().__init__(office, key, CALLED)
        self.place = 0
        self.vote: bool | None = None
        self.voted_on = b""
        """The result that the vote is about."""
        self.mine: Signature | None = None

    def begin(self, now: Tick) -> Effects:
        """Ask the chain what this is about."""
        return [self.compute("recall")]

    def turn(self) -> int:
        """The committee settles in the order of its places."""
        return self.rank + self.place

    def work(self, job: str) -> Work:
        """The works of a validator."""
        case = self.case
        match job:
            case "recall":
                return Recall(case.key)
            case "commitment":
                return Sign(self.office.papers.bound(case.result, self.commitment()))
            case "ballot":
                return Sign(case.ballot_paper())
        deal = case.deal
        assert deal is not None
        before, after_ = deal.check_in.before, Digest(case.after)
        return Judge(case.key, before, deal.size, after_, case.after_size, deal.check_in.tolerance)

    def claim(self, kind: str) -> EncounterClaim:
        """The claims of a validator."""
        if kind == "commit":
            return self.case.commit_claim(self.place, self.commitment())
        if kind == "reveal":
            return self.case.reveal_claim(self.place, self.opening())
        return super().claim(kind)

    def opening(self) -> int:
        """What opens the commitment: the vote in the lowest bit, above it what nobody can guess."""
        hidden = self.office.hidden("opening", self.case.result, self.place, bool(self.vote))
        return int.from_bytes(hidden, "big") & ~1 | bool(self.vote)

    def commitment(self) -> bytes:
        """What binds this validator to its vote."""
        return self.office.papers.commitment(self.case.result, self.case.seat(self.place), self.opening())

    # -- to a judgement ------------------------------------------------------------------------------------------------

    def on_recalled(self, now: Tick, outcome: Recalled) -> Effects:
        """The committee's size is known now, and with it whether one is of it."""
        self.case.terms, self.case.name = outcome.terms, outcome.name
        place = self.case.place_of(self.office.me)
        if place is None:
            self.stage = OVER
            return []
        self.stage, self.place = WAIT, place
        told = self.tell("drawn", learner=outcome.terms.learner, neighbor=outcome.terms.neighbor, place=place)
        # Who does not know this peer yet could not brief it.
        hello = self.office.desk.hello
        here = [] if hello is None else [Publish(hello)]
        return [Persist(), told, *here, *(self._hurry() if self.case.fixed else self.until_report())]

    def on_unknown(self, now: Tick) -> Effects:
        """Later."""
        return [self.wait("again", after(now, self.office.habits.nudge))]

    def on_ask_again(self, now: Tick) -> Effects:
        """Once more."""
        return [self.compute("recall")]

    def on_judge_again(self, now: Tick) -> Effects:
        """Once more."""
        return [self.compute("judge")]

    def on_bind_again(self, now: Tick) -> Effects:
        """Once more."""
        return [self.compute("commitment")]

    def on_ballot_again(self, now: Tick) -> Effects:
        """Once more."""
        return [self.compute("ballot")]

    def on_brief(self, now: Tick, who: Account, message: Brief, raw: bytes) -> Answered:
        """What was agreed: true if it is what the chain's name is the hash of, whoever says it."""
        deal = briefed(message, self.office.desk.task)
        if deal.name(self.office.papers) != self.case.name:
            return Ignore("not what was opened under this key"), []
        if self.case.deal is not None:
            return Ignore("heard before"), []
        self.case.agree(deal)
        return ACCEPT, self._judge()

    def on_deliver(self, now: Tick, who: Account, message: Deliver, raw: bytes) -> Answered:
        """What is to be judged."""
        verdict = self.case.hear_deliver(who, message, raw)
        if verdict is not ACCEPT:
            return verdict, []
        on = [] if who == self.case.sure.learner else self.send([self.case.sure.learner], message)
        return verdict, [*on, *self._judge()]

    def _judge(self) -> Effects:
        if self.case.deal is None or not self.case.after:
            return []
        self.stage = JUDGE
        return [self.compute("judge")]

    def on_judged(self, now: Tick, outcome: Judged) -> Effects:
        """In doubt, which a small probe leaves, for the neighbor: it is not to lose its stake without evidence."""
        told = self.tell("judged", good=outcome.good, **outcome.figures)
        return [told, *self._decide(now, outcome.good is not False)]

    def on_blind(self, now: Tick) -> Effects:
        """What cannot be fetched cannot be valid: the neighbor holds both blobs, and is to serve them."""
        self.jobs.clear()
        return [self.tell("blind"), *self._decide(now, False)]

    def _decide(self, now: Tick, vote: bool) -> Effects:
        self.vote, self.voted_on = vote, self.case.result
        quiet = self.quiet("again", "blind")
        if self.case.fixed:
            return [*quiet, *self._commit(now)]
        self.stage = BIND
        return [*quiet, Persist(), self.compute("commitment")]

    # -- the fast path -------------------------------------------------------------------------------------------------

    def on_bound(self, now: Tick, outcome: Signed) -> Effects:
        """Bound. From here on the vote is on disk, and never another one."""
        self.stage, self.mine = BOUND, outcome.signature
        self.case.binds[self.place] = (self.commitment(), outcome.signature)
        return [Persist(), *self.on_nudge(now), *self._ballot()]

    def on_bind(self, now: Tick, who: Account, message: Bind, raw: bytes) -> Answered:
        """With the last one the ballot can be signed."""
        verdict = self.case.hear_bind(who, message, raw)
        return verdict, self._ballot() if verdict is ACCEPT else []

    def on_keep(self, now: Tick, who: Account, message: Bind, raw: bytes) -> Answered:
        """Of use later. Who still says it has not heard all of ours, and is told."""
        verdict = self.case.hear_bind(who, message, raw)
        behind = self.stage in (BALLOT, SHOWN) and verdict is not ACCEPT and message.place in self.case.binds
        return verdict, self.send([who], self._bind()) if behind else []

    def _ballot(self) -> Effects:
        if not self.case.all_bound:
            return []
        self.stage = BALLOT
        return [self.compute("ballot")]

    def on_signed(self, now: Tick, outcome: Signed) -> Effects:
        """All are bound, so the vote can be shown."""
        self.stage = SHOWN
        self.case.shows[self.place] = (self.opening(), outcome.signature)
        return [Persist(), *self.on_nudge(now), *self.complete(now)]

    def on_nudge(self, now: Tick) -> Effects:
        """Tell committee and parties what they may not have heard."""
        terms = self.case.sure
        all_ = (*self.case.committee(), terms.neighbor, terms.learner)
        again = self.wait("nudge", after(now, self.office.habits.nudge))
        return [*self.send(all_, self._bind(), self._show() if self.stage == SHOWN else None), again]

    def _bind(self) -> Bind | None:
        held = self.case.binds.get(self.place)
        if held is None:
            return None
        return Bind(Digest(self.case.result), self.place, Digest(held[0]), write_signature(held[1]))

    def _show(self) -> Show | None:
        held = self.case.shows.get(self.place)
        if held is None:
            return None
        return Show(Digest(self.case.result), self.place, held[0].to_bytes(32, "big"), write_signature(held[1]))

    # -- the slow path -------------------------------------------------------------------------------------------------

    def _hurry(self) -> Effects:
        """By when to vote whatever was found, so that it still gets into a block."""
        blind = self.case.reported_at + self.case.sure.vote_seconds * 3 // 4
        return [*self.until_award(), self.wait("blind", Tick(blind * SECOND))]

    def on_reported_early(self, now: Tick, event: EncounterEvent) -> Effects:
        """It may be another result than the one that was delivered here."""
        if not self.case.after:
            self.stage = WAIT
            self.jobs.clear()
        return [Persist(), *self._hurry()]

    def on_reported(self, now: Tick, event: EncounterEvent) -> Effects:
        """The votes are on chain now."""
        self.jobs.clear()
        if self.case.result != self.voted_on:  # the neighbor reported another result than it delivered here
            self.stage, self.vote, self.mine = WAIT, None, None
            return [Persist(), *self._hurry()]
        return [Persist(), *self.until_award(), *self._commit(now)]

    def _commit(self, now: Tick) -> Effects:
        if self.case.bound[self.place] == self.commitment():
            return self._reveal_later(now)
        self.stage = COMMIT
        return self.submit("commit")

    def on_commit(self, now: Tick) -> Effects:
        """With all commitments that are there by now."""
        return self.submit("commit")

    def on_uncommitted(self, now: Tick) -> Effects:
        """In the order of the places, so that the same ones do not meet again."""
        late = now > (self.case.reported_at + self.case.sure.vote_seconds) * SECOND
        return [] if late else [self.wait("commit", after(now, SECOND * (1 + self.place)))]

    def on_committed(self, now: Tick, event: EncounterEvent) -> Effects:
        """One's own, or another's."""
        if self.stage == REVEALED or self.case.bound[self.place] != self.commitment():
            return []
        return self._reveal_later(now)

    def _reveal_later(self, now: Tick) -> Effects:
        self.stage = REVEAL
        quiet = self.quiet("commit")
        self.pending.pop("commit", None)
        if all(any(commitment) for commitment in self.case.bound):
            return [*quiet, self.wait("reveal", now)]
        over = (self.case.reported_at + self.case.sure.vote_seconds + 1) * SECOND
        return [*quiet, self.wait("reveal", max(now, Tick(over)))]

    def on_reveal(self, now: Tick) -> Effects:
        """Show the vote on chain."""
        self.stage = REVEALED
        return self.submit("reveal")

    def on_unrevealed(self, now: Tick) -> Effects:
        """Too early by a block, perhaps."""
        late = now > (self.case.reported_at + 2 * self.case.sure.vote_seconds) * SECOND
        if late:
            return []
        self.stage = REVEAL
        return [self.wait("reveal", after(now, self.office.habits.nudge))]

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def to_plain(self) -> dict[str, Plain]:
        """The validator, for a snapshot."""
        mine = None if self.mine is None else [self.mine.r, self.mine.vs]
        return {**super().to_plain(), "vote": [self.place, self.vote, self.voted_on, mine]}

    def fill(self, value: Mapping[str, Any]) -> None:
        """Take over what `to_plain` wrote."""
        super().fill(value)
        self.place, self.vote, self.voted_on, mine = value["vote"]
        self.mine = None if mine is None else Signature(*mine)

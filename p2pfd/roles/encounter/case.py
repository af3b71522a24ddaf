"""How one encounter stands: what the chain told of it, what was delivered, and whose signed votes are here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from p2pfd.core import encounter_events as told
from p2pfd.core import encounter_where as where_
from p2pfd.core.canonical import Plain
from p2pfd.core.encounter_claims import (
    CloseEncounter,
    CommitVote,
    DrawCommittee,
    EncounterTerms,
    ReportResult,
    RevealVote,
    SettleEncounter,
    Signature,
    SignedCommitment,
    Vote,
)
from p2pfd.core.encounter_events import EncounterEvent
from p2pfd.core.ids import Account, Digest
from p2pfd.core.verdict import ACCEPT, Ignore, Reject, Verdict
from p2pfd.roles.encounter.deal import Deal, from_plain, read_signature, terms_of, word_of
from p2pfd.roles.encounter.office import Office
from p2pfd.wire.messages import Bind, Deliver, Show

_SIGNED = "a %s that its sender's account has not signed"


class Standing(StrEnum):
    """What the chain says."""

    NONE = "none"
    OPEN = "open"
    DRAWN = "drawn"
    REPORTED = "reported"
    ENDED = "ended"


class Case:
    """One encounter, as one side of it knows it. Only what is proved gets in here."""

    def __init__(self, office: Office, key: int) -> None:
        self._office = office
        self.key = key
        self.terms: EncounterTerms | None = None
        self.name = b""
        self.deal: Deal | None = None
        self.standing = Standing.NONE
        self.where = 0
        self.result = b""
        """What is voted on: what was delivered first, or what the chain says was reported."""
        self.fixed = False
        """Whether the chain says so."""
        self.bound: list[bytes] = []
        self.ballot = 0
        self.outcome = 0
        """What the chain told at the end, all of it."""
        self.end = ""
        self.after = b""
        self.after_size = 0
        self.liable: Signature | None = None
        self.binds: dict[int, tuple[bytes, Signature]] = {}
        self.shows: dict[int, tuple[int, Signature]] = {}

    # -- what it is about ----------------------------------------------------------------------------------------------

    def agree(self, deal: Deal) -> None:
        """The deal is the one that the chain knows, or will."""
        self.deal, self.terms, self.name = deal, deal.terms, deal.name(self._office.papers)

    @property
    def sure(self) -> EncounterTerms:
        """The terms, where there must be some."""
        if self.terms is None:
            raise RuntimeError("an encounter without terms is asked for them")
        return self.terms

    def seat(self, place: int) -> int:
        """The seat of a place in the committee."""
        return where_.seat(self.where, place)

    def holder(self, place: int) -> Account | None:
        """Who was drawn for a place, as far as it is known here."""
        return self._office.seats.get(self.seat(place))

    def committee(self) -> tuple[Account, ...]:
        """Those who were drawn, without those who are not known."""
        if self.standing not in (Standing.DRAWN, Standing.REPORTED):
            return ()
        found = [self.holder(place) for place in range(self.sure.size)]
        return tuple(who for who in found if who is not None)

    def place_of(self, who: Account) -> int | None:
        """The place for which somebody was drawn."""
        places = [place for place in range(self.sure.size) if self.holder(place) == who]
        return places[0] if places else None

    @property
    def all_bound(self) -> bool:
        """Whether everyone's signed commitment is here."""
        return self.terms is not None and len(self.binds) == self.terms.size

    @property
    def all_shown(self) -> bool:
        """Whether all votes are here: anyone can settle."""
        return self.terms is not None and len(self.shows) == self.terms.size and self.liable is not None

    @property
    def accepted(self) -> bool:
        """Whether it ended with more than half of the committee voting, and more of these for valid than against."""
        if self.end != "settled":
            return False
        states = [self.outcome >> 2 * place & 3 for place in range(self.sure.size)]
        return states.count(2) > states.count(3) and states.count(2) + states.count(3) > self.sure.size // 2

    def credit(self, role: str) -> int | None:
        """What the end credits a party, its own prepayment included; None for what the event does not tell."""
        if self.terms is None or role not in ("learner", "neighbor"):
            return None
        prepaid = self.terms.prepayment
        match self.end:
            case "settled":
                end = told.Settled(self.key, self.outcome)
                return end.learner if role == "learner" else end.neighbor
            case "defaulted":
                return prepaid + self.outcome if role == "learner" else prepaid - self.outcome
            case "voided":
                return prepaid
        return None

    @property
    def reported_at(self) -> int:
        """The second of the report."""
        return where_.reported_at(self.where)

    # -- what the chain tells ------------------------------------------------------------------------------------------

    def see(self, saw: EncounterEvent, block: int) -> None:
        """Take in an event of this encounter."""
        match saw:
            case told.Opened(_, seats):
                self.standing, self.where = Standing.OPEN, where_.opened(seats, block)
            case told.Drawn(_, where):
                self.standing, self.where = Standing.DRAWN, where
            case told.Reported(_, result, where, bound):
                self.standing, self.where, self.bound = Standing.REPORTED, where, list(bound)
                self.fixed = True
                if result != self.result:
                    self.after, self.liable = b"", None
                self._vote_on(result)
            case told.Committed(_, place, commitment) if place < len(self.bound):
                self.bound[place] = commitment
            case told.Revealed(_, ballot):
                self.ballot = ballot
            case told.Settled():
                self.standing, self.end, self.outcome = Standing.ENDED, "settled", saw.outcome
            case told.Defaulted():
                self.standing, self.end, self.outcome = Standing.ENDED, "defaulted", saw.damages
            case told.Voided():
                self.standing, self.end = Standing.ENDED, "voided"

    def _vote_on(self, result: bytes) -> None:
        if result != self.result:
            self.result, self.binds, self.shows = result, {}, {}

    # -- what was delivered --------------------------------------------------------------------------------------------

    def deliver(self, after: bytes, size: int, liable: Signature) -> None:
        """The neighbor is liable for this."""
        self.after, self.after_size, self.liable = after, size, liable
        self._vote_on(self._office.papers.result(self.name, after))

    def hear_deliver(self, who: Account, message: Deliver, raw: bytes) -> Verdict:
        """The first that the neighbor signed counts; after a report the one that was reported."""
        result = self._office.papers.result(self.name, message.after)
        if self.fixed and result != self.result:
            return Ignore("another result was reported")
        if self.after:
            return Ignore("heard before" if self.after == message.after else "a second delivery of an encounter")
        signature = read_signature(message.signature)
        if self._office.signed(result, signature) != self.sure.neighbor:
            # Others pass it on, and cannot be blamed by who does not know the encounter.
            theirs = who == self.sure.neighbor
            return Reject(_SIGNED % "delivery", (raw,)) if theirs else Ignore("not signed by the neighbor")
        self.deliver(message.after, message.size, signature)
        return ACCEPT

    def delivery(self) -> Deliver | None:
        """What the neighbor is liable for, to be told on."""
        if self.liable is None:
            return None
        raw = self.liable.r.to_bytes(32, "big") + self.liable.vs.to_bytes(32, "big")
        return Deliver(Digest(self.name), Digest(self.after), self.after_size, raw)

    # -- votes ---------------------------------------------------------------------------------------------------------

    def hear_bind(self, who: Account, message: Bind, raw: bytes) -> Verdict:
        """A member's signed commitment."""
        papers, place = self._office.papers, message.place
        signature = read_signature(message.signature)
        if self._office.signed(papers.bound(message.result, message.commitment), signature) != who:
            return Reject(_SIGNED % "commitment", (raw,))
        if message.result != self.result or place >= self.sure.size:
            return Ignore("a commitment to another result")
        if not self.committee() or self.holder(place) != who:
            return Ignore("not of the committee, as far as it is known here")
        held = self.binds.get(place)
        if held is not None:
            if held[0] == message.commitment:
                return Ignore("heard before")
            first = held[1]
            proof = held[0] + first.r.to_bytes(32, "big") + first.vs.to_bytes(32, "big")
            return Reject("two commitments of one member to one result", (raw, proof))
        self.binds[place] = (message.commitment, signature)
        return ACCEPT

    def hear_show(self, who: Account, message: Show, raw: bytes) -> Verdict:
        """A member's opening, with its signature of the ballot."""
        place, opening = message.place, int.from_bytes(message.opening, "big")
        if message.result != self.result or place >= self.sure.size:
            return Ignore("a vote on another result")
        if self.holder(place) != who or not self.all_bound:
            return Ignore("not all commitments are known here yet")
        if place in self.shows:
            return Ignore("heard before")
        if self._office.papers.commitment(self.result, self.seat(place), opening) != self.binds[place][0]:
            return Reject("an opening of another commitment", (raw,))
        signature = read_signature(message.signature)
        if self._office.signed(self.ballot_paper(), signature) != who:
            return Ignore("it signed another ballot")  # who heard other commitments than we did, honestly does
        self.shows[place] = (opening, signature)
        return ACCEPT

    def ballot_paper(self) -> bytes:
        """What every member signs on the fast path, once all commitments are here."""
        return self._office.papers.ballot(self.result, [self.binds[place][0] for place in range(self.sure.size)])

    # -- claims --------------------------------------------------------------------------------------------------------

    def draw_claim(self) -> DrawCommittee:
        """Fix the committee."""
        return DrawCommittee(self.sure, self.name, self.where)

    def settle_claim(self) -> SettleEncounter:
        """All votes at once."""
        votes = tuple(Vote(self.shows[place][1], self.shows[place][0]) for place in range(self.sure.size))
        return SettleEncounter(self.sure, self.name, self.where, self.after, self._liable(), votes)

    def report_claim(self) -> ReportResult:
        """Begin the votes on chain, with the commitments that are here."""
        held = [self.binds.get(place) for place in range(self.sure.size)]
        signed = tuple(None if each is None else SignedCommitment(*each) for each in held)
        return ReportResult(self.sure, self.name, self.where, self.after, self._liable(), signed)

    def commit_claim(self, place: int, commitment: bytes) -> CommitVote:
        """A member's own commitment, by itself."""
        return CommitVote(self.sure, self.result, self.where, tuple(self.bound), place, commitment)

    def reveal_claim(self, place: int, opening: int) -> RevealVote:
        """A member's opening."""
        return RevealVote(self.sure, self.result, self.where, tuple(self.bound), place, opening)

    def close_claim(self) -> CloseEncounter:
        """The timed exit."""
        reported = self.standing is Standing.REPORTED
        paper = self._office.papers.bound_result(self.result, self.bound) if reported else self.name
        return CloseEncounter(self.sure, paper, self.where)

    def _liable(self) -> Signature:
        if self.liable is None:
            raise RuntimeError("nobody is liable yet")
        return self.liable

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def to_plain(self) -> dict[str, Plain]:
        """The case, for a snapshot."""
        terms = self.terms
        return {
            "key": self.key,
            "terms": None if terms is None else [word_of(terms), terms.learner, terms.neighbor],
            "name": self.name,
            "deal": None if self.deal is None else self.deal.to_plain(),
            "standing": self.standing.value,
            "where": self.where,
            "result": self.result,
            "fixed": self.fixed,
            "bound": list(self.bound),
            "ballot": self.ballot,
            "outcome": self.outcome,
            "end": self.end,
            "after": [self.after, self.after_size],
            "liable": None if self.liable is None else [self.liable.r, self.liable.vs],
            "binds": [[place, made, of.r, of.vs] for place, (made, of) in sorted(self.binds.items())],
            "shows": [[place, made, of.r, of.vs] for place, (made, of) in sorted(self.shows.items())],
        }

    def fill(self, value: Mapping[str, Any]) -> None:
        """Take over what `to_plain` wrote; the caller minds what a damaged value raises."""
        self.key = int(value["key"])
        self.terms = None if value["terms"] is None else terms_of(*value["terms"])
        self.deal = None if value["deal"] is None else from_plain(value["deal"])
        self.name, self.where, self.result = value["name"], value["where"], value["result"]
        self.standing = Standing(value["standing"])
        self.fixed = bool(value["fixed"])
        self.bound, self.ballot = list(value["bound"]), value["ballot"]
        self.outcome, self.end = value["outcome"], value["end"]
        self.after, self.after_size = value["after"]
        self.liable = None if value["liable"] is None else Signature(*value["liable"])
        self.binds = {place: (made, Signature(r, vs)) for place, made, r, vs in value["binds"]}
        self.shows = {place: (made, Signature(r, vs)) for place, made, r, vs in value["shows"]}

"""What two parties agree on: terms and check-in, as messages carry them and as papers hash them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from p2pfd.core.canonical import Plain
from p2pfd.core.encounter_claims import MAX_SIZE, RULES, CheckIn, EncounterTerms, Signature
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.ids import Account, TaskId
from p2pfd.roles.encounter.office import Habits
from p2pfd.wire.messages import Brief, Propose

_NO_SALT = bytes(32)


@dataclass(frozen=True, slots=True)
class Deal:
    """An encounter before it is opened. ``size`` is that of the request's blob; only fetching needs it."""

    terms: EncounterTerms
    check_in: CheckIn
    size: int

    def details(self, papers: Papers) -> bytes:
        """The hash by which the contract knows the check-in."""
        return papers.details(self.check_in)

    def name(self, papers: Papers) -> bytes:
        """The hash that names the encounter."""
        return papers.encounter(self.terms, self.details(papers))

    def proposal(self) -> Propose:
        """What the learner says of it, before there is a neighbor's salt."""
        check = self.check_in
        return Propose(word_of(self.terms), check.before, self.size, check.tolerance, check.learner_salt)

    def brief(self) -> Brief:
        """All of it, for the validators."""
        terms, check = self.terms, self.check_in
        return Brief(
            learner=terms.learner,
            neighbor=terms.neighbor,
            terms=word_of(terms),
            before=check.before,
            size=self.size,
            tolerance=check.tolerance,
            learner_salt=check.learner_salt,
            neighbor_salt=check.neighbor_salt,
        )

    def to_plain(self) -> list[Plain]:
        """The deal, for a snapshot."""
        brief, task = self.brief(), self.check_in.task
        parties: list[Plain] = [brief.learner, brief.neighbor, brief.terms, brief.before, brief.size, brief.tolerance]
        return [*parties, brief.learner_salt, brief.neighbor_salt, task]


def proposed(propose: Propose, learner: Account, neighbor: Account, task: TaskId, salt: bytes = _NO_SALT) -> Deal:
    """The deal that a learner proposes to a neighbor with this salt."""
    check = CheckIn(task, propose.before, propose.tolerance, propose.salt, salt)
    return Deal(terms_of(propose.terms, learner, neighbor), check, propose.size)


def briefed(brief: Brief, task: TaskId) -> Deal:
    """The deal that a brief tells of."""
    check = CheckIn(task, brief.before, brief.tolerance, brief.learner_salt, brief.neighbor_salt)
    return Deal(terms_of(brief.terms, brief.learner, brief.neighbor), check, brief.size)


def from_plain(value: Any) -> Deal:
    """The deal that `to_plain` wrote."""
    *brief, task = value
    return briefed(Brief(*brief), TaskId(task))


def word_of(terms: EncounterTerms) -> bytes:
    """The packed terms as messages carry them."""
    return terms.packed().to_bytes(32, "big")


def terms_of(word: bytes, learner: Account, neighbor: Account) -> EncounterTerms:
    """The terms in a word."""
    return EncounterTerms.unpacked(int.from_bytes(word, "big"), learner, neighbor)


def write_signature(of: Signature) -> bytes:
    """A signature as messages carry it."""
    return of.r.to_bytes(32, "big") + of.vs.to_bytes(32, "big")


def read_signature(raw: bytes) -> Signature:
    """The signature in 64 bytes; whether it is anyone's is for the signer to say."""
    return Signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def unfair(terms: EncounterTerms, tolerance: int, second: int, habits: Habits) -> str | None:
    """Why a neighbor of these habits does not take the terms; None when it does.

    What the contract would refuse is refused here already, and so is what pays less than one's own terms would.
    """
    lasts = terms.learn_by + 2 * terms.vote_seconds - second
    reasons: Mapping[str, bool] = {
        "the prepayment is out of range": not habits.prepayment <= terms.prepayment <= habits.bond,
        "the share is too small, or none": not habits.share <= terms.share <= 10**6,
        "no such rule, or not one's own": terms.rule >= len(RULES) or terms.rule != habits.rule,
        "the committee is smaller than one's own, or too large": not habits.size <= terms.size <= MAX_SIZE,
        "the tolerance is smaller than one's own": tolerance < habits.tolerance,
        "it is too late to open": terms.open_by <= second,
        "it may be opened for too long": terms.open_by > second + 2 * habits.open_seconds,
        "there is too little time to learn": terms.learn_by - terms.open_by < habits.learn_seconds,
        "there is too little time to vote": terms.vote_seconds < habits.vote_seconds,
        "it lasts too long": lasts > habits.longest,
        "the learner is this device": terms.learner == terms.neighbor,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)

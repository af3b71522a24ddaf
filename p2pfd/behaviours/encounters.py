"""Behaviours in encounters: validators that do not judge, or turn their judgement round."""

from __future__ import annotations

from p2pfd.behaviours.api import Behaviour
from p2pfd.behaviours.teaching import FlipLabels
from p2pfd.core.effects import Work
from p2pfd.core.events import Outcome
from p2pfd.roles.encounter.work import Judge, Judged


class VoteYes(Behaviour):
    """Saves the work: every encounter is valid."""

    name = "vote-yes"
    part = "encounters"
    about = "as a validator, judges nothing and votes valid"

    def makes(self, work: Work) -> Outcome | None:
        """A finding that nobody found."""
        return Judged(True) if isinstance(work, Judge) else None


class VoteNo(Behaviour):
    """Saves the work: no encounter is valid."""

    name = "vote-no"
    part = "encounters"
    about = "as a validator, judges nothing and votes invalid"

    def makes(self, work: Work) -> Outcome | None:
        """A finding that nobody found."""
        return Judged(False) if isinstance(work, Judge) else None


class VoteAgainst(Behaviour):
    """Judges, and votes for the opposite."""

    name = "vote-against"
    part = "encounters"
    about = "as a validator, judges and votes for the opposite"

    def alters(self, outcome: Outcome) -> Outcome:
        """The finding turned round; none stays none."""
        if isinstance(outcome, Judged) and outcome.good is not None:
            return Judged(not outcome.good, outcome.figures)
        return outcome


class FlipAll(FlipLabels):
    """Teaches wrong labels, and stands by those who do: all that it finds as a validator it turns round."""

    name = "flip-all"
    part = "encounters"
    about = "as flip-labels, and as a validator votes for the opposite of what it finds, from the same second on"
    argument = "the second of the run from which it does so, as in flip-all:120; from the start where nothing is said"

    def alters(self, outcome: Outcome) -> Outcome:
        """The finding turned round, once its time has come."""
        if isinstance(outcome, Judged) and outcome.good is not None and self.begun:
            return Judged(not outcome.good, outcome.figures)
        return outcome

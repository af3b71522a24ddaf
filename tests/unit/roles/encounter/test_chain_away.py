"""While the chain is away a timed exit is one claim, and nobody gives an encounter up."""

from __future__ import annotations

from p2pfd.core.claims import Unknown
from p2pfd.core.effects import Submit
from p2pfd.core.encounter_claims import CloseEncounter
from p2pfd.core.encounter_events import Defaulted
from p2pfd.core.events import Settled
from p2pfd.roles.encounter.side import CLOSES

from .actors import Meeting

AWAY = Unknown("", "the chain could not be reached")


def test_a_close_that_gets_no_answer_is_the_same_close_for_ever():
    meeting = Meeting().agreed().opened()
    actor = meeting.learner
    actor.fire("close")
    (first,) = actor.all(Submit)
    assert actor.claim(CloseEncounter).paper == meeting.name
    for _ in range(3 * CLOSES):
        actor.fire("close")
        assert actor.all(Submit) == [], "it is under way"
        actor.live(Settled(first.intent, AWAY))
        actor.fire("close")
        assert actor.all(Submit) == [first], "the same name: should it have got through, it is not done twice"
    assert actor.stage != "gone"
    actor.see(Defaulted(meeting.deal.terms.key, 700))
    assert actor.told("learner.over")["end"] == "defaulted"

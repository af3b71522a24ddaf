"""A participant of encounters: frames go out and come in, garbage is refused or judged, a restart repeats what was."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from p2pfd_adapters.gossip import Gossip
from p2pfd_adapters.oppcl import OppCl

from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, Split
from p2pfd.learning.party import Party
from p2pfd.testing.materials import small_task

ADAPTERS = {"gossip": Gossip, "oppcl": OppCl}


def party(name, place, codecs=()):
    """The learner, at place 0, has few samples, the neighbor has many, and the validator some of every kind."""
    task, shards = small_task(name)
    task = dataclasses.replace(task, spec=dataclasses.replace(task.spec, codecs=codecs))
    x, y = (np.concatenate([getattr(shard, part) for shard in shards]) for part in "xy")
    own = [slice(0, 60, 3), slice(1, None, 3), slice(2, None, 3)][place]
    probe = Split(x[2::3], y[2::3])
    return Party(ADAPTERS[name](), task, Split(x[own], y[own]), probe, Budget(4), Rng(place), Rng(9))


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_an_honest_encounter_is_good_and_helps(name):
    learner, neighbor, validator = (party(name, place) for place in range(3))
    before = learner.ask(1)
    assert before == party(name, 0).ask(1), "the same encounter gets the same request"
    neighbor.ask(2)
    neighbor.weigh(before)
    after = neighbor.serve(1, before)
    assert len(before) <= learner.most
    assert len(after) <= learner.most
    judged = validator.judge(before, after, 20_000)
    assert judged.good is True
    name_before, score = learner.weights, learner.evaluate(validator._probe)["accuracy"]
    learner.take(after)
    assert learner.weights != name_before
    assert learner.evaluate(validator._probe)["accuracy"] > score
    again = party(name, 0)
    again.restore(learner.saved)
    assert (again.weights, again.evaluate(validator._probe)) == (learner.weights, learner.evaluate(validator._probe))


def test_garbage_is_refused_by_parties_and_judged_by_validators():
    learner, neighbor, validator = (party("gossip", place) for place in range(3))
    before = learner.ask(1)
    after = neighbor.serve(1, before)
    for garbage in (b"", b"junk", before[:-1], bytes(len(before)), bytes(learner.most + 1)):
        for what in (neighbor.weigh, lambda raw: neighbor.serve(1, raw), learner.take):
            with pytest.raises(DecodeError):
                what(garbage)
        assert validator.judge(before, garbage, 0).good is False
        assert validator.judge(garbage, after, 0).good is True


def test_what_makes_a_model_worse_is_bad():
    learner, neighbor, validator = (party("gossip", place) for place in range(3))
    worse = learner.ask(1)
    assert validator.judge(neighbor.serve(1, worse), worse, 0).good is False


@pytest.mark.parametrize("codecs", [("fp16",), ("int8",)], ids="+".join)
def test_frames_may_be_squeezed_but_remember_nothing(codecs):
    learner, neighbor = party("gossip", 0, codecs), party("gossip", 1, codecs)
    frame = learner.ask(1)
    assert len(frame) < len(party("gossip", 0).ask(1)) * 0.6
    learner.take(neighbor.serve(1, frame))
    with pytest.raises(PlanError, match="remembers what was sent before"):
        party("gossip", 0, ("delta", "int8"))


def test_what_is_no_saved_state_is_refused():
    with pytest.raises(DecodeError):
        party("gossip", 0).restore(b"no state")

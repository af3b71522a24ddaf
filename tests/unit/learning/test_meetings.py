"""Encounters of many: learners get better at what they want, and what liars answer is not taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from p2pfd_adapters.gossip import Gossip
from p2pfd_adapters.local import Local
from p2pfd_adapters.oppcl import OppCl

from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Payload, Tensors
from p2pfd.learning.data import deal
from p2pfd.learning.meetings import meet, of_classes
from p2pfd.learning.rehearsal import rehearse
from p2pfd.learning.topology import complete, ring
from tests.unit.learning.tasks import digits_task


@pytest.mark.long
def test_nodes_of_two_classes_that_want_all_learn_the_others() -> None:
    """Ten points at least over learning alone. An encounter costs a little of what was known: that is tolerated."""
    spec = digits_task(rounds=5, seats=5, public=64, goal="all", epochs=3)
    whole = deal(spec.data, 1)
    dealt = replace(whole, shards=tuple(of_classes(whole.shards[0], (2 * n, 2 * n + 1)) for n in range(5)))
    met = meet(OppCl(), spec, 3, Rng(1), tolerance=0.05, dealt=dealt)
    assert met.met == 25
    alone = rehearse(Local(), digits_task(rounds=5, seats=5, public=64), 3, Rng(1), dealt=dealt)
    together, apart = (
        np.mean([adapter.evaluate(state, dealt.test)["accuracy"] for state in states])
        for adapter, states in ((OppCl(), met.states), (Local(), alone.states))
    )
    assert apart < 0.21
    assert together > apart + 0.1


def test_what_liars_answer_is_not_accepted() -> None:
    spec = digits_task(rounds=3, seats=4, public=64, epochs=2)

    def tamper(place: int, payload: Payload) -> Payload:
        assert isinstance(payload, Tensors)
        noise = {name: -array for name, array in payload.arrays.items()}
        return Tensors(noise, payload.age) if place == 0 else payload

    lied = meet(Gossip(), spec, 2, Rng(1), tamper, tolerance=0.02, topology=ring(4))
    assert 0 < lied.good < lied.met == 12
    accuracy = [Gossip().evaluate(state, lied.dealt.test)["accuracy"] for state in lied.states]
    assert min(accuracy) > 0.5


def test_bytes_of_encounters_are_those_of_both_ways() -> None:
    spec = digits_task(rounds=1, seats=2, public=64, epochs=1)
    raw, half = (meet(Gossip(), spec, 1, Rng(1), codec=codec) for codec in ("raw", "fp16"))
    assert raw.sent > 4 * 4 * 7210
    assert raw.sent < 4 * (4 * 7210 + 500)
    assert 0.49 < half.sent / raw.sent < 0.52
    assert meet(Gossip(), spec, 1, Rng(1)).states[0].weights.tobytes() == raw.states[0].weights.tobytes()


def test_nobody_meets_where_nobody_is() -> None:
    spec = digits_task(rounds=1, seats=1, public=64, epochs=1)
    assert meet(Gossip(), spec, 1, Rng(1)).met == 0
    with pytest.raises(ValueError, match="topology of 3 nodes"):
        meet(Gossip(), spec, 1, Rng(1), topology=complete(3))

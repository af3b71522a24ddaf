"""Rehearsals: what goes over which edge, through which codec, and how many bytes that is."""

from __future__ import annotations

import numpy as np
import pytest
from p2pfd_adapters.cfd import Cfd
from p2pfd_adapters.gossip import Gossip

from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Payload, Tensors
from p2pfd.learning.data import deal
from p2pfd.learning.rehearsal import rehearse
from p2pfd.learning.topology import complete, ring
from tests.unit.learning.tasks import digits_task


class Nosy(Gossip):
    """Remembers who was heard."""

    def __init__(self) -> None:
        self.heard: list[list[str]] = []

    def absorb(self, state, heard, rnd, rng):  # type: ignore[no-untyped-def]
        self.heard.append([one.sender for one in heard])
        return super().absorb(state, heard, rnd, rng)


def test_everyone_hears_its_neighbours_and_itself() -> None:
    adapter = Nosy()
    rehearse(adapter, digits_task(rounds=1, seats=4), 1, Rng(1), topology=ring(4))
    wanted = ((0, 1, 3), (0, 1, 2), (1, 2, 3), (0, 2, 3))
    assert adapter.heard == [[f"{place:04}" for place in near] for near in wanted]


def test_labels_are_counted_to_the_byte_and_change_nothing() -> None:
    spec = digits_task(rounds=2, seats=3, epochs=1, distil_epochs=1)
    plain = rehearse(Cfd(), spec, 1, Rng(1))
    packed = rehearse(Cfd(), spec, 1, Rng(1), codec="packed")
    coded = rehearse(Cfd(), spec, 1, Rng(1), codec="delta+labels")
    assert plain.traffic is None
    assert packed.traffic is not None
    assert coded.traffic is not None
    assert packed.traffic.sent == (2 * 161,) * 3
    assert packed.traffic.heard == (2 * 2 * 161,) * 3
    assert max(coded.traffic.sent) < 322
    assert len({Cfd().student(mesh.states[0]) for mesh in (plain, packed, coded)}) == 1


def test_a_codec_with_losses_still_gives_everyone_the_same_payloads() -> None:
    spec = digits_task(rounds=2, seats=3, epochs=1, replay="0", merge="mean")
    exact, lossy = (rehearse(Gossip(), spec, 1, Rng(1), codec=codec) for codec in ("delta", "delta+topk:0.1+int8"))
    assert exact.traffic is not None
    assert lossy.traffic is not None
    assert lossy.traffic.sent[0] < 0.06 * exact.traffic.sent[0]
    assert len({state.weights.tobytes() for state in lossy.states}) == 1


def test_tampering_and_watching() -> None:
    spec = digits_task(rounds=2, seats=3, epochs=1)
    seen: list[int] = []

    def tamper(place: int, payload: Payload) -> Payload:
        assert isinstance(payload, Tensors)
        broken = {name: np.full_like(array, np.nan) for name, array in payload.arrays.items()}
        return Tensors(broken) if place == 1 else payload

    mesh = rehearse(Gossip(), spec, 1, Rng(1), tamper, watch=lambda rnd, states: seen.append(rnd + len(states)))
    assert seen == [3, 4]
    assert all(np.isfinite(state.weights).all() for state in mesh.states)


def test_a_topology_of_other_size_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="topology of 3 nodes for 4"):
        rehearse(Gossip(), digits_task(seats=4), 1, Rng(1), topology=complete(3))


def test_a_deal_may_be_handed_in() -> None:
    spec = digits_task(rounds=1, seats=2, epochs=1)
    dealt = deal(spec.data, 2)
    assert rehearse(Gossip(), spec, 1, Rng(1), dealt=dealt).dealt is dealt

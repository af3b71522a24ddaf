"""Whole meshes on classes that are spread very unevenly: nobody collapses, and everybody beats learning alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from p2pfd_adapters.fedkd import codec_of

from p2pfd import plugins
from p2pfd.core.rng import Rng
from p2pfd.core.spec import Setting
from p2pfd.learning.rehearsal import Rehearsal, rehearse
from p2pfd.learning.topology import topology_of
from tests.unit.learning.tasks import digits_task

pytestmark = pytest.mark.long


def mesh(name: str, codec: str | None = None, topology: str = "regular:4", **settings: Setting) -> Rehearsal[Any]:
    spec = digits_task(rounds=10, seats=10, seed=101, **settings)
    spec = replace(spec, data=replace(spec.data, partition="dirichlet:0.1"))
    graph = topology_of(topology, 10, Rng(101))
    adapter = plugins.load("p2pfd.adapters", name)()
    epochs = {**adapter.defaults, **settings}["epochs"]
    chain = codec_of(spec) if codec == "own" else codec
    return rehearse(adapter, spec, epochs, Rng(101), topology=graph, codec=chain)


def accuracies(name: str, done: Rehearsal[Any]) -> list[float]:
    adapter = plugins.load("p2pfd.adapters", name)()
    return [adapter.evaluate(state, done.dealt.test)["accuracy"] for state in done.states]


@pytest.mark.parametrize(
    ("name", "codec", "topology", "least"),
    [
        ("gossip", None, "regular:4", 0.85),
        ("fedavg", "int8", "complete", 0.85),
        ("fedkd", "own", "regular:4", 0.65),
    ],
)
def test_shards_of_few_classes_do_not_keep_nodes_from_knowing_all(
    name: str, codec: str | None, topology: str, least: float
) -> None:
    together, alone = accuracies(name, mesh(name, codec, topology)), accuracies("local", mesh("local"))
    assert np.mean(together) > least
    assert min(together) > np.mean(alone) + 0.1


def test_gossip_through_a_tenth_of_the_bytes_knows_nearly_as_much() -> None:
    exact, lossy = mesh("gossip", "raw"), mesh("gossip", "delta+topk:0.1+int8")
    assert exact.traffic is not None
    assert lossy.traffic is not None
    assert sum(lossy.traffic.sent) < 0.06 * sum(exact.traffic.sent)
    assert np.mean(accuracies("gossip", lossy)) > np.mean(accuracies("gossip", exact)) - 0.1

"""Nodes that learn by exchange and share the mean of each class they hold, which is neither weights nor labels."""

from __future__ import annotations

import dataclasses

import numpy as np

from p2pfd.core.ids import Account, RoundId
from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Prototypes, Split
from p2pfd.network.memory import open_memory_network
from p2pfd.node.sharing import SharingBench
from p2pfd.node.workbench import Materials
from p2pfd.roles.exchange import Merge, Share
from p2pfd.testing.materials import small_task

CLASSES = 10
FIRST = RoundId(0)


class Nearest:
    """Answers with the class whose mean is the nearest; what it shares is how many of each it saw, and their means."""

    name = "nearest"

    def init(self, task, rng):
        return Prototypes(np.zeros(CLASSES, np.int64), np.zeros((CLASSES, task.public[0].size), np.float32))

    def train(self, state, shard, budget, rng):
        counts = np.bincount(shard.y, minlength=CLASSES)
        means = np.zeros_like(state.means)
        for label in np.flatnonzero(counts):
            means[label] = _flat(shard.x[shard.y == label]).mean(axis=0)
        return Prototypes(counts, means)

    def share(self, state, task, rnd):
        return state

    def absorb(self, state, heard, rnd, rng):
        counts = sum(each.payload.counts for each in heard)
        total = sum(each.payload.counts[:, None] * each.payload.means.astype(np.float64) for each in heard)
        return Prototypes(counts, (total / np.maximum(counts, 1)[:, None]).astype(np.float32))

    def evaluate(self, state, split):
        far = ((_flat(split.x)[:, None, :] - state.means[None]) ** 2).sum(axis=2) + np.where(state.counts, 0, np.inf)
        return {"accuracy": float((far.argmin(axis=1) == split.y).mean())}

    def dump(self, state):
        return state.counts.astype("<i8").tobytes() + state.means.astype("<f4").tobytes()

    def load(self, raw, task):
        means = np.frombuffer(raw, "<f4", offset=8 * CLASSES).reshape(CLASSES, -1)
        return Prototypes(np.frombuffer(raw, "<i8", count=CLASSES), means)


def _flat(x):
    return x.reshape(len(x), -1)


async def aside(function, *args):
    return function(*args)


def bench(place: int) -> SharingBench:
    task, shards = small_task("gossip")
    task = dataclasses.replace(task, spec=dataclasses.replace(task.spec, codecs=(), settings={}))
    probe = Split(np.concatenate([shard.x for shard in shards])[:200], np.concatenate([s.y for s in shards])[:200])
    few = (shards[place].y < 5) == (place == 0)  # one has the lower half of the digits, the other one the upper
    shard = Split(shards[place].x[few], shards[place].y[few])
    account = Account("0x" + f"{place + 1:02x}" * 20)
    return SharingBench(Nearest(), Materials(task, shard, probe, probe), Rng(place), Rng(9), account)


async def test_two_nodes_know_more_than_either_from_means_alone():
    async with (
        open_memory_network() as network,
        network.open_transport(b"1" * 32) as here,
        network.open_transport(b"2" * 32) as there,
    ):
        await here.connect(there.addresses[0])
        mine, yours = bench(0), bench(1)
        await mine.perform(Share(FIRST), here, aside)
        alone = await mine.perform(Merge(FIRST, ()), here, aside)
        shared = await yours.perform(Share(FIRST), there, aside)
        again = bench(0)
        await again.perform(Share(FIRST), here, aside)
        offer = (Account("0x" + "02" * 20), shared.blob, shared.size)
        together = await again.perform(Merge(FIRST, (offer,)), here, aside)
        assert together.figures["merged"] == 2
        assert together.figures["accuracy"] > alone.figures["accuracy"] + 300_000

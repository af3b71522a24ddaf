"""Learning by exchange, with blobs that are honest, broken, too large, or gone; and a node that starts again."""

from __future__ import annotations

import dataclasses
from contextlib import asynccontextmanager

import pytest
from p2pfd_adapters.gossip import Gossip

from p2pfd.core.ids import Account, Digest, RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Split
from p2pfd.network.api import Cid
from p2pfd.network.memory import open_memory_network
from p2pfd.node.sharing import SharingBench
from p2pfd.node.workbench import Materials, votes
from p2pfd.roles.exchange import Merge, Share
from p2pfd.roles.work import Conclude, Study
from p2pfd.testing.materials import small_task
from p2pfd.wire.limits import MAX_OFFERED

ME, YOU = Account("0x" + "01" * 20), Account("0x" + "02" * 20)
LIARS = [Account("0x" + f"{number:02x}" * 20) for number in range(3, 9)]
FIRST = RoundId(0)


@asynccontextmanager
async def pair():
    """Two transports that are connected."""
    async with (
        open_memory_network() as network,
        network.open_transport(b"1" * 32) as here,
        network.open_transport(b"2" * 32) as there,
    ):
        await here.connect(there.addresses[0])
        yield here, there


async def aside(function, *args):
    return function(*args)


def bench(who: Account, *, codecs: tuple[str, ...] = (), place: int = 0) -> SharingBench:
    task, shards = small_task("gossip")
    spec = dataclasses.replace(task.spec, codecs=codecs, settings={"net": "linear8", "epochs": 1})
    task = dataclasses.replace(task, spec=spec)
    few = Split(shards[2].x[:60], shards[2].y[:60])
    return SharingBench(Gossip(), Materials(task, shards[place], few, few), Rng(place), Rng(9), who)


async def test_what_is_honest_is_merged_and_what_is_not_is_left_out_and_counted():
    async with pair() as (here, there):
        mine, yours = bench(ME), bench(YOU, place=1)
        await mine.perform(Share(FIRST), here, aside)
        shared = await yours.perform(Share(FIRST), there, aside)
        honest = (YOU, shared.blob, shared.size)
        frame = await there.get(Cid(shared.blob), shared.size)
        lies = [frame[: len(frame) // 2], b"\0" * len(frame), b"junk"]
        offers = [honest]
        for liar, lie in zip(LIARS, lies, strict=False):
            offers.append((liar, Digest(await there.put(lie)), len(lie)))
        offers.append((LIARS[3], shared.blob, MAX_OFFERED))  # claims to be larger than any contribution of the task
        offers.append((LIARS[4], shared.blob, shared.size - 1))  # is larger than it claims to be

        merged = await mine.perform(Merge(FIRST, tuple(offers)), here, aside)
        assert merged.figures["merged"] + merged.figures["unusable"] == len(offers) + 1
        assert merged.figures["merged"] == 2

        alone = bench(ME)
        await alone.perform(Share(FIRST), here, aside)
        expected = await alone.perform(Merge(FIRST, (honest,)), here, aside)
        assert merged.weights == expected.weights
        assert 0 <= merged.figures["accuracy"] <= 1_000_000


async def test_a_blob_that_nobody_has_costs_a_contribution_and_no_more(autojump_clock):
    async with open_memory_network() as network, network.open_transport(b"1" * 32) as here:
        mine = bench(ME)
        await mine.perform(Share(FIRST), here, aside)
        merged = await mine.perform(Merge(FIRST, ((YOU, Digest(b"n" * 32), 100),)), here, aside)
        assert (merged.figures["merged"], merged.figures["unusable"]) == (1, 1)


@pytest.mark.parametrize("codecs", [(), ("fp16",), ("topk:0.1", "int8")], ids="+".join)
async def test_after_a_restart_a_contribution_is_made_again_to_the_bit(codecs):
    async with open_memory_network() as network, network.open_transport(b"1" * 32) as here:
        first = bench(ME, codecs=codecs)
        for number in range(3):
            shared = await first.perform(Share(RoundId(number)), here, aside)
            saved = first.saved
            merged = await first.perform(Merge(RoundId(number), ()), here, aside)

        again = bench(ME, codecs=codecs)
        again.restore(saved)
        assert await again.perform(Share(RoundId(2), again=True), here, aside) == shared
        assert await again.perform(Merge(RoundId(2), ()), here, aside) == merged
        assert again.saved == first.saved
        following = [await each.perform(Share(RoundId(3)), here, aside) for each in (first, again)]
        assert following[0] == following[1]


async def test_it_concludes_with_what_the_same_adapter_reaches_alone():
    async with open_memory_network() as network, network.open_transport(b"1" * 32) as here:
        mine = bench(ME)
        await mine.perform(Share(FIRST), here, aside)
        done = await mine.perform(Conclude(), here, aside)
        assert 0 < done.figures["accuracy_alone"] <= 1_000_000
        assert done.figures["fedavg_bytes"] == 4 * 650 * 2  # a linear net's numbers, in two rounds
        with pytest.raises(TypeError):
            await mine.perform(Study(FIRST), here, aside)


@pytest.mark.parametrize("raw", [b"\0", b"\x93\xc4\0\xc4\0\xc4\0", b"\x91\xc4\0"])
def test_a_damaged_state_is_refused(raw):
    with pytest.raises(DecodeError):
        bench(ME).restore(raw)


def test_a_codec_that_remembers_is_refused():
    with pytest.raises(PlanError, match="remembers what was sent before"):
        bench(ME, codecs=("delta", "int8"))


def test_only_labels_of_a_common_student_are_voted_on():
    task, _ = small_task("cfd")
    from p2pfd_adapters.cfd import Cfd
    from p2pfd_adapters.fedavg import FedAvg

    assert votes(Cfd(), task)
    assert not votes(FedAvg(), task)
    assert not votes(Gossip(), task)

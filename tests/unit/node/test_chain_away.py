"""A chain that is away for an hour: nodes wait, go on where they were, and claim nothing twice. In virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from p2pfd.core.claims import CommitLabels, Deposit, RevealLabels
from p2pfd.node.settling import LONGEST_PAUSE, PATIENCE

from .test_ports import world

__all__ = ["world"]
HOUR = 3_600.0


def often(moment: str) -> object:
    return pytest.param(moment, marks=pytest.mark.long)


@pytest.mark.parametrize(
    "moment", [often("task.enrolled"), "round.opened", often("round.committed"), often("round.revealed")]
)
async def test_an_hour_without_the_chain_costs_an_hour(autojump_clock: MockClock, world, moment: str) -> None:
    one, two = world
    async with one.life() as first, two.life() as second:
        await one.until(lambda: moment in one.names())
        for rig in world:
            rig.tap.drop()
        began = trio.current_time()
        await trio.sleep(HOUR)
        assert not first.finished.is_set()
        asked = sum(name == "chain.unreachable" and "again_in" in fields for name, fields in one.told)
        assert HOUR / LONGEST_PAUSE - 5 <= asked <= HOUR / LONGEST_PAUSE + 10, "it asks, and not all the time"
        for rig in world:
            rig.tap.cut = False
        with trio.fail_after(900):
            await first.finished.wait()
            await second.finished.wait()
        assert first.figures["weights"] == second.figures["weights"]
        assert trio.current_time() - began < HOUR + 300
    for rig in world:
        made = [str(claim) for claim in rig.tap.sent if isinstance(claim, Deposit | CommitLabels | RevealLabels)]
        assert len(made) == len(set(made)), "nothing was claimed twice"
        assert not any(name == "chain.stuck" for name, _ in rig.told)
    assert one.tap.since == sorted(set(one.tap.since)), "and nothing read twice"


async def test_a_node_that_dies_while_the_chain_is_away_waits_for_it_again(autojump_clock: MockClock, world) -> None:
    one, two = world
    async with two.life() as second:
        async with one.life():
            await one.until(lambda: "round.committed" in one.names())
            one.tap.drop()
            await trio.sleep(HOUR / 2)
        # It starts without its chain. One that was never there would give up by now.
        async with one.life() as first:
            await trio.sleep(30 * PATIENCE)
            one.tap.cut = False
            await first.finished.wait()
            await second.finished.wait()

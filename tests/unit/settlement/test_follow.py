"""Events as they happen and as they are undone, and events that are final."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from p2pfd.core.claims import TaskClosed
from p2pfd.core.encounter_events import SeatLeft
from p2pfd.core.ids import TaskId
from p2pfd.core.rng import Rng
from p2pfd.errors import ChainError
from p2pfd.settlement.api import GENESIS
from p2pfd.settlement.follow import Added, Follower, Undone
from p2pfd.settlement.kinds import ENCOUNTERS, Contract, market_at
from p2pfd.settlement.watch import Feed, FinalityBrokenError, Watcher
from tests.unit.settlement.forks import MARKET, TASK, Forks


async def taken(follower: Follower, held: list[int]) -> int:
    """Carry out what is new; how many steps took something back."""
    undone = 0
    await follower.look()
    while follower._steps:
        step = await anext(follower)
        event = step.told.event
        assert isinstance(event, (TaskClosed, SeatLeft))
        number = event.rounds if isinstance(event, TaskClosed) else event.seat
        if isinstance(step, Added):
            held.append(number)
        else:
            assert isinstance(step, Undone)
            assert held.pop() == number, "the newest is taken back first"
            undone += 1
    return undone


@pytest.mark.parametrize("contract", [market_at(MARKET), Contract(MARKET, ENCOUNTERS)], ids=["market", "encounters"])
@pytest.mark.parametrize("seed", range(12))
async def test_a_follower_ends_where_the_chain_does(seed: int, contract: Contract) -> None:
    rng = Rng(seed)
    chain = Forks(rng.split("chain"), stale=seed % 4, seats=contract.kind is ENCOUNTERS)
    chain.grow(rng.below(40))
    follower = Follower(chain, contract, depth=8)
    held: list[int] = []
    undone = 0
    for _ in range(60):
        if rng.chance(1, 3) and len(chain.blocks) > 8:
            depth = rng.between(1, 6)
            chain.fork(depth, depth + rng.below(4))
        else:
            chain.grow(rng.below(5))
        undone += await taken(follower, held)
        assert len(set(held)) == len(held)
    chain._stale = 0
    await taken(follower, held)
    assert held == chain.events()
    assert undone > 0, "this chain never undid anything"


async def test_a_lower_head_is_an_endpoint_that_is_behind() -> None:
    chain = Forks(Rng(1))
    chain.grow(20)
    follower = Follower(chain, market_at(MARKET), depth=8)
    held: list[int] = []
    await taken(follower, held)
    whole, chain.blocks = chain.blocks, chain.blocks[:-3]
    assert await taken(follower, held) == 0
    chain.blocks = whole
    assert await taken(follower, held) == 0
    assert held == chain.events()


async def test_a_reorganisation_deeper_than_is_remembered_is_told() -> None:
    chain = Forks(Rng(2))
    chain.grow(20)
    follower = Follower(chain, market_at(MARKET), depth=4)
    await follower.look()
    chain.fork(6, 8)
    with pytest.raises(FinalityBrokenError, match="deeper than the 4"):
        await taken(follower, [])


async def test_a_follower_waits_and_gives_up(autojump_clock: MockClock) -> None:
    chain = Forks(Rng(3))
    chain.grow(3)
    follower = Follower(chain, market_at(MARKET), depth=4, interval=1.0, outage=10.0)
    while follower._steps or not follower._chain:
        await anext(follower)
    with trio.move_on_after(100) as waited:
        await anext(follower)
    assert waited.cancelled_caught, "nothing happens, and nothing is told"
    chain._answer = lambda *_: "nonsense"  # type: ignore[method-assign]
    with pytest.raises(ChainError, match="the chain answered 'nonsense' where a block's number belongs"):
        await anext(follower)


# -- final events ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", [market_at(MARKET), Contract(MARKET, ENCOUNTERS)], ids=["market", "encounters"])
async def test_final_events_come_once_whatever_the_chain_undoes(autojump_clock: MockClock, contract: Contract) -> None:
    """Endpoints are up to two blocks behind, reorganisations go three deep, and four blocks make it final."""
    rng = Rng(4)
    chain = Forks(rng.split("chain"), stale=2, seats=contract.kind is ENCOUNTERS)
    chain.grow(10)
    watcher = Watcher(chain, contract, finality=4, interval=1.0)
    seen: list[int] = []

    async def follow() -> None:
        async for _, event in Feed(watcher, GENESIS, contract, TaskId(TASK) if contract.kind.tasks else None):
            assert isinstance(event, (TaskClosed, SeatLeft))
            seen.append(event.rounds if isinstance(event, TaskClosed) else event.seat)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        nursery.start_soon(follow)
        for _ in range(200):
            await trio.sleep(0.7)
            depth = rng.between(1, 3)
            if rng.chance(1, 3):
                chain.fork(depth, depth + rng.below(2))
            chain.grow(rng.below(2))
        chain._stale = 0
        chain.grow(4)
        final = [event for block in chain.blocks[:-4] for event in block.events]
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert seen == final
    assert len(seen) > 50


async def test_a_chain_that_undoes_what_was_final_stops_whoever_acts_on_it(autojump_clock: MockClock) -> None:
    chain = Forks(Rng(5))
    chain.grow(10)
    watcher = Watcher(chain, market_at(MARKET), finality=2, interval=1.0)
    with pytest.RaisesGroup(pytest.RaisesExc(FinalityBrokenError, match="undid block")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watcher.run)
            await watcher.join(Feed(watcher, GENESIS, market_at(MARKET), TaskId(TASK)))
            chain.grow(3)
            await trio.sleep(3)
            chain.fork(6, 9)
            await trio.sleep(30)
            raise AssertionError("it goes on")

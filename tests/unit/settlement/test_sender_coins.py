"""One account's transactions when it has too few coins for their gas."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from p2pfd.errors import ChainError
from p2pfd.settlement.fees import GWEI
from tests.unit.settlement.test_sender import HABITS, KEY, SHOP, blocks, ended, sender
from tests.unit.settlement.town import Town, read


async def test_an_account_without_coins_is_named_and_goes_on_when_it_has_some(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    town.coins = 50_000 * 10 * GWEI
    with pytest.raises(ChainError, match=f"{KEY.account} has not the 0.001100 of the chain's coin"):
        await on.send(SHOP, b"1", 50_000, intent="rent")
    assert not on._outbox.count(on._pen.scope)
    town.coins *= 3
    ref = await on.send(SHOP, b"1", 50_000, intent="rent")
    async with blocks(town):
        assert (await ended(on, ref)).success


@pytest.mark.parametrize("lost", [0, 1], ids=["in the pool", "unknown"])
async def test_nothing_is_offered_that_the_account_cannot_pay(autojump_clock: MockClock, lost: int) -> None:
    """Whoever goes on raising an offer that is refused for want of coins will not be heard when there are some."""
    town = Town()
    on = sender(town)
    town.lose_answers, town.base = lost, 9 * GWEI
    ref = await on.send(SHOP, b"1", 50_000)
    town.base, town.coins = 60 * GWEI, 50_000 * 30 * GWEI
    if lost:
        town.pool.clear()
    done = trio.Event()

    async def wait() -> None:
        assert (await ended(on, ref)).success
        done.set()

    async with blocks(town), trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(300)
        assert not done.is_set()
        offers = {read(raw).fee for raw in town.sent}
        assert 20 * GWEI < max(offers) <= 30 * GWEI
        assert len(town.pool) == 1, "the chain has the best of them"
        town.coins *= 10
        await done.wait()
    assert len(town.history()) == 1
    assert max(read(raw).fee for raw in town.sent) <= HABITS.fees.most


async def test_what_cannot_be_paid_does_not_hold_up_what_can(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    town.lose_answers, town.deaf = 1, True
    dear = await on.send(SHOP, b"dear", 5_000_000, intent="dear")
    town.deaf, town.coins = False, 100_000 * 22 * GWEI
    cheap = [await on.send(SHOP, b"cheap %d" % number, 50_000) for number in range(2)]
    done = trio.Event()

    async def wait() -> None:
        assert (await ended(on, dear)).success
        done.set()

    async with blocks(town), trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        for ref in cheap:
            assert (await ended(on, ref)).success
        await trio.sleep(200)
        assert not done.is_set()
        assert [tx.data for tx in town.history()] == [b"", b"cheap 0", b"cheap 1"], "its nonce was used for nothing"
        town.coins *= 1000
        await done.wait()
    assert [tx.data for tx in town.history()] == [b"", b"cheap 0", b"cheap 1", b"dear"]

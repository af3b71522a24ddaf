"""One account's transactions on a chain that carries out at once what it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from tests.unit.settlement.test_sender import HABITS, SHOP, ended, sender
from tests.unit.settlement.town import Town

INSTANT = replace(HABITS, finality=0)


async def test_what_is_carried_out_before_its_block_is_shown_is_not_carried_out_again(
    autojump_clock: MockClock,
) -> None:
    """Its nonce is used, and no block that is there to be seen holds it: so it looks when a stranger took the nonce."""
    town = Town()
    on = sender(town, habits=INSTANT)
    await on.send(SHOP, b"1", 50_000)
    town.mine()
    await on.finished()
    ref = await on.send(SHOP, b"2", 50_000)
    town.mine()
    town.behind, town.ahead = 1, True
    for _ in range(3):
        await on.look()
        await trio.sleep(1)
    town.behind = 0
    assert (await ended(on, ref)).success
    town.mine()
    assert [tx.data for tx in town.history()] == [b"1", b"2"]
    assert len(set(town.sent)) == 2


@pytest.mark.parametrize("forgetful", [False, True], ids=["states", "no states"])
@pytest.mark.parametrize("later", [0, 2], ids=["newest", "older"])
async def test_a_stranger_takes_a_nonce(autojump_clock: MockClock, later: int, forgetful: bool) -> None:
    """No other block may ever come, and other blocks may have come before ours was signed."""
    town = Town()
    town.forgetful = forgetful
    on, stranger = sender(town, habits=INSTANT), sender(town, habits=INSTANT)
    await on._pen.next()
    await stranger.send(SHOP, b"theirs", 50_000)
    town.mine(1 + later)
    on._pen.saw(1 + later)
    ref = await on.send(SHOP, b"ours", 50_000)
    await on.look()
    town.mine()
    assert (await ended(on, ref)).success
    assert [tx.data for tx in town.history()] == [b"theirs", b"ours"]

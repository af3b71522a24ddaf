"""One account's transactions on a chain that loses, forgets and reorganises: each intent is carried out once."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from p2pfd.core.ids import Account
from p2pfd.errors import ChainError
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import TxRef
from p2pfd.settlement.fees import GWEI, FeePolicy
from p2pfd.settlement.habits import Habits
from p2pfd.settlement.outbox import Fate, Outbox
from p2pfd.settlement.rpc import RpcRefusal
from p2pfd.settlement.sender import Sender
from tests.unit.settlement.town import FAILS, Town, read

KEY = AccountKey(b"\x21" * 32)
SHOP = Account("0x" + "77" * 20)
HABITS = Habits(
    finality=3,
    fees=FeePolicy(floor=2 * GWEI, most=100 * GWEI),
    look_seconds=1.0,
    resend_seconds=5.0,
    stuck_blocks=4,
    outage_seconds=20.0,
    longest_seconds=1_000.0,
)


def sender(town: Town, outbox: Outbox | None = None, habits: Habits = HABITS) -> Sender:
    return Sender(town, KEY, 1, outbox=outbox, habits=habits)


@asynccontextmanager
async def blocks(town: Town, seconds: float = 2.0) -> AsyncIterator[None]:
    """A block now and then, while the block lasts."""

    async def make() -> None:
        while True:
            await trio.sleep(seconds)
            town.mine()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(make)
        yield
        nursery.cancel_scope.cancel()


async def ended(on: Sender, ref: TxRef) -> Fate:
    fate = await on.final(ref)
    assert fate is not None
    return fate


async def test_it_is_final_when_enough_blocks_are_on_top_of_it(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    ref = await on.send(SHOP, b"1", 50_000)
    town.mine()
    done = trio.Event()

    async def wait() -> None:
        fate = await ended(on, ref)
        assert ("0x" + fate.tx.hex(), fate.block, fate.success, fate.cost) == (ref, 1, True, 21_000)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        for _ in range(2):
            town.mine()
            await trio.sleep(20)
            assert not done.is_set(), "it could still be undone"
        town.behind = 2
        town.mine()
        await trio.sleep(20)
        assert not done.is_set(), "an endpoint that is behind does not know"
        town.behind = 0
    assert len(town.history()) == 1


async def test_the_same_intent_twice_is_one_transaction(autojump_clock: MockClock, tmp_path: Path) -> None:
    town = Town()
    for life in range(3):
        with Outbox(tmp_path / "outbox") as outbox:
            on = sender(town, outbox)
            refs = {await on.send(SHOP, b"1", 50_000, intent="rent") for _ in range(3)}
            assert len(refs) == 1
            if life == 1:
                async with blocks(town):
                    await ended(on, *refs)
    assert [tx.data for tx in town.history()] == [b"1"]
    assert not town.pool
    with Outbox(tmp_path / "outbox") as outbox, pytest.raises(ChainError, match="'rent' is another claim's"):
        await sender(town, outbox).send(Account("0x" + "78" * 20), b"1", 50_000, intent="rent")


async def test_what_differs_under_one_name_is_refused() -> None:
    on = sender(Town())
    await on.send(SHOP, b"1", 50_000, intent="rent")
    with pytest.raises(ChainError, match="another claim's"):
        await on.send(SHOP, b"2", 50_000, intent="rent")
    await on.send(SHOP, b"permit 1", 50_000, intent="bond", claim=b"deposit 5")
    await on.send(SHOP, b"permit 2", 50_000, intent="bond", claim=b"deposit 5")
    with pytest.raises(ChainError, match="another claim's"):
        await on.send(SHOP, b"permit 1", 50_000, intent="bond", claim=b"deposit 6")


async def test_a_lost_answer_is_asked_for_with_the_same_bytes(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    town.lose_answers = 2
    ref = await on.send(SHOP, b"1", 50_000)
    async with blocks(town, 30.0):
        assert (await ended(on, ref)).success
    assert len(town.sent) >= 2
    assert len(set(town.sent)) == 1, "every time the same bytes"
    assert len(town.history()) == 1


async def test_what_an_earlier_process_left_is_gone_on_with(autojump_clock: MockClock, tmp_path: Path) -> None:
    town = Town()
    with Outbox(tmp_path / "outbox") as outbox:
        on = sender(town, outbox)
        await on.send(SHOP, b"0", 50_000, intent="0")
        town.deaf = True
        for number in range(1, 4):
            await on.send(SHOP, b"%d" % number, 50_000, intent=str(number))
    town.deaf = False
    assert len(town.pool) == 1, "the others have only been on disk"
    with Outbox(tmp_path / "outbox") as outbox:
        on = sender(town, outbox)
        async with blocks(town), trio.open_nursery() as nursery:
            nursery.start_soon(on.run)
            while outbox.count(on._pen.scope):  # noqa: ASYNC110 - whoever waits by `finished` helps
                await trio.sleep(1)
            nursery.cancel_scope.cancel()
    assert [tx.data for tx in town.history()] == [b"0", b"1", b"2", b"3"]


async def test_a_reorganisation_brings_it_back(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    refs = [await on.send(SHOP, b"%d" % number, 50_000) for number in range(3)]
    for depth in (1, 3, 2):
        town.mine(depth)
        await on.look()
        town.reorganise(depth)
        assert not town.history()
        assert not town.pool, "the chain has forgotten them"
        await on.look()
        assert len(town.pool) == 3, "and is told of them at the next look"
    async with blocks(town):
        for ref in refs:
            assert (await ended(on, ref)).success
    assert [tx.data for tx in town.history()] == [b"0", b"1", b"2"]
    assert len(set(town.sent)) == 3


async def test_what_is_stuck_is_replaced_at_the_same_nonce(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    refs = [await on.send(SHOP, b"%d" % number, 50_000) for number in range(2)]
    town.base = 40 * GWEI
    async with blocks(town):
        fates = [await ended(on, ref) for ref in refs]
    assert [fate.success for fate in fates] == [True, True]
    assert [tx.data for tx in town.history()] == [b"0", b"1"]
    offers = {}
    for raw in town.sent:
        tx = read(raw)
        offers.setdefault(tx.nonce, []).append(tx.fee)
    for fees in offers.values():
        steps = sorted(set(fees))
        assert len(steps) > 1
        assert all(10 * high >= 11 * low for low, high in itertools.pairwise(steps))
    assert max(max(fees) for fees in offers.values()) <= HABITS.fees.most
    again = [await ended(on, ref) for ref in refs]
    assert again == fates, "the first reference still tells what became of it"


async def test_no_fee_goes_beyond_the_most(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    town.base = 500 * GWEI
    await on.send(SHOP, b"1", 50_000)
    async with blocks(town):
        for _ in range(100):
            await trio.sleep(2)
            await on.look()
    assert max(read(raw).fee for raw in town.sent) == HABITS.fees.most
    assert not town.history()


async def test_a_receipt_that_is_withheld_is_no_reason_to_pay_again(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    ref = await on.send(SHOP, b"1", 50_000)
    town.mine()
    town.hide_receipts = True
    async with blocks(town):
        for _ in range(60):
            await trio.sleep(1)
            await on.look()
        assert len(town.history()) == 1
        town.hide_receipts = False
        assert (await ended(on, ref)).block == 1
    assert len(set(town.sent)) == 1


async def test_a_nonce_that_went_to_a_stranger_is_exchanged_once_that_is_final(autojump_clock: MockClock) -> None:
    town = Town()
    on, stranger = sender(town), sender(town)
    await on._pen.next()
    await stranger.send(SHOP, b"theirs", 50_000)
    town.mine()
    ref = await on.send(SHOP, b"ours", 50_000)
    await on.look()
    assert read(town.sent[-1]).nonce == 0
    assert not town.pool, "the stranger's may yet be undone"
    town.mine(3)
    await on.look()
    assert read(town.sent[-1]).nonce == 1
    async with blocks(town):
        assert (await ended(on, ref)).success
    assert [tx.data for tx in town.history()] == [b"theirs", b"ours"]


async def test_a_stranger_that_is_undone_leaves_the_nonce_to_us(autojump_clock: MockClock) -> None:
    town = Town()
    on, stranger = sender(town), sender(town)
    await on._pen.next()
    await stranger.send(SHOP, b"theirs", 50_000)
    town.mine()
    ref = await on.send(SHOP, b"ours", 50_000)
    await on.look()
    town.reorganise(1)
    async with blocks(town):
        assert (await ended(on, ref)).success
    assert [(tx.nonce, tx.data) for tx in town.history()] == [(0, b"ours")]


async def test_a_gap_below_is_filled_with_nothing(autojump_clock: MockClock) -> None:
    """A stranger's transaction took a nonce that we counted on, and was then undone."""
    town = Town()
    stranger = sender(town)
    await stranger.send(SHOP, b"theirs", 50_000)
    town.mine()
    on = sender(town)
    ref = await on.send(SHOP, b"ours", 50_000)
    town.reorganise(1)
    async with blocks(town):
        assert (await ended(on, ref)).success
    assert [(tx.nonce, tx.data) for tx in town.history()] == [(0, b""), (1, b"ours")]


async def test_what_the_chain_refuses_is_not_kept(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    town.refuse = "intrinsic gas too low"
    with pytest.raises(RpcRefusal, match="intrinsic gas"):
        await on.send(SHOP, b"1", 50_000, intent="rent")
    assert not on._outbox.count(on._pen.scope)
    town.refuse = ""
    ref = await on.send(SHOP, b"1", 50_000, intent="rent")
    async with blocks(town):
        assert (await ended(on, ref)).success
    assert [tx.nonce for tx in town.history()] == [0]


async def test_a_refusal_after_a_lost_answer_proves_nothing(autojump_clock: MockClock) -> None:
    """The refusal may be the answer to a copy, whose original is in the pool."""
    town = Town()
    plain, refused = town._answer, []

    def twice(method: str, params: list[object]) -> object:
        found = plain(method, params)
        if method == "eth_sendRawTransaction" and not refused:
            refused.append(method)
            return RpcRefusal(method, -32000, "insufficient funds", b"", repeated=True)
        return found

    town._answer = twice  # type: ignore[method-assign]
    on = sender(town)
    ref = await on.send(SHOP, b"1", 50_000)
    async with blocks(town):
        assert (await ended(on, ref)).success
    assert len(town.history()) == 1


async def test_an_offer_that_is_too_low_is_raised_at_once() -> None:
    town = Town()
    plain = town._answer

    def dear(method: str, params: list[object]) -> object:
        if method == "eth_sendRawTransaction" and read(bytes.fromhex(str(params[0])[2:])).tip < 2.2 * GWEI:
            return RpcRefusal(method, -32000, "transaction underpriced: gas tip cap", b"")
        return plain(method, params)

    town._answer = dear  # type: ignore[method-assign]
    await sender(town).send(SHOP, b"1", 50_000)
    (tx,) = town.pool.values()
    assert tx.tip >= 2.2 * GWEI
    assert tx.nonce == 0


async def test_a_failure_comes_with_its_reason(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    ref = await on.send(SHOP, FAILS, 50_000)
    async with blocks(town):
        fate = await ended(on, ref)
    assert (fate.success, fate.reason) == (False, "bad")


async def test_more_than_a_pool_holds_goes_in_parts(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town, habits=Habits(finality=3, fees=HABITS.fees, look_seconds=1.0, window=5))
    refs = [await on.send(SHOP, b"%d" % number, 50_000) for number in range(12)]
    assert len(town.pool) == 5
    async with blocks(town):
        for ref in refs:
            assert (await ended(on, ref)).success
    assert [tx.nonce for tx in town.history()] == list(range(12))


async def test_an_outage_is_outlasted_and_a_long_one_told(autojump_clock: MockClock) -> None:
    town = Town()
    on = sender(town)
    ref = await on.send(SHOP, b"1", 50_000)
    async with blocks(town), trio.open_nursery() as nursery:

        async def cut() -> None:
            town.cut = True
            await trio.sleep(15)
            town.cut = False

        nursery.start_soon(cut)
        assert (await ended(on, ref)).success
    ref = await on.send(SHOP, b"2", 50_000)
    town.cut = True
    with pytest.raises(ChainError, match="no chain answers"):
        await on.final(ref)
    town.cut = False
    with pytest.raises(ChainError, match="not final after 1000 s"):
        await on.final(ref)
    with pytest.raises(ChainError, match="'0x12' is not a transaction's hash"):
        await on.final(TxRef("0x12"))

"""The EVM settlement on a chain in this process: what its conformance leaves open."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from eth_account import Account as Signer
from trio.testing import MockClock

from p2pfd.core.claims import Advance, Claim, Deposit, Enrol, Included, OpenTask, Reverted, TaskClosed, TaskOpened
from p2pfd.core.ids import Account, Amount, TaskId, account_bytes
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError, PlanError
from p2pfd.settlement import contracts
from p2pfd.settlement import watch as watch_module
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import GENESIS, Capabilities, Cursor
from p2pfd.settlement.deploy import deploy, transfer
from p2pfd.settlement.embedded.methods import Methods
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.fees import GWEI, FeePolicy
from p2pfd.settlement.habits import Habits
from p2pfd.settlement.kinds import market_at
from p2pfd.settlement.profiles import open_chain
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.sender import Sender
from p2pfd.settlement.watch import Watcher
from p2pfd.testing.settlement import SECONDS, terms
from tests.contracts.chain import BOSS, CHAIN_ID, UNBOND_SECONDS, Contracts, key
from tests.unit.settlement.town import read

A, B = KEYS = [key(1), key(2)]
TASK, OTHER = TaskId(b"\1" * 32), TaskId(b"\2" * 32)
CAPS = Capabilities("embedded", CHAIN_ID, finality=0, live=False, block_seconds=0.0)


class Direct(Rpc):
    """An endpoint in this process, whose line can be cut."""

    def __init__(self, methods: Methods) -> None:
        super().__init__("http://127.0.0.1:1", patience=0.0)
        self._methods = methods
        self.lose_answers = 0
        self.cut = False
        self.asked: list[bytes] = []

    async def _once(self, body: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        if self.cut:
            raise OSError("cut")
        self.asked.append(body)
        answer = self._methods.answer(body)
        if self.lose_answers and b"sendRaw" in body:
            self.lose_answers -= 1
            raise OSError("the answer is lost")
        return answer


@dataclasses.dataclass
class Bench:
    """A chain, a line to it, and who watches."""

    chain: Contracts
    rpc: Direct
    watcher: Watcher

    @property
    def spec(self) -> ChainSpec:
        return ChainSpec("embedded", CHAIN_ID, self.chain.token, self.chain.market)

    def settlement(self, who: AccountKey) -> EvmSettlement:
        return EvmSettlement(self.rpc, self.watcher, self.spec, CAPS, who)


@asynccontextmanager
async def bench(*, finality: int = 0, outage: float = 60.0) -> AsyncIterator[Bench]:
    chain = Contracts(dict.fromkeys(KEYS, 1_000))
    rpc = Direct(Methods(chain.ledger))
    watcher = Watcher(rpc, market_at(chain.market), finality=finality, interval=0.01, outage_seconds=outage)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        yield Bench(chain, rpc, watcher)
        nursery.cancel_scope.cancel()


async def test_a_lost_answer_does_not_send_twice() -> None:
    async with bench() as on:
        mine = on.settlement(A)
        on.rpc._patience = 1.0
        on.rpc.lose_answers = 1
        receipt = await mine.final(await mine.submit(Deposit(Amount(10))))
        assert isinstance(receipt, Included)
        assert on.chain.balances(A.account).free == 10
        assert isinstance(await mine.final(await mine.submit(Deposit(Amount(1)))), Included), "and the nonce is right"


async def test_nonces_are_asked_again_when_another_process_used_the_account() -> None:
    async with bench() as on:
        mine, twin = on.settlement(A), on.settlement(A)
        for each in (mine, twin, mine, twin, twin, mine):
            assert isinstance(await each.final(await each.submit(Deposit(Amount(1)))), Included)
        assert on.chain.balances(A.account).free == 6


async def test_what_cannot_be_sent_says_so_and_leaves_the_account_usable() -> None:
    async with bench() as on:
        mine = on.settlement(A)
        on.rpc.cut = True
        with pytest.raises(ChainError, match="no chain answers"):
            await mine.submit(Enrol(TASK))
        on.rpc.cut = False
        receipt = await mine.final(await mine.submit(Enrol(TASK)))
        assert isinstance(receipt, Reverted)
        assert receipt.reason == "market: no such task"


async def test_a_permit_that_someone_else_sent_first_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as on:
        mine = on.settlement(A)
        plain = Sender.send

        async def overtaken(self: Sender, to: Account | None, data: bytes, gas: int, **more: Any) -> object:
            """Someone reads the permit out of the deposit on its way, and sends it alone."""
            amount, deadline, v, r, s = decoded(data)
            permit = contracts.token()["permit"].call(A.account, on.chain.market, amount, deadline, v, r, s)
            on.chain.must(B, on.chain.token, permit)
            return await plain(self, to, data, gas, **more)

        approval = contracts.token()["approve"].call(on.chain.market, 0)
        on.chain.must(A, on.chain.token, approval)
        monkeypatch.setattr(Sender, "send", overtaken)
        receipt = await mine.final(await mine.submit(Deposit(Amount(10))))
        assert isinstance(receipt, Included)
        assert on.chain.balances(A.account).free == 10


def decoded(data: bytes) -> tuple[int, int, int, bytes, bytes]:
    words = [data[4 + at : 36 + at] for at in range(0, len(data) - 4, 32)]
    amount, deadline, v = (int.from_bytes(word, "big") for word in words[:3])
    return amount, deadline, v, words[3], words[4]


async def test_a_deposit_without_permission_is_refused() -> None:
    """Somebody else's permit, or none, moves nothing."""
    async with bench() as on:
        on.chain.must(A, on.chain.token, contracts.token()["approve"].call(on.chain.market, 0))
        wrong = Signer.unsafe_sign_hash(b"\1" * 32, B.private)
        call = contracts.market()["deposit_with_permit"].call(
            5, 10**10, wrong.v, wrong.r.to_bytes(32, "big"), wrong.s.to_bytes(32, "big")
        )
        block = on.chain.send(A, on.chain.market, call, 1_000_000)
        assert not block.success
        assert reason(block.output) == "erc20: insufficient allowance"


async def test_all_feeds_of_a_process_share_one_look(autojump_clock: MockClock) -> None:
    async with bench() as on:
        mine = on.settlement(A)
        seen: list[TaskId] = []

        async def follow(task: TaskId) -> None:
            async for _, event in mine.events(GENESIS, task):
                seen.append(event.task)
                if isinstance(event, TaskClosed):
                    return

        async with trio.open_nursery() as nursery:
            for task in (TASK, OTHER, TASK, TASK):
                nursery.start_soon(follow, task)
            await mine.submit(Deposit(Amount(1_000)))
            for task in (TASK, OTHER):
                await mine.submit(OpenTask(dataclasses.replace(terms(task), pot=Amount(0))))
            await trio.sleep(1)
            on.rpc.asked.clear()
            on.chain.now += SECONDS + 1
            for task in (TASK, OTHER):
                await mine.submit(Advance(task))
        assert sorted(seen) == sorted([TASK] * 6 + [OTHER] * 2)
        asked = [body for body in on.rpc.asked if b"getLogs" in body]
        assert len(asked) <= 2, "one question for a block, however many follow"


async def test_where_gas_is_paid_for_a_dear_call_may_use_what_it_takes_and_half_as_much_again() -> None:
    async with bench() as on:
        free = on.settlement(A)
        await free.submit(Deposit(Amount(1_000)))
        await free.submit(OpenTask(dataclasses.replace(terms(TASK), pot=Amount(0))))
        paying = Sender(on.rpc, A, CHAIN_ID, habits=Habits(fees=FeePolicy(most=GWEI)))
        mine = EvmSettlement(on.rpc, on.watcher, on.spec, dataclasses.replace(CAPS, live=True), A, paying)

        async def asked_for(claim: Claim) -> int:
            """The gas limit of the transaction that was sent."""
            on.rpc.asked.clear()
            await mine.submit(claim)
            (raw,) = [json.loads(body)["params"][0] for body in on.rpc.asked if b"sendRaw" in body]
            return read(bytes.fromhex(raw[2:])).gas

        dear, little = Advance(TASK), Enrol(TASK)
        assert await asked_for(dear) == 250_000, "too early: it fails, and for that it needs little"
        assert await asked_for(little) == contracts.gas_for(little)
        on.chain.now += SECONDS + 1
        takes = await free.gas(dear)
        assert await asked_for(dear) == takes * 3 // 2 + 100_000 < contracts.gas_for(dear) // 5


async def test_events_wait_until_they_are_final(autojump_clock: MockClock) -> None:
    async with bench(finality=3) as on:
        mine = on.settlement(A)
        await mine.submit(Deposit(Amount(1_000)))
        await mine.submit(OpenTask(dataclasses.replace(terms(TASK), pot=Amount(0))))
        opened = on.chain.ledger.head.number
        feed = mine.events(GENESIS, TASK)
        with trio.move_on_after(0.1) as early:
            await anext(feed)
        assert early.cancelled_caught, "two more blocks could still undo it"
        for _ in range(3):
            await mine.submit(Deposit(Amount(0)))
        cursor, event = await anext(feed)
        assert (cursor.block, type(event)) == (opened, TaskOpened)


async def test_history_is_read_in_parts_where_a_chain_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as on:
        mine = on.settlement(A)
        await mine.submit(Deposit(Amount(1_000)))
        for number in range(20):
            await mine.submit(OpenTask(dataclasses.replace(terms(TaskId(bytes([number]) * 32)), pot=Amount(0))))
        whole = await on.watcher.history(0, on.chain.ledger.head.number, market_at(on.chain.market), None)
        assert len(whole) == 20
        monkeypatch.setattr("p2pfd.settlement.embedded.methods.MAX_LOGS", 5)
        assert await on.watcher.history(0, on.chain.ledger.head.number, market_at(on.chain.market), None) == whole
        monkeypatch.setattr(watch_module, "_BLOCKS_A_REQUEST", 2)
        assert await on.watcher.history(0, on.chain.ledger.head.number, market_at(on.chain.market), None) == whole


async def test_an_outage_is_outlasted_and_a_long_one_reported(autojump_clock: MockClock) -> None:
    async with bench(outage=30.0) as on:
        mine = on.settlement(A)
        feed = mine.events(GENESIS, TASK)
        with trio.move_on_after(0.05):
            await anext(feed)
        on.rpc.cut = True
        await trio.sleep(2)
        on.rpc.cut = False
        await mine.submit(Deposit(Amount(1_000)))
        await mine.submit(OpenTask(dataclasses.replace(terms(TASK), pot=Amount(0))))
        with trio.fail_after(5):
            _, event = await anext(feed)
        assert isinstance(event, TaskOpened)
    with pytest.RaisesGroup(pytest.RaisesExc(ChainError, match="no chain answers")):
        async with bench(outage=0.0) as on:
            on.rpc.cut = True
            await anext(on.settlement(A).events(GENESIS, TASK))


async def test_terms_are_told() -> None:
    async with bench() as on:
        mine, wanted = on.settlement(A), dataclasses.replace(terms(TASK), pot=Amount(0))
        assert await mine.terms(TASK) is None
        await mine.submit(OpenTask(wanted))
        assert await mine.terms(TASK) == wanted


async def test_a_feed_goes_on_from_a_place_inside_a_block() -> None:
    async with bench() as on:
        mine = on.settlement(A)
        await mine.submit(Deposit(Amount(1_000)))
        wanted = dataclasses.replace(terms(TASK, seats=1, quorum=1), pot=Amount(0))
        await mine.submit(OpenTask(wanted))
        await mine.submit(Enrol(TASK))
        block = on.chain.ledger.head.number
        names = []
        feed = mine.events(GENESIS, TASK)
        for _ in range(3):
            cursor, event = await anext(feed)
            names.append((cursor.block - block, type(event).__name__))
        assert names == [(-1, "TaskOpened"), (0, "Enrolled"), (0, "RoundOpened")]
        cursor, event = await anext(mine.events(Cursor(block, 0), TASK))
        assert type(event).__name__ == "RoundOpened"


# -- deploying and opening ---------------------------------------------------------------------------------------------


async def test_deploying_twice_gives_two_markets_with_their_own_tokens() -> None:
    chain = Contracts({})
    rpc = Direct(Methods(chain.ledger))
    first = await deploy(rpc, BOSS, 1_000, UNBOND_SECONDS)
    second = await deploy(rpc, BOSS, 1_000, UNBOND_SECONDS)
    assert len({first.token, first.market, second.token, second.market}) == 4
    await transfer(rpc, BOSS, second, {A.account: 600, B.account: 400})
    watcher = Watcher(rpc, market_at(second.market), finality=0, interval=1.0)
    mine = EvmSettlement(rpc, watcher, second, CAPS, A)
    assert [(await mine.account(who.account)).wallet for who in (A, B, BOSS)] == [600, 400, 0]
    with pytest.raises(ChainError, match="erc20: transfer amount exceeds balance"):
        await transfer(rpc, BOSS, second, {A.account: 1})


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"profile": "moon"}, PlanError, "no chain profile 'moon'"),
        ({"profile": "amoy"}, PlanError, "amoy is chain 80002, not 31337"),
        ({"chain_id": 5}, PlanError, "embedded is a local chain, with the id 31337 or 1337, and this is chain 5"),
        ({"chain_id": 1337}, ChainError, "is chain 31337, the task settles on 1337"),
        ({"market": Account("0x" + "12" * 20)}, ChainError, "there is no contract at 0x1212"),
    ],
)
async def test_a_chain_that_is_another_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, object], error: type[Exception], said: str
) -> None:
    async with bench() as on:
        monkeypatch.setattr("p2pfd.settlement.profiles.Rpc", lambda *_, **__: on.rpc)
        with pytest.raises(error, match=said):
            async with open_chain(dataclasses.replace(on.spec, **change), "http://127.0.0.1:1"):
                pass


async def test_what_the_caller_raises_leaves_the_block_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as on:
        monkeypatch.setattr("p2pfd.settlement.profiles.Rpc", lambda *_, **__: on.rpc)
        with pytest.raises(KeyError):
            async with open_chain(on.spec, "http://127.0.0.1:1"):
                raise KeyError("mine")
        assert account_bytes(on.spec.market)

"""A chain that answers nonsense: every call ends, with what it was asked for or with a ChainError."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from p2pfd.core.claims import Deposit, Enrol, OpenTask
from p2pfd.core.ids import Amount, TaskId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError
from p2pfd.settlement import profiles
from p2pfd.settlement.api import GENESIS, Capabilities, TxRef
from p2pfd.settlement.embedded.methods import Methods
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.fees import LOCAL
from p2pfd.settlement.follow import Follower
from p2pfd.settlement.habits import Habits
from p2pfd.settlement.kinds import market_at
from p2pfd.settlement.outbox import Outbox
from p2pfd.settlement.profiles import open_chain
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.sender import Sender
from p2pfd.settlement.watch import Watcher
from p2pfd.testing.settlement import terms
from tests.contracts.chain import CHAIN_ID, Contracts, key

A = key(1)
TASK = TaskId(b"\1" * 32)
CAPS = Capabilities("embedded", CHAIN_ID, finality=0, live=False, block_seconds=0.0)
NONSENSE: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**4_000,
    1.5,
    "",
    "0x",
    "0x0",
    "0xzz",
    "0x123",
    "-0x1",
    "0x" + "f" * 64,
    "0x" + "f" * 65,
    "0x" + "f" * 100_000,
    "0x" + "00" * 32,
    "0x" + "00" * 20,
    "\udcff\x00",
    "١٢٣",
    [],
    [None],
    [[[]]],
    [{}],
    {},
    {"hash": "0x12", "number": 1},
    {"error": {"code": []}},
)


class Liar(Rpc):
    """A healthy chain in this process, whose answers are changed on the way with this probability."""

    def __init__(self, methods: Methods, rng: Rng) -> None:
        super().__init__("http://127.0.0.1:1", patience=0.0)
        self._methods = methods
        self._rng = rng
        self.lies = 0.0
        self.told = 0

    async def _once(self, body: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        answer = json.loads(self._methods.answer(body))
        for entry in answer if isinstance(answer, list) else [answer]:
            if self._rng.unit() < self.lies:
                self.told += 1
                if self._rng.chance(1, 6):
                    entry["error"] = self._rng.choice(NONSENSE)
                else:
                    entry["result"] = self._changed(entry.get("result"))
        if self._rng.unit() < self.lies / 10:
            return json.dumps(self._rng.choice(NONSENSE)).encode()
        return json.dumps(answer).encode()

    def _changed(self, value: Any) -> Any:
        """Another value, or the same with another one somewhere inside."""
        if isinstance(value, dict) and value and self._rng.chance(2, 3):
            field = self._rng.choice(sorted(value))
            return value | {field: self._changed(value[field])}
        if isinstance(value, list) and value and self._rng.chance(2, 3):
            at = self._rng.below(len(value))
            return [*value[:at], self._changed(value[at]), *value[at + 1 :]]
        return self._rng.choice(NONSENSE)


@pytest.mark.parametrize("seed", range(6))
async def test_every_call_ends_with_an_answer_or_a_chain_error(autojump_clock: MockClock, seed: int) -> None:
    rng = Rng(seed)
    chain = Contracts({A: 10_000})
    rpc = Liar(Methods(chain.ledger), rng)
    spec = ChainSpec("embedded", CHAIN_ID, chain.token, chain.market)
    habits = Habits(fees=LOCAL, longest_seconds=5.0, finality=rng.below(2))
    watcher = Watcher(rpc, market_at(chain.market), finality=0, interval=0.5, outage_seconds=2.0)
    sent: list[TxRef] = [TxRef("0x" + "12" * 32)]

    async def submit(mine: EvmSettlement) -> None:
        claim = rng.choice((Deposit(Amount(7)), Enrol(TASK), OpenTask(dataclasses.replace(terms(TASK), pot=Amount(0)))))
        sent.append(await mine.submit(claim))

    async def follow(mine: EvmSettlement) -> None:
        feed = mine.events(GENESIS, TASK)
        with trio.move_on_after(3):
            await anext(feed)

    async def undoing(_: EvmSettlement) -> None:
        follower = Follower(rpc, market_at(chain.market), depth=4, interval=0.5, outage=2.0)
        with trio.move_on_after(3):
            await anext(follower)

    calls: list[Callable[[EvmSettlement], Awaitable[object]]] = [
        submit,
        follow,
        undoing,
        lambda mine: mine.final(sent[-1]),
        lambda mine: mine.account(A.account),
        lambda mine: mine.terms(TASK),
        lambda mine: watcher.history(0, chain.ledger.head.number, market_at(chain.market), None),
    ]
    ends = {"fine": 0, "told": 0}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watching, watcher)
        with trio.fail_after(100_000), Outbox(None) as outbox:
            for number in range(150):
                rpc.lies = rng.choice((0.0, 0.1, 0.5, 1.0))
                mine = EvmSettlement(
                    rpc, watcher, spec, CAPS, A, Sender(rpc, A, CHAIN_ID, outbox=outbox, habits=habits)
                )
                try:
                    await calls[number % len(calls)](mine)
                    ends["fine"] += 1
                except ChainError:
                    ends["told"] += 1
        nursery.cancel_scope.cancel()
    assert rpc.told > 100
    assert min(ends.values()) > 10, ends


async def _watching(watcher: Watcher) -> None:
    while True:
        try:
            await watcher.run()
        except ChainError:
            await trio.sleep(0.5)


@pytest.mark.parametrize("seed", range(4))
async def test_opening_ends_too(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chain = Contracts({})
    rpc = Liar(Methods(chain.ledger), Rng(seed))
    rpc.lies = 0.4
    spec = ChainSpec("embedded", CHAIN_ID, chain.token, chain.market)
    monkeypatch.setattr(profiles, "Rpc", lambda *_, **__: rpc)
    ends = {"fine": 0, "told": 0}
    for _ in range(60):
        try:
            async with open_chain(spec, "http://127.0.0.1:1"):
                ends["fine"] += 1
        except ChainError:
            ends["told"] += 1
    assert min(ends.values()) > 3, ends

"""The embedded chain answers when there is something new: at once where somebody acts upon it, else a little later."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock

from p2pfd.core.claims import Deposit, Enrol, OpenTask, TaskOpened
from p2pfd.core.ids import Amount, TaskId
from p2pfd.settlement.api import GENESIS
from p2pfd.settlement.embedded.methods import Methods
from p2pfd.settlement.embedded.waiting import LONGEST_SECONDS, METHOD, PATIENT_SECONDS, Waiting
from p2pfd.settlement.kinds import ONCHAIN, market_at
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from p2pfd.settlement.watch import Feed, Watcher
from p2pfd.testing.settlement import terms
from tests.contracts.chain import BOSS, Contracts, everyone_deposits, key

A, B = key(1), key(2)
TASK = TaskId(b"\2" * 32)


class Line(Rpc):
    """A connection to a chain in this process, which counts what is asked."""

    def __init__(self, chain: Contracts) -> None:
        super().__init__("http://127.0.0.1:1")
        self.waiting = Waiting(chain.ledger, Methods(chain.ledger).answer)
        self.asked: list[str] = []
        self.knows = True

    async def several(self, calls: object) -> list[object]:
        out: list[object] = []
        for method, params in calls:  # type: ignore[attr-defined]
            if method == METHOD and not self.knows:
                out.append(RpcRefusal(method, -32601, "no such method", b""))
                continue
            self.asked.append(method)
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
            await self.waiting.hold(body)
            out.append(json.loads(self.waiting.answer(body))["result"])
        return out

    def noticed(self) -> None:
        """What was put on the chain past this line is heard of with the next answer."""
        self.waiting.answer(b'{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}')


@pytest.fixture(scope="module")
def chain() -> Contracts:
    chain = Contracts(dict.fromkeys([A, B, BOSS], 1_000_000))
    everyone_deposits(chain, [A, B, BOSS], 100_000)
    return chain


async def waited(line: Line, chain: Contracts) -> float:
    """How long a question about what comes next takes."""
    began = trio.current_time()
    patient = {"address": [chain.market], "patient": ONCHAIN.topics_of_the_patient()}
    assert int(await line.call(METHOD, hex(chain.ledger.head.number - 1), patient), 16) == chain.ledger.head.number
    return trio.current_time() - began


async def test_what_somebody_acts_upon_is_told_at_once(chain: Contracts, autojump_clock: MockClock) -> None:
    line = Line(chain)
    chain.carry_out(BOSS, Deposit(Amount(1)))
    assert await waited(line, chain) == pytest.approx(PATIENT_SECONDS), "somebody else has a stake now"
    assert chain.carry_out(BOSS, OpenTask(terms(TASK, rounds=1)))[0].success
    assert await waited(line, chain) == 0
    chain.carry_out(A, Enrol(TASK))
    assert await waited(line, chain) == pytest.approx(PATIENT_SECONDS), "others are enrolled: nobody has to hurry"


async def test_one_who_waits_is_woken_and_one_who_waits_in_vain_is_not_forgotten(
    chain: Contracts, autojump_clock: MockClock
) -> None:
    line, ended = Line(chain), []

    async def wait(known: int) -> None:
        await line.call(METHOD, hex(known), {"address": [chain.market], "patient": []})
        ended.append(trio.current_time())

    began = trio.current_time()
    await wait(chain.ledger.head.number)
    assert ended.pop() - began == pytest.approx(LONGEST_SECONDS)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait, chain.ledger.head.number)
        await trio.sleep(4)
        chain.carry_out(B, Enrol(TASK))
        line.noticed()
        began = trio.current_time()
    assert ended == [began] * 3


@pytest.mark.parametrize(
    "params",
    [
        [],
        ["0x1"],
        [1, {}],
        ["0x1", []],
        ["zz", {"address": [], "patient": []}],
        ["0x0", {"address": [], "patient": [1]}],
        ["0x0", {"address": [], "patient": ["0x00"] * 65}],
    ],
    ids=["none", "one", "no number", "a list", "no hexadecimal", "no topic", "too many"],
)
async def test_an_odd_question_is_answered_at_once(
    chain: Contracts, params: list[object], autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    await Line(chain).call(METHOD, *params)
    assert trio.current_time() == began


@pytest.mark.parametrize("knows", [True, False], ids=["one that tells", "one of another release"])
async def test_a_watcher_asks_seldom_and_misses_nothing(
    chain: Contracts, knows: bool, autojump_clock: MockClock
) -> None:
    line, bell = Line(chain), Line(chain)
    bell.knows = knows
    watcher = Watcher(line, market_at(chain.market), finality=0, interval=0.15, bell=bell)
    task = TaskId(bytes([3 + knows]) * 32)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        feed = Feed(watcher, GENESIS, market_at(chain.market), task)
        nursery.start_soon(opened_after, chain, [line, bell], task, 30.0)
        with trio.fail_after(100):
            event = (await anext(feed))[1]
        nursery.cancel_scope.cancel()
    assert isinstance(event, TaskOpened)
    assert len(line.asked) + len(bell.asked) < 15 if knows else len(line.asked) > 150


async def opened_after(chain: Contracts, lines: list[Line], task: TaskId, seconds: float) -> None:
    await trio.sleep(seconds)
    chain.carry_out(BOSS, Deposit(Amount(1)))
    assert chain.carry_out(BOSS, OpenTask(terms(task, rounds=1)))[0].success
    for line in lines:
        line.noticed()

"""A node's claims on a settlement that keeps them: whatever breaks, the same claim has the same name."""

from __future__ import annotations

from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from p2pfd.core.claims import Deposit, Included
from p2pfd.core.ids import Account, Amount, TaskId
from p2pfd.errors import StorageError
from p2pfd.node.settling import ChainSide
from p2pfd.node.store import Store
from p2pfd.settlement.api import GENESIS, Capabilities, ChainAwayError, OnceDesk, TxRef

WHO = Account("0x" + "11" * 20)
TASK = TaskId(b"\7" * 32)


class Keeping:
    """An `OnceDesk` whose answers get lost."""

    caps = Capabilities("test", 1, finality=0, live=False, block_seconds=0.0)

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.lose = 0

    async def submit(self, claim):
        raise AssertionError("a claim without a name")

    async def submit_once(self, intent, claim):
        self.asked.append((intent, claim))
        if self.lose:
            self.lose -= 1
            raise ChainAwayError("the answer was lost")
        return TxRef(intent)

    async def final(self, ref):
        return Included(ref, 1, 2)

    async def account(self, who):
        raise AssertionError("nobody needs to guess from balances")

    async def terms(self, task):
        return None

    async def events(self, since, task):
        assert since == GENESIS
        await trio.sleep_forever()
        yield

    @asynccontextmanager
    async def open(self):
        yield self


async def settled(chain: Keeping, store: Store) -> object:
    side = ChainSide(TASK, WHO, chain.open, store, lambda *_: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(side.run, lambda _: None)
        await side.reached.wait()
        receipt = await side.settle("deposit", Deposit(Amount(5)))
        nursery.cancel_scope.cancel()
    return receipt


async def test_a_lost_answer_is_asked_for_under_the_same_name(autojump_clock: MockClock, tmp_path) -> None:
    chain = Keeping()
    assert isinstance(chain, OnceDesk)
    chain.lose = 2
    with Store(tmp_path / "node.db") as store:
        assert isinstance(await settled(chain, store), Included)
    assert len(chain.asked) == 3
    assert set(chain.asked) == {(f"{TASK.hex()}/deposit", Deposit(Amount(5)))}


async def test_a_crash_before_the_reference_is_kept_changes_no_name(autojump_clock, tmp_path, monkeypatch) -> None:
    chain = Keeping()

    def crash(*_: object) -> None:
        raise StorageError("the process ends here")

    with Store(tmp_path / "node.db") as store:
        monkeypatch.setattr(Store, "sent", crash)
        try:
            await settled(chain, store)
        except* StorageError:
            monkeypatch.undo()
    with Store(tmp_path / "node.db") as store:
        assert isinstance(await settled(chain, store), Included)
    assert len(chain.asked) == 2
    assert len(set(chain.asked)) == 1

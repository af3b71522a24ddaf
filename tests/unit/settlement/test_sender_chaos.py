"""Everything that can happen to a sender, in any order: in the end each intent was carried out once."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from p2pfd.core.ids import Account
from p2pfd.core.rng import Rng
from p2pfd.errors import ChainError
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.fees import GWEI, FeePolicy
from p2pfd.settlement.habits import Habits
from p2pfd.settlement.outbox import Outbox
from p2pfd.settlement.sender import Sender
from tests.unit.settlement.town import Town

KEY = AccountKey(b"\x31" * 32)
SHOP = Account("0x" + "77" * 20)
HABITS = Habits(
    finality=4,
    fees=FeePolicy(floor=2 * GWEI, most=10_000 * GWEI),
    look_seconds=1.0,
    resend_seconds=3.0,
    stuck_blocks=4,
    outage_seconds=1e9,
    window=6,
)
STEPS = 150


class Life:
    """A sender that dies and is born again, a stranger with the same key, and the town that they live in."""

    def __init__(self, path: Path, seed: int) -> None:
        self.rng = Rng(seed)
        self.town = Town()
        self.path = path
        self.wanted: list[str] = []
        self.moves = 0
        self.outbox = Outbox(path)
        self.born()

    def born(self) -> None:
        self.outbox.close()
        self.outbox = Outbox(self.path)
        self.sender = Sender(self.town, KEY, 1, outbox=self.outbox, habits=HABITS)

    async def pay(self) -> None:
        """A new intent, or an old one once more: whoever does not know whether it was taken asks again."""
        if self.wanted and self.rng.chance(1, 3):
            name = self.rng.choice(self.wanted)
        else:
            name = str(len(self.wanted))
            self.wanted.append(name)
        with suppress(ChainError):
            await self.sender.send(SHOP, name.encode(), 50_000, intent=name)

    async def stranger(self) -> None:
        with suppress(ChainError):
            await Sender(self.town, KEY, 1, habits=HABITS).send(SHOP, b"theirs", 50_000)

    async def step(self) -> None:
        town, rng = self.town, self.rng
        match rng.below(14):
            case 0 | 1 | 2:
                await self.pay()
            case 3 | 4 | 5:
                town.mine(rng.between(1, 3))
            case 6:
                depth = min(rng.between(1, HABITS.finality), len(town.blocks) - 1)
                if depth:
                    town.reorganise(depth)
            case 7:
                self.born()
            case 8:
                await self.stranger()
            case 9:
                town.cut, town.deaf = rng.chance(1, 4), rng.chance(1, 4)
            case 10:
                town.hide_receipts, town.behind = rng.chance(1, 3), rng.below(3)
            case 11:
                town.lose_answers = rng.below(3)
            case 12:
                town.base = rng.between(5, 60) * GWEI
            case _:
                await trio.sleep(rng.between(1, 5))
        if rng.chance(2, 3):
            with suppress(ChainError):
                await self.sender.look()

    async def calm(self) -> None:
        """All is well again: what was ever wanted is asked for once more, and blocks come."""
        town = self.town
        town.cut = town.deaf = town.hide_receipts = False
        town.behind = town.lose_answers = 0
        self.born()
        for name in self.wanted:
            await self.sender.send(SHOP, name.encode(), 50_000, intent=name)
        for _ in range(400):
            if not self.outbox.count(self.sender._pen.scope):
                break
            town.mine()
            await trio.sleep(1)
            await self.sender.look()
        self.outbox.close()


MANY = [pytest.param(seed, marks=pytest.mark.long) for seed in range(5, 100)]


@pytest.mark.parametrize("seed", [*range(5), *MANY])
async def test_whatever_happens_each_intent_is_carried_out_once(
    autojump_clock: MockClock, tmp_path: Path, seed: int
) -> None:
    life = Life(tmp_path / "outbox", seed)
    for _ in range(STEPS):
        await life.step()
    await life.calm()
    done = Counter(tx.data.decode() for tx in life.town.history())
    assert {name: done[name] for name in life.wanted} == dict.fromkeys(life.wanted, 1)
    assert len(life.wanted) > 10

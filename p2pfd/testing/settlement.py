"""`check_settlement`: what every `Settlement` has to do. Run it on yours:

    async def test_my_settlement():
        await check_settlement(my_bench)

where ``my_bench()`` is an async context manager that gives a fresh `Bench`. It raises AssertionError, naming what was
not kept. All money that it moves it expects back to the last unit. `Bench.skip` lets a chain's time pass, a day or so
at once; apart from that a chain may take a day of its own time for each promise.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import trio

from p2pfd.core.claims import (
    Advance,
    BondForfeited,
    ChainEvent,
    Claim,
    CommitLabels,
    Deposit,
    Enrol,
    Included,
    MarketTerms,
    OpenTask,
    RevealLabels,
    RevealsClosed,
    Reverted,
    RoundOpened,
    RoundSettled,
    SettleRound,
    TaskClosed,
    Unknown,
    Unstake,
    Withdraw,
    WorkerPaid,
    WorkerSuspended,
)
from p2pfd.core.ids import Account, Amount, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.errors import ChainError
from p2pfd.incentives import ptsc
from p2pfd.settlement.api import GENESIS, Cursor, OnceDesk, Settlement, TxRef
from p2pfd.testing import script, stage
from p2pfd.testing.stage import More, Stage, reference_stage

PATIENCE = 30.0
FUNDS = Amount(10_000)
UNBOND_SECONDS = SECONDS = stage.SECONDS
SAMPLES, CLASSES = 70, 3
POT, RATE, BOND, FORFEIT = Amount(1_000), Amount(700), Amount(101), Amount(60)


@dataclass(frozen=True, slots=True)
class Bench:
    """Four accounts of one fresh chain, each with `FUNDS` tokens in its wallet, and a way to let its time pass."""

    settlements: Sequence[Settlement]
    accounts: Sequence[Account]
    skip: Callable[[int], Awaitable[None]]
    patience: float = PATIENCE
    """Seconds that a promise may take to be kept."""
    more: Callable[[], Awaitable[More]] | None = None
    """Puts the other contracts on the chain. The accounts are five then, and the long script has all in it."""


BenchFactory = Callable[[], AbstractAsyncContextManager[Bench]]


async def check_settlement(factory: BenchFactory) -> None:
    """Everything that a settlement promises, each on a fresh chain."""
    for promise in (
        _keeps_money,
        _refuses_with_reasons,
        _plays_rounds,
        _plays_alone,
        _goes_on_without_the_absent,
        _punishes_the_silent,
        _takes_many_claims_at_once,
        _tells_all_of_a_contract,
        _carries_out_once_what_has_a_name,
        _agrees_with_the_reference,
    ):
        async with factory() as bench:
            assert len(bench.settlements) == len(bench.accounts) >= 4, "a bench has four accounts, or five"
            with trio.fail_after(bench.patience):
                await promise(bench)


def task_named(number: int) -> TaskId:
    """A task's name."""
    return TaskId(number.to_bytes(32, "big"))


def terms(task: TaskId, *, rounds: int = 2, seats: int = 3, quorum: int = 2) -> MarketTerms:
    """Small terms, with amounts that do not divide."""
    return MarketTerms(
        task=task,
        samples=SAMPLES,
        classes=CLASSES,
        rounds=rounds,
        pot=POT,
        rate=RATE,
        bond=BOND,
        forfeit=FORFEIT,
        quorum=quorum,
        seats=seats,
        enrol_seconds=SECONDS,
        commit_seconds=SECONDS,
        reveal_seconds=SECONDS,
    )


def labels_of(worker: int, rnd: int) -> bytes:
    """What a worker says: mostly the truth, and each is wrong elsewhere."""
    truth = [(7 * sample + rnd) % 11 % CLASSES for sample in range(SAMPLES)]
    return bytes((label + 1) % CLASSES if sample % 5 == worker else label for sample, label in enumerate(truth))


class _Play:
    """A bench with its claims and its events."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def does(self, who: int, claim: Claim) -> None:
        receipt = await self.receipt(who, claim)
        assert isinstance(receipt, Included), f"{claim} ended as {receipt}"

    async def is_refused(self, who: int, claim: Claim, reason: str) -> None:
        receipt = await self.receipt(who, claim)
        assert isinstance(receipt, Reverted), f"{claim} ended as {receipt}, not refused"
        assert receipt.reason == reason, f"refused for {receipt.reason!r}, not for {reason!r}"

    async def receipt(self, who: int, claim: Claim) -> object:
        settlement = self._bench.settlements[who]
        return await settlement.final(await settlement.submit(claim))

    async def events_until(
        self, task: TaskId, last: type[ChainEvent], since: Cursor = GENESIS
    ) -> list[tuple[Cursor, ChainEvent]]:
        """A task's events after a place, up to the first of a kind."""
        seen = []
        async for cursor, event in self._bench.settlements[0].events(since, task):
            seen.append((cursor, event))
            if isinstance(event, last):
                break
        return seen

    async def commits(self, who: int, task: TaskId, rnd: int) -> None:
        bound = commitment(task, RoundId(rnd), self._bench.accounts[who], _salt(who), pack(labels_of(who, rnd)))
        await self.does(who, CommitLabels(task, RoundId(rnd), bound))

    async def reveals(self, who: int, task: TaskId, rnd: int) -> None:
        await self.does(who, RevealLabels(task, RoundId(rnd), _salt(who), pack(labels_of(who, rnd))))

    async def opens(self, wanted: MarketTerms, workers: Sequence[int]) -> None:
        """Everyone deposits all it has, account 3 opens, and the workers enrol."""
        for who in {3, *workers}:
            await self.does(who, Deposit(FUNDS))
        await self.does(3, OpenTask(wanted))
        for who in workers:
            await self.does(who, Enrol(wanted.task))

    async def total(self) -> int:
        return sum([(await self._bench.settlements[0].account(who)).total for who in self._bench.accounts])

    async def free(self, who: int) -> int:
        return (await self._bench.settlements[who].account(self._bench.accounts[who])).free

    async def ends_whole(self) -> None:
        assert await self.total() == len(self._bench.accounts) * FUNDS, "money was made or lost"
        for who in self._bench.accounts:
            assert (await self._bench.settlements[0].account(who)).locked == 0, (
                f"a closed task still locks {who}'s bond"
            )


def _salt(who: int) -> bytes:
    return bytes([who + 1]) * 32


async def _keeps_money(bench: Bench) -> None:
    play, settlement, who = _Play(bench), bench.settlements[0], bench.accounts[0]
    assert (await settlement.account(who)).wallet == FUNDS, "the bench's accounts have FUNDS"
    await play.does(0, Deposit(Amount(400)))
    await play.does(0, Deposit(Amount(100)))
    await play.does(0, Unstake(Amount(200)))
    balances = await settlement.account(who)
    expected = (FUNDS - 500, 300, 0, 200)
    assert (balances.wallet, balances.free, balances.locked, balances.unbonding) == expected, f"{balances}"
    await play.is_refused(0, Withdraw(), "staking: still unbonding")
    await bench.skip(UNBOND_SECONDS)
    await play.does(0, Withdraw())
    balances = await settlement.account(who)
    assert (balances.wallet, balances.unbonding) == (FUNDS - 300, 0), f"{balances}"
    assert await play.total() == len(bench.accounts) * FUNDS, "money was made or lost"


async def _refuses_with_reasons(bench: Bench) -> None:
    play, task = _Play(bench), task_named(1)
    await play.is_refused(0, Deposit(Amount(0)), "staking: nothing to deposit")
    await play.is_refused(0, Deposit(Amount(FUNDS + 1)), "erc20: transfer amount exceeds balance")
    await play.is_refused(0, Unstake(Amount(1)), "staking: not enough free")
    await play.is_refused(0, Withdraw(), "staking: nothing to withdraw")
    await play.is_refused(0, Enrol(task), "market: no such task")
    await play.is_refused(0, Advance(task), "market: not running")
    await play.is_refused(0, SettleRound(task, RoundId(0)), "market: nothing to settle")
    await play.is_refused(0, OpenTask(terms(task)), "staking: not enough free")
    await play.is_refused(0, OpenTask(terms(task, seats=2, quorum=3)), "market: quorum out of range")
    await play.opens(terms(task), [0])
    await play.is_refused(3, OpenTask(terms(task)), "market: task exists")
    await play.is_refused(0, Enrol(task), "market: already enrolled")
    await play.is_refused(0, Advance(task), "market: too early")
    for unfit in (Deposit(Amount(-1)), Enrol(TaskId(b"short")), RevealLabels(task, RoundId(0), b"", b"")):
        try:
            await bench.settlements[0].submit(unfit)
        except ChainError:
            continue
        raise AssertionError(f"{unfit} was sent")
    receipt = await bench.settlements[0].final(TxRef("0x" + "00" * 32))
    assert isinstance(receipt, Unknown), f"a transaction that never was is {receipt}"


async def _plays_rounds(bench: Bench) -> None:
    play, task, workers = _Play(bench), task_named(2), [0, 1, 2]
    await play.opens(terms(task), workers)
    for rnd in range(2):
        for who in workers:
            await play.commits(who, task, rnd)
        for who in workers:
            await play.reveals(who, task, rnd)
        await play.does(3, SettleRound(task, RoundId(rnd)))
    seen = await play.events_until(task, TaskClosed)
    cursors = [cursor for cursor, _ in seen]
    assert cursors == sorted(set(cursors)), "events come in order, each once"
    events = [event for _, event in seen]
    opened = [event for event in events if isinstance(event, RoundOpened)]
    assert [event.workers for event in opened] == [tuple(bench.accounts[:3])] * 2, "all who enrolled play"
    paid = [event for event in events if isinstance(event, WorkerPaid)]
    for rnd in range(2):
        scores = ptsc.scores([labels_of(who, rnd) for who in workers], CLASSES)
        amounts = ptsc.pay(POT, RATE, ptsc.means(scores, SAMPLES))
        told = [(event.score, event.amount) for event in paid if event.round == rnd]
        assert told == list(zip(scores, amounts, strict=True)), f"round {rnd} paid {told}"
    for who in workers:
        earned = sum(event.amount for event in paid if event.worker == bench.accounts[who])
        assert await play.free(who) == FUNDS + earned, "what was paid can be spent"
    for place, (cursor, _) in enumerate(seen[:-1]):
        rest = await play.events_until(task, TaskClosed, cursor)
        assert rest == seen[place + 1 :], f"whoever goes on after {cursor} misses or repeats something"
    await play.ends_whole()


async def _plays_alone(bench: Bench) -> None:
    play, task = _Play(bench), task_named(3)
    await play.opens(terms(task, rounds=1, seats=1, quorum=1), [0])
    await play.commits(0, task, 0)
    await play.reveals(0, task, 0)
    await play.does(0, SettleRound(task, RoundId(0)))
    events = [event for _, event in await play.events_until(task, TaskClosed)]
    paid = [event for event in events if isinstance(event, WorkerPaid)]
    assert [(event.score, event.amount) for event in paid] == [(0, 0)], "with nobody to agree with there is no score"
    assert await play.free(3) == FUNDS, "and the whole pot is the requester's"
    await play.ends_whole()


async def _goes_on_without_the_absent(bench: Bench) -> None:
    play, task = _Play(bench), task_named(4)
    await play.opens(terms(task), [0, 1, 2])
    await play.commits(0, task, 0)
    await play.commits(1, task, 0)
    await bench.skip(SECONDS + 1)
    await play.does(3, Advance(task))
    await play.is_refused(2, SettleRound(task, RoundId(0)), "market: nothing to settle")
    await play.does(2, Enrol(task))
    for who in (0, 1):
        await play.reveals(who, task, 0)
    await play.does(3, SettleRound(task, RoundId(0)))
    await bench.skip(SECONDS + 1)
    await play.does(3, Advance(task))
    events = [event for _, event in await play.events_until(task, TaskClosed)]
    gone = [event.worker for event in events if isinstance(event, WorkerSuspended)]
    assert gone == [bench.accounts[at] for at in (2, 0, 1, 2)], f"suspended: {gone}"
    opened = [event.workers for event in events if isinstance(event, RoundOpened)]
    assert opened[1] == tuple(bench.accounts[:3]), "whoever enrols again plays in the next round"
    verdicts = [event.counted for event in events if isinstance(event, RoundSettled)]
    assert verdicts == [True, False], "a round without its quorum does not count"
    await play.ends_whole()


async def _punishes_the_silent(bench: Bench) -> None:
    play, task = _Play(bench), task_named(5)
    await play.opens(terms(task), [0, 1, 2])
    for who in (0, 1, 2):
        await play.commits(who, task, 0)
    for who in (0, 1):
        await play.reveals(who, task, 0)
    await bench.skip(SECONDS + 1)
    await play.does(3, Advance(task))
    seen = await play.events_until(task, RevealsClosed)
    lost = [(event.worker, event.amount) for _, event in seen if isinstance(event, BondForfeited)]
    assert lost == [(bench.accounts[2], FORFEIT)], f"forfeited: {lost}"
    assert await play.free(0) == FUNDS - BOND + FORFEIT // 2, "what is forfeited is shared by those who revealed"
    await play.does(2, SettleRound(task, RoundId(0)))
    for who in (0, 1):
        await play.commits(who, task, 1)
    await bench.skip(SECONDS + 1)
    await play.does(2, Advance(task))
    await play.ends_whole()
    assert await play.free(2) == FUNDS - FORFEIT, "the rest of the bond is released"
    assert await play.free(3) == FUNDS + 2 * FORFEIT - sum([event.amount for event in await _paid(play, task)]), (
        "what nobody earns, and what the silent forfeit with nobody there to take it, is the requester's"
    )


async def _paid(play: _Play, task: TaskId) -> list[WorkerPaid]:
    return [event for _, event in await play.events_until(task, TaskClosed) if isinstance(event, WorkerPaid)]


async def _takes_many_claims_at_once(bench: Bench) -> None:
    play = _Play(bench)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            for who in range(4):
                nursery.start_soon(play.does, who, Deposit(Amount(7)))
    for who in range(4):
        assert await play.free(who) == 35, "claims that are under way at once are all carried out"


async def _tells_all_of_a_contract(bench: Bench) -> None:
    play, tasks = _Play(bench), [task_named(number) for number in (6, 7)]
    await play.does(3, Deposit(FUNDS))
    for task in tasks:
        await play.does(3, OpenTask(terms(task)))
    feed = bench.settlements[0].events(GENESIS)
    told = [await anext(feed) for _ in tasks]
    assert [event.task for _, event in told] == tasks, "without a task, what all tasks tell comes in one stream"
    rest = bench.settlements[0].events(told[0][0])
    assert await anext(rest) == told[1], "which is gone on with after any of it"


async def _carries_out_once_what_has_a_name(bench: Bench) -> None:
    """Only of those that can: the others are asked for nothing twice."""
    mine = bench.settlements[0]
    if not isinstance(mine, OnceDesk):
        return
    first = await mine.submit_once("mine", Deposit(Amount(7)))
    assert await mine.submit_once("mine", Deposit(Amount(7))) == first, "the same name twice is one transaction"
    assert isinstance(await mine.final(first), Included), "and it is carried out"
    assert await mine.submit_once("mine", Deposit(Amount(7))) == first, "later too"
    other = await mine.submit_once("another", Deposit(Amount(7)))
    assert isinstance(await mine.final(other), Included), "another name is another claim"
    try:
        await mine.submit_once("mine", Unstake(Amount(7)))
    except ChainError:
        assert await _Play(bench).free(0) == 14, "each name counts once"
        return
    raise AssertionError("one name was taken for two claims")


async def _agrees_with_the_reference(bench: Bench) -> None:
    more = None if bench.more is None else await bench.more()
    steps = script.script(7, bench.accounts[:4])
    expected = await script.played(reference_stage(bench.accounts, FUNDS, () if more is None else more.keys), steps)
    assert len(expected.ends) >= (200 if more is None else 400), "the script is long"
    found = await script.played(Stage(bench.settlements, bench.accounts, bench.skip, more), steps)
    for place, (wanted, got) in enumerate(zip(expected.ends, found.ends, strict=True)):
        assert wanted == got, f"claim {place} of the script ended as {got!r}, on the reference as {wanted!r}"
    for place, (wanted, got) in enumerate(zip(expected.told, found.told, strict=True)):
        assert wanted == got, f"the script's event {place} is {got!r}, on the reference {wanted!r}"
    assert found.balances == expected.balances, "the same script ends in other balances than on the reference"

"""The same long script on any settlement and on the reference: every claim ends alike, and every balance is the same.

The script is drawn from a seed: deposits and withdrawals, tasks with several rounds, workers that stay away or do not
reveal, and claims that must be refused. Claims of one group commute, so they may be under way at once.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from p2pfd.core.claims import (
    Advance,
    Balances,
    Claim,
    CommitLabels,
    Deposit,
    Enrol,
    Included,
    MarketTerms,
    OpenTask,
    RevealLabels,
    Reverted,
    SettleRound,
    Unstake,
    Withdraw,
)
from p2pfd.core.ids import Account, Amount, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.rng import Rng
from p2pfd.settlement.api import Settlement
from p2pfd.settlement.reference import ReferenceChain

TASKS = 5
WORKERS = 3
REQUESTER = 3
SECONDS = 100_000
"""As long as a phase and the unbonding last: no chain takes so long by itself."""
CLASSES = 3
SALT = b"\x2a" * 32


@dataclass(frozen=True, slots=True)
class Step:
    """Claims that commute, by who makes them; then time passes."""

    claims: tuple[tuple[int, Claim], ...]
    skip: int = 0


def script(seed: int, accounts: Sequence[Account]) -> list[Step]:
    """The steps for these four accounts."""
    rng = Rng(seed).split("settlement script")
    steps = [Step(((who, Deposit(Amount(0))),)) for who in range(len(accounts))]
    for number in range(TASKS):
        steps += _task(rng.split(number), number, accounts)
        steps += _money(rng.split("money", number), len(accounts))
    return steps


def _money(rng: Rng, accounts: int) -> list[Step]:
    """Everybody moves money in and out; some ask for more than they have, or too early."""
    everyone = range(accounts)
    return [
        Step(tuple((who, Unstake(Amount(rng.between(1, 900)))) for who in everyone)),
        Step(tuple((who, Withdraw()) for who in everyone), skip=SECONDS),
        Step(tuple((who, Withdraw()) for who in everyone if rng.chance(2, 3))),
        Step(tuple((who, Unstake(Amount(10**12))) for who in everyone if rng.chance(1, 2))),
        Step(tuple((who, Deposit(Amount(rng.between(1, 300)))) for who in everyone)),
    ]


def _task(rng: Rng, number: int, accounts: Sequence[Account]) -> list[Step]:
    """A task from its opening to its end, with whatever its workers do wrong."""
    terms = _terms(rng, number)
    task, workers = terms.task, range(WORKERS)
    steps = [Step(tuple((who, Deposit(Amount(rng.between(500, 1_500)))) for who in range(len(accounts))))]
    steps += [Step(((REQUESTER, OpenTask(terms)),)), Step(((0, OpenTask(terms)),))]
    steps += [Step(((who, Enrol(task)),)) for who in workers]  # one after the other: seats have an order
    for rnd in range(terms.rounds):
        commits = [who for who in workers if rng.chance(9, 10)]
        reveals = [who for who in commits if rng.chance(9, 10)]
        labels = {who: pack(_labels(rng.split(rnd, who), terms)) for who in workers}
        absent, silent = len(commits) < WORKERS, len(reveals) < len(commits)
        steps.append(Step(tuple((who, _commit(task, rnd, accounts[who], labels[who])) for who in commits)))
        steps.append(Step(((REQUESTER, Advance(task)),), skip=(SECONDS + 1) * absent))
        steps.append(Step(((REQUESTER, Advance(task)),)))
        steps.append(Step(tuple((who, _reveal(task, rnd, labels[who])) for who in reveals)))
        steps.append(Step(((1, RevealLabels(task, RoundId(rnd), bytes(32), labels[1])),), skip=(SECONDS + 1) * silent))
        steps.append(Step(((2, Advance(task)),)))
        steps.append(Step(((rng.below(WORKERS), SettleRound(task, RoundId(rnd))),)))
        steps += [Step(((who, Enrol(task)),)) for who in workers if who not in commits]
    return [*steps, Step((), skip=SECONDS + 1), Step(((0, Advance(task)),)), Step(((1, Advance(task)),))]


def _terms(rng: Rng, number: int) -> MarketTerms:
    """Amounts that do not divide, and pots that are sometimes too small for what is due."""
    return MarketTerms(
        task=TaskId(b"script" + number.to_bytes(26, "big")),
        samples=rng.between(20, 60),
        classes=CLASSES,
        rounds=2,
        pot=Amount(rng.between(50, 200)),
        rate=Amount(rng.between(20, 150)),
        bond=Amount(101),
        forfeit=Amount(rng.between(0, 50)),
        quorum=2,
        seats=WORKERS,
        enrol_seconds=SECONDS,
        commit_seconds=SECONDS,
        reveal_seconds=SECONDS,
    )


def _labels(rng: Rng, terms: MarketTerms) -> bytes:
    truth = [(5 * sample) % 7 % CLASSES for sample in range(terms.samples)]
    return bytes(label if rng.chance(4, 5) else rng.below(CLASSES) for label in truth)


def _commit(task: TaskId, rnd: int, who: Account, labels: bytes) -> Claim:
    return CommitLabels(task, RoundId(rnd), commitment(task, RoundId(rnd), who, SALT, labels))


def _reveal(task: TaskId, rnd: int, labels: bytes) -> Claim:
    return RevealLabels(task, RoundId(rnd), SALT, labels)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How every claim ended, and what everybody has at the end."""

    ends: tuple[str, ...]
    balances: tuple[Balances, ...]


async def played(
    settlements: Sequence[Settlement],
    accounts: Sequence[Account],
    skip: Callable[[int], Awaitable[None]],
    steps: Sequence[Step],
) -> Outcome:
    """Play the steps."""
    ends: list[str] = []
    for step in steps:
        found = [""] * len(step.claims)

        async def claim(at: int, who: int, what: Claim, found: list[str] = found) -> None:
            receipt = await settlements[who].final(await settlements[who].submit(what))
            told = receipt.reason if isinstance(receipt, Reverted) else ""
            assert isinstance(receipt, (Included, Reverted)), f"{what} ended as {receipt}"
            found[at] = f"{who} {type(what).__name__}: {told or 'done'}"

        async with trio.open_nursery() as nursery:
            for at, (who, what) in enumerate(step.claims):
                nursery.start_soon(claim, at, who, what)
        ends += found
        if step.skip:
            await skip(step.skip)
    return Outcome(tuple(ends), tuple([await settlements[0].account(who) for who in accounts]))


async def expected(accounts: Sequence[Account], funds: Amount, steps: Sequence[Step]) -> Outcome:
    """What the reference makes of the steps."""
    now = [1_000]

    async def skip(seconds: int) -> None:
        await trio.lowlevel.checkpoint()
        now[0] += seconds

    chain = ReferenceChain(dict.fromkeys(accounts, funds), SECONDS, lambda: now[0])
    return await played([chain.settlement(who) for who in accounts], accounts, skip, steps)

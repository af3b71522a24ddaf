"""The same long script on any settlement and on the reference: every claim ends alike, and every balance is the same.

Encounters and rounds of the other modes come first (`encounter_play`, `mode_plays`), where a bench has contracts for
them; then rounds of labels on chain. These are drawn from a seed: deposits and withdrawals, tasks with several rounds,
workers that stay away or do not reveal, and claims that must be refused. Claims of one group commute, so they may be
under way at once.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pfd.core.claims import (
    Advance,
    Claim,
    CommitLabels,
    Deposit,
    Enrol,
    MarketTerms,
    OpenTask,
    RevealLabels,
    SettleRound,
    Unstake,
    Withdraw,
)
from p2pfd.core.ids import Account, Amount, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.rng import Rng
from p2pfd.testing.encounter_play import EncounterPlay
from p2pfd.testing.mode_plays import OptimisticPlay, SampledPlay
from p2pfd.testing.stage import ONCHAIN, SECONDS, Outcome, Stage

TASKS = 5
WORKERS = 3
REQUESTER = 3
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


async def played(stage: Stage, steps: Sequence[Step]) -> Outcome:
    """Play the steps, and before them whatever happens at the chain's other contracts, where there are any."""
    if stage.more is not None:
        await EncounterPlay(stage).play()
        await OptimisticPlay(stage).play()
        await SampledPlay(stage).play()
    for step in steps:
        await stage.claims(ONCHAIN, *step.claims, skip=step.skip)
    return await stage.outcome()

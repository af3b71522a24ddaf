"""The largest task there can be still fits into the gas that claims are sent with, and into a public chain's block."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.claims import Advance, Claim, CommitLabels, Enrol, OpenTask, RevealLabels, SettleRound
from p2pfd.core.ids import RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.incentives.market import MAX_SAMPLES, MAX_SEATS
from p2pfd.settlement import contracts
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.testing.settlement import BOND, SECONDS, terms
from tests.contracts.chain import BOSS, Contracts, everyone_deposits, key

TASK = TaskId(b"\1" * 32)
R0 = RoundId(0)
SALT = bytes(32)
MOST_GAS_A_TRANSACTION = 2**24  # EIP-7825
pytestmark = pytest.mark.long


@pytest.fixture
def full() -> tuple[Contracts, list[AccountKey]]:
    """All seats taken, each bond forfeited whole."""
    workers = [key(number) for number in range(1, MAX_SEATS + 1)]
    chain = Contracts(dict.fromkeys([BOSS, *workers], 5_000))
    everyone_deposits(chain, [BOSS, *workers], 5_000)
    wanted = dataclasses.replace(
        terms(TASK, rounds=1, seats=MAX_SEATS, quorum=1), forfeit=BOND, samples=MAX_SAMPLES, classes=15
    )
    fits(chain, BOSS, OpenTask(wanted))
    for who in workers:
        fits(chain, who, Enrol(TASK))
    return chain, workers


def fits(chain: Contracts, who: AccountKey, claim: Claim) -> None:
    block, _ = chain.carry_out(who, claim)
    assert block.success, reason(block.output)
    assert block.gas_used < 0.9 * contracts.gas_for(claim)
    assert block.gas_used < MOST_GAS_A_TRANSACTION


def answer(worker: int) -> bytes:
    return pack(bytes((sample * (worker + 1)) % 15 for sample in range(MAX_SAMPLES)))


def test_everyone_absent(full: tuple[Contracts, list[AccountKey]]) -> None:
    chain, workers = full
    chain.now += SECONDS + 1
    fits(chain, BOSS, Advance(TASK))
    assert [chain.balances(who.account).free for who in workers] == [5_000] * MAX_SEATS


def test_everyone_there_and_all_but_one_silent(full: tuple[Contracts, list[AccountKey]]) -> None:
    chain, workers = full
    for number, who in enumerate(workers):
        fits(chain, who, CommitLabels(TASK, R0, commitment(TASK, R0, who.account, SALT, answer(number))))
    fits(chain, workers[0], RevealLabels(TASK, R0, SALT, answer(0)))
    chain.now += SECONDS + 1
    fits(chain, BOSS, Advance(TASK))
    assert chain.balances(workers[0].account).free == 5_000 - BOND + BOND * (MAX_SEATS - 1)
    fits(chain, BOSS, SettleRound(TASK, R0))


def test_everyone_reveals(full: tuple[Contracts, list[AccountKey]]) -> None:
    chain, workers = full
    for number, who in enumerate(workers):
        fits(chain, who, CommitLabels(TASK, R0, commitment(TASK, R0, who.account, SALT, answer(number))))
    for number, who in enumerate(workers):
        fits(chain, who, RevealLabels(TASK, R0, SALT, answer(number)))
    fits(chain, BOSS, SettleRound(TASK, R0))
    assert chain.balances(BOSS.account).locked == 0
    assert sum(chain.balances(who.account).free for who in [BOSS, *workers]) == 5_000 * (MAX_SEATS + 1)

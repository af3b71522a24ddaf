"""What an outsider or a worker might try against the label market, each tried and each without gain."""

from __future__ import annotations

import dataclasses

import pytest
from eth_account import Account as Signer

from p2pfd.core.claims import (
    Advance,
    Balances,
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
    WorkerPaid,
)
from p2pfd.core.ids import Amount, Digest, RoundId, TaskId, account_bytes
from p2pfd.core.labels import commitment, pack
from p2pfd.incentives.market import MAX_AMOUNT, MAX_ROUNDS, Market
from p2pfd.settlement import contracts
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.embedded.ledger import GAS_LIMIT, TransactionRefused
from tests.contracts.chain import BOSS, CHAIN_ID, UNBOND_SECONDS, Contracts, everyone_deposits, key

VICTIM, THIEF, THIRD = KEYS = [key(number) for number in (1, 2, 3)]
TASK, OTHER = TaskId(b"\1" * 32), TaskId(b"\2" * 32)
R0, R1 = RoundId(0), RoundId(1)
SALT = b"\5" * 32
LABELS, JUNK = pack(bytes([0, 1, 1])), pack(bytes([1, 1, 0]))
BOND = 30
TERMS = MarketTerms(
    task=TASK,
    samples=3,
    classes=2,
    rounds=2,
    pot=Amount(100),
    rate=Amount(100),
    bond=Amount(BOND),
    forfeit=Amount(BOND),
    quorum=1,
    seats=3,
    enrol_seconds=10,
    commit_seconds=10,
    reveal_seconds=10,
)


@pytest.fixture
def market() -> Artifact:
    return artifact("LabelMarket")


def does(chain: Contracts, who: AccountKey, claim: Claim) -> None:
    block, _ = chain.carry_out(who, claim)
    assert block.success, reason(block.output)


def refuses(chain: Contracts, who: AccountKey, claim: Claim, why: str) -> None:
    block, events = chain.carry_out(who, claim)
    assert not block.success, f"{claim} was carried out"
    assert reason(block.output) == why
    assert events == ()


def bound(who: AccountKey, labels: bytes = LABELS, task: TaskId = TASK, rnd: RoundId = R0) -> Digest:
    return commitment(task, rnd, who.account, SALT, labels)


def playing(market: Artifact, task: TaskId = TASK, chain: Contracts | None = None) -> Contracts:
    """A task in its first round, all seats taken."""
    if chain is None:
        chain = Contracts(dict.fromkeys([BOSS, *KEYS], 1_000), market=market)
        everyone_deposits(chain, [BOSS, *KEYS], 1_000)
    does(chain, BOSS, OpenTask(dataclasses.replace(TERMS, task=task)))
    for who in KEYS:
        does(chain, who, Enrol(task))
    return chain


# -- other people's answers --


def test_a_copied_commitment_is_worth_its_bond_to_whoever_was_copied(market: Artifact) -> None:
    chain = playing(market)
    does(chain, VICTIM, CommitLabels(TASK, R0, bound(VICTIM)))
    does(chain, THIEF, CommitLabels(TASK, R0, bound(VICTIM)))
    does(chain, THIRD, CommitLabels(TASK, R0, bound(THIRD)))
    does(chain, VICTIM, RevealLabels(TASK, R0, SALT, LABELS))
    refuses(chain, THIEF, RevealLabels(TASK, R0, SALT, LABELS), "market: not what was committed")
    chain.now += 11
    does(chain, THIRD, Advance(TASK))
    assert chain.balances(THIEF.account) == Balances(Amount(0), Amount(1_000 - BOND), Amount(0), Amount(0))
    assert chain.balances(VICTIM.account).free == 1_000 - BOND + 2 * BOND, "the third one was silent too"


def test_a_reveal_that_is_seen_too_early_cannot_be_sent_first(market: Artifact) -> None:
    """The thief sees the victim's reveal before it is in a block, and sends it, or commits to it, before the victim."""
    chain = playing(market)
    for who in (VICTIM, THIRD):
        does(chain, who, CommitLabels(TASK, R0, bound(who)))
    does(chain, THIEF, CommitLabels(TASK, R0, bound(THIEF, JUNK)))
    refuses(chain, THIEF, RevealLabels(TASK, R0, SALT, LABELS), "market: not what was committed")
    refuses(chain, THIEF, CommitLabels(TASK, R0, bound(THIEF)), "market: takes no commitments")
    refuses(chain, BOSS, RevealLabels(TASK, R0, SALT, LABELS), "market: nothing committed")
    does(chain, VICTIM, RevealLabels(TASK, R0, SALT, LABELS))
    does(chain, THIRD, RevealLabels(TASK, R0, SALT, LABELS))
    does(chain, THIEF, RevealLabels(TASK, R0, SALT, JUNK))


def test_nobody_can_wait_with_its_commitment_until_others_reveal(market: Artifact) -> None:
    chain = playing(market)
    does(chain, VICTIM, CommitLabels(TASK, R0, bound(VICTIM)))
    refuses(chain, VICTIM, RevealLabels(TASK, R0, SALT, LABELS), "market: takes no reveals")
    chain.now += 11
    does(chain, THIRD, Advance(TASK))
    does(chain, VICTIM, RevealLabels(TASK, R0, SALT, LABELS))
    refuses(chain, THIEF, CommitLabels(TASK, R0, bound(THIEF)), "market: takes no commitments")
    refuses(chain, THIEF, RevealLabels(TASK, R0, SALT, LABELS), "market: takes no reveals")


# -- what was good once, sent again --


def test_an_answer_is_good_in_one_task_and_one_round(market: Artifact) -> None:
    chain = playing(market)
    playing(market, OTHER, chain)
    for task in (TASK, OTHER):
        for who in KEYS:
            does(chain, who, CommitLabels(task, R0, bound(who)))  # in OTHER too, what was made for TASK
    refuses(chain, VICTIM, RevealLabels(OTHER, R0, SALT, LABELS), "market: not what was committed")
    for who in KEYS:
        does(chain, who, RevealLabels(TASK, R0, SALT, LABELS))
    does(chain, VICTIM, SettleRound(TASK, R0))
    refuses(chain, VICTIM, SettleRound(TASK, R0), "market: nothing to settle")
    for who in KEYS:
        refuses(chain, who, CommitLabels(TASK, R0, bound(who)), "market: wrong round")
        does(chain, who, CommitLabels(TASK, R1, bound(who)))  # what was made for the first round
    for who in KEYS:
        refuses(chain, who, RevealLabels(TASK, R0, SALT, LABELS), "market: wrong round")
        refuses(chain, who, RevealLabels(TASK, R1, SALT, LABELS), "market: not what was committed")


def test_an_answer_is_not_counted_in_a_round_in_which_its_worker_was_silent(market: Artifact) -> None:
    """Labels stay where they were stored; only whoever revealed in this round is scored with them."""
    chain = Contracts(dict.fromkeys([BOSS, *KEYS], 1_000), market=market)
    everyone_deposits(chain, [BOSS, *KEYS], 1_000)
    does(chain, BOSS, OpenTask(dataclasses.replace(TERMS, forfeit=Amount(0))))
    for who in KEYS:
        does(chain, who, Enrol(TASK))
    for rnd in (R0, R1):
        for who in KEYS:
            does(chain, who, CommitLabels(TASK, rnd, bound(who, rnd=rnd)))
        for who in KEYS[: 3 - rnd]:
            does(chain, who, RevealLabels(TASK, rnd, SALT, LABELS))
        if rnd == R0:
            does(chain, BOSS, SettleRound(TASK, R0))
    chain.now += 11
    does(chain, BOSS, Advance(TASK))
    block, events = chain.carry_out(BOSS, SettleRound(TASK, R1))
    assert block.success
    assert [event.worker for event in events if isinstance(event, WorkerPaid)] == [VICTIM.account, THIEF.account]


def test_a_transaction_counts_once_and_on_its_own_chain(market: Artifact) -> None:
    chain = playing(market)
    call = contracts.call_of(CommitLabels(TASK, R0, bound(VICTIM)))
    raw = chain.signed(VICTIM, chain.market, call, GAS_LIMIT)
    assert chain.ledger.send(raw).success
    with pytest.raises(TransactionRefused, match="already known"):
        chain.ledger.send(raw)
    there = {
        "type": 2,
        "chainId": CHAIN_ID + 1,
        "nonce": chain.ledger.nonce(account_bytes(VICTIM.account)),
        "to": account_bytes(chain.market),
        "value": 0,
        "data": contracts.call_of(Unstake(Amount(1))),
        "gas": 10**6,
        "maxFeePerGas": 0,
        "maxPriorityFeePerGas": 0,
    }
    elsewhere = bytes(Signer.sign_transaction(there, VICTIM.private).raw_transaction)
    with pytest.raises(TransactionRefused, match="invalid chain id"):
        chain.ledger.send(elsewhere)


# -- money in play --


def test_a_bond_in_play_cannot_leave(market: Artifact) -> None:
    chain = playing(market)
    refuses(chain, THIEF, Unstake(Amount(1_000 - BOND + 1)), "staking: not enough free")
    does(chain, THIEF, Unstake(Amount(1_000 - BOND)))
    refuses(chain, THIEF, Unstake(Amount(1)), "staking: not enough free")
    refuses(chain, THIEF, Enrol(TASK), "market: already enrolled")
    for who in KEYS:
        does(chain, who, CommitLabels(TASK, R0, bound(who)))
    chain.now += UNBOND_SECONDS
    does(chain, THIEF, Withdraw())
    refuses(chain, THIEF, Withdraw(), "staking: nothing to withdraw")
    assert chain.wallet(THIEF.account) == 1_000 - BOND
    does(chain, VICTIM, Advance(TASK))
    assert chain.balances(THIEF.account).locked == 0
    assert chain.balances(THIEF.account).free == 0, "it was silent: the bond is gone, and nothing else was there"


def test_money_on_its_way_out_is_no_bond(market: Artifact) -> None:
    chain = Contracts(dict.fromkeys([BOSS, *KEYS], 1_000), market=market)
    everyone_deposits(chain, [BOSS, THIEF], 1_000)
    does(chain, BOSS, OpenTask(TERMS))
    does(chain, THIEF, Unstake(Amount(1_000 - BOND + 1)))
    refuses(chain, THIEF, Enrol(TASK), "staking: not enough free")
    chain.now += UNBOND_SECONDS - 1
    refuses(chain, THIEF, Withdraw(), "staking: still unbonding")
    does(chain, THIEF, Unstake(Amount(1)))
    chain.now += 1
    refuses(chain, THIEF, Withdraw(), "staking: still unbonding")
    chain.now += UNBOND_SECONDS - 1
    does(chain, THIEF, Withdraw())
    assert chain.wallet(THIEF.account) == 1_000 - BOND + 2


def test_tokens_sent_by_mistake_change_nothing(market: Artifact) -> None:
    chain = playing(market)
    held = chain.ask("held")
    chain.must(BOSS, chain.token, contracts.token()["transfer"].call(chain.market, 500))
    assert chain.ask("held") == held
    assert chain.balances(chain.market).free == 0
    does(chain, BOSS, Deposit(Amount(7)))
    assert chain.ask("held") == (int(str(held[0])) + 7,)


# -- numbers --


def test_the_largest_numbers_add_up(market: Artifact) -> None:
    """Every amount at its bound, a supply that fills its word: the contracts and the pure ledger count alike."""
    most = Amount(MAX_AMOUNT)
    rich, supply = MAX_AMOUNT * MAX_ROUNDS, 2**256 - 1
    chain = Contracts(dict.fromkeys([*KEYS], rich), market=market, supply=supply)
    left = supply - rich * len(KEYS)
    chain.must(BOSS, chain.token, contracts.token()["approve"].call(chain.market, supply))
    paper = Market({BOSS.account: left} | {who.account: rich for who in KEYS}, UNBOND_SECONDS)

    def both(who: AccountKey, claim: Claim) -> None:
        block, events = chain.carry_out(who, claim)
        assert block.success, reason(block.output)
        assert events == paper.apply(chain.now, who.account, claim)
        paper.check()
        for each in (BOSS, *KEYS):
            assert chain.balances(each.account) == paper.balances(each.account)
        assert chain.ask("held") == (paper.staking.held,)

    both(BOSS, Deposit(Amount(left)))
    for who in KEYS:
        both(who, Deposit(Amount(rich)))
    assert chain.ask("held") == (supply,)
    both(VICTIM, Unstake(Amount(rich - 2 * MAX_AMOUNT)))
    large = dataclasses.replace(
        TERMS, classes=15, pot=most, rate=most, bond=most, forfeit=most, rounds=MAX_ROUNDS, quorum=2
    )
    both(BOSS, OpenTask(large))
    for who in KEYS:
        both(who, Enrol(TASK))
    for who in KEYS:
        both(who, CommitLabels(TASK, R0, bound(who)))
    for who in KEYS:
        both(who, RevealLabels(TASK, R0, SALT, LABELS))
    both(THIRD, SettleRound(TASK, R0))
    for who in KEYS:
        both(who, CommitLabels(TASK, R1, bound(who, rnd=R1)))
    for who in KEYS[1:]:
        both(who, RevealLabels(TASK, R1, SALT, LABELS))
    chain.now += UNBOND_SECONDS
    both(BOSS, Advance(TASK))
    both(BOSS, SettleRound(TASK, R1))
    both(VICTIM, Withdraw())


@pytest.mark.parametrize("number", [2**63 + 1, 2**64, 2**128, 2**255, 2**256 - 1])
def test_numbers_that_are_too_large_are_refused(market: Artifact, number: int) -> None:
    chain = playing(market)
    before = [chain.balances(who.account) for who in (BOSS, *KEYS)]
    fresh = dataclasses.replace(TERMS, task=OTHER)
    for field, why in {
        "samples": "market: samples out of range",
        "classes": "market: classes out of range",
        "rounds": "market: rounds out of range",
        "seats": "market: seats out of range",
        "quorum": "market: quorum out of range",
        "pot": "market: amount out of range",
        "rate": "market: amount out of range",
        "bond": "market: amount out of range",
        "forfeit": "market: forfeit exceeds bond",
        "enrol_seconds": "market: seconds out of range",
        "commit_seconds": "market: seconds out of range",
        "reveal_seconds": "market: seconds out of range",
    }.items():
        refuses(chain, BOSS, OpenTask(dataclasses.replace(fresh, **{field: number})), why)
    block, _ = chain.carry_out(THIEF, Deposit(Amount(number)))
    assert not block.success  # for want of tokens, of allowance, or of room in the counter: whichever comes first
    refuses(chain, THIEF, Unstake(Amount(number)), "staking: not enough free")
    refuses(chain, THIEF, CommitLabels(TASK, RoundId(number), bound(THIEF)), "market: wrong round")
    refuses(chain, THIEF, SettleRound(TASK, RoundId(number)), "market: nothing to settle")
    assert [chain.balances(who.account) for who in (BOSS, *KEYS)] == before

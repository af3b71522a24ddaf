"""What an outsider or a worker might try against the label market, each tried and each without gain."""

from __future__ import annotations

import dataclasses

import pytest
from eth_abi import encode
from eth_account import Account as Signer
from eth_utils import keccak

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
from p2pfd.core.ids import Account, Amount, Digest, RoundId, TaskId, account_bytes
from p2pfd.core.labels import commitment, pack
from p2pfd.incentives.market import MAX_AMOUNT, MAX_ROUNDS, Market
from p2pfd.settlement import contracts
from p2pfd.settlement.abi import Interface, reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.embedded.ledger import GAS_LIMIT, TransactionRefused
from tests.contracts.chain import BOSS, CHAIN_ID, UNBOND_SECONDS, Contracts, everyone_deposits, key
from tests.contracts.compiler import mock

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
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
PERMIT = bytes(keccak(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"))
DOMAIN = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


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


# -- permits --


class Permits:
    """A chain on which nobody has approved anything, and signatures that would."""

    def __init__(self, market: Artifact) -> None:
        self.chain = Contracts({}, market=market)
        for who in (VICTIM, THIEF):
            self.chain.must(BOSS, self.chain.token, contracts.token()["transfer"].call(who.account, 1_000))

    def domain(self, chain_id: int = CHAIN_ID, token: Account | None = None) -> bytes:
        name, version = keccak(b"p2pfd test token"), keccak(b"1")
        kinds = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
        return bytes(keccak(encode(kinds, [keccak(DOMAIN), name, version, chain_id, token or self.chain.token])))

    def sign(
        self,
        amount: int,
        *,
        signer: AccountKey = VICTIM,
        owner: Account = VICTIM.account,
        spender: Account | None = None,
        nonce: int = 0,
        deadline: int = 2_000,
        domain: bytes | None = None,
    ) -> tuple[int, int, bytes, bytes]:
        """A permit: its deadline, and the three parts of its signature."""
        kinds = ["bytes32", "address", "address", "uint256", "uint256", "uint256"]
        permit = encode(kinds, [PERMIT, owner, spender or self.chain.market, amount, nonce, deadline])
        digest = keccak(b"\x19\x01" + (domain or self.domain()) + keccak(permit))
        signed = Signer.unsafe_sign_hash(digest, signer.private)
        return deadline, signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")

    def deposit(self, who: AccountKey, amount: int, permit: tuple[int, int, bytes, bytes]) -> str:
        """Why it was refused, or nothing."""
        call = contracts.market()["deposit_with_permit"].call(amount, *permit)
        block = self.chain.send(who, self.chain.market, call, 10**6)
        return "" if block.success else reason(block.output)


def test_a_permit_deposits_once(market: Artifact) -> None:
    at = Permits(market)
    permit = at.sign(100)
    assert at.deposit(VICTIM, 100, permit) == ""
    assert at.deposit(VICTIM, 100, permit) == "erc20: insufficient allowance"
    assert at.chain.balances(VICTIM.account) == Balances(Amount(900), Amount(100), Amount(0), Amount(0))


def test_a_permit_that_someone_else_sent_first_is_no_failure(market: Artifact) -> None:
    at = Permits(market)
    permit = at.sign(100)
    call = contracts.token()["permit"].call(VICTIM.account, at.chain.market, 100, *permit)
    at.chain.must(THIEF, at.chain.token, call)
    assert at.deposit(VICTIM, 100, permit) == ""
    assert at.chain.balances(VICTIM.account).free == 100


def test_somebody_elses_permit_is_of_no_use(market: Artifact) -> None:
    at = Permits(market)
    assert at.deposit(THIEF, 100, at.sign(100)) == "erc20: insufficient allowance"
    assert at.deposit(THIEF, 100, at.sign(100, owner=THIEF.account)) == "erc20: insufficient allowance"
    assert at.chain.balances(THIEF.account).wallet == at.chain.balances(VICTIM.account).wallet == 1_000
    # Where the permit has been sent for its owner, the allowance is the owner's to use, and nobody else's.
    call = contracts.token()["permit"].call(VICTIM.account, at.chain.market, 100, *at.sign(100))
    at.chain.must(THIEF, at.chain.token, call)
    assert at.deposit(THIEF, 100, at.sign(100)) == "erc20: insufficient allowance"
    assert at.chain.balances(VICTIM.account).wallet == 1_000


def test_a_permit_for_something_else_is_none(market: Artifact) -> None:
    at = Permits(market)
    (separator,) = contracts.token()["DOMAIN_SEPARATOR"].answer(
        at.chain.ledger.call(
            bytes(20), account_bytes(at.chain.token), contracts.token()["DOMAIN_SEPARATOR"].call(), 0, GAS_LIMIT
        ).output
    )
    assert at.domain() == separator, "or the permits below would fail for another reason than the one they are made for"
    deadline, v, r, s = at.sign(100)
    high = (CURVE_ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    wrong = {
        "another chain": at.sign(100, domain=at.domain(chain_id=CHAIN_ID + 1)),
        "another token": at.sign(100, domain=at.domain(token=at.chain.market)),
        "another spender": at.sign(100, spender=THIEF.account),
        "another amount": at.sign(99),
        "another nonce": at.sign(100, nonce=1),
        "another signer": at.sign(100, signer=THIEF),
        "past its deadline": at.sign(100, deadline=at.chain.now - 1),
        "a later deadline than was signed": (deadline + 1, v, r, s),
        "the same signature with the other s": (deadline, 55 - v, r, high),
        "the other s alone": (deadline, v, r, high),
        "no recovery number": (deadline, 0, r, s),
        "no signature": (deadline, 27, bytes(32), bytes(32)),
    }
    for what, permit in wrong.items():
        assert at.deposit(VICTIM, 100, permit) == "erc20: insufficient allowance", what
        assert at.chain.wallet(VICTIM.account) == 1_000, what
    assert at.deposit(VICTIM, 100, (deadline, v, r, s)) == ""


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
        "enrol_seconds": "market: phase length out of range",
        "commit_seconds": "market: phase length out of range",
        "reveal_seconds": "market: phase length out of range",
    }.items():
        refuses(chain, BOSS, OpenTask(dataclasses.replace(fresh, **{field: number})), why)
    block, _ = chain.carry_out(THIEF, Deposit(Amount(number)))
    assert not block.success  # for want of tokens, of allowance, or of room in the counter: whichever comes first
    refuses(chain, THIEF, Unstake(Amount(number)), "staking: not enough free")
    refuses(chain, THIEF, CommitLabels(TASK, RoundId(number), bound(THIEF)), "market: wrong round")
    refuses(chain, THIEF, SettleRound(TASK, RoundId(number)), "market: nothing to settle")
    assert [chain.balances(who.account) for who in (BOSS, *KEYS)] == before


# -- a token that calls back --


class Reentrant:
    """A market of a token that is itself an account there, and acts again while it is being moved."""

    def __init__(self, market: Artifact) -> None:
        self.chain = Contracts({})
        self.shape = Interface.of(mock("ReentrantToken"))
        self.token = self.chain.deploy(mock("ReentrantToken").bytecode)
        arguments = encode(["address", "uint256"], [self.token, UNBOND_SECONDS])
        self.market = self.chain.deploy(market.bytecode + arguments)

    def act(self, claim: Claim, again: Claim) -> None:
        arm = self.shape["arm"].call(self.market, contracts.call_of(again))
        self.chain.must(THIEF, self.token, arm)
        self.chain.must(THIEF, self.token, self.shape["act"].call(contracts.call_of(claim)))

    def of_token(self, name: str) -> int:
        return self._asked(self.token, self.shape[name].call())

    def of_market(self, name: str, *arguments: object) -> int:
        return self._asked(self.market, contracts.market()[name].call(*arguments))

    def _asked(self, contract: Account, data: bytes) -> int:
        outcome = self.chain.ledger.call(bytes(20), account_bytes(contract), data, 0, GAS_LIMIT)
        assert outcome.success
        return int.from_bytes(outcome.output, "big")


def test_a_token_that_calls_back_is_let_in_nowhere(market: Artifact) -> None:
    at = Reentrant(market)
    for again in (Deposit(Amount(100)), Withdraw()):
        at.act(Deposit(Amount(100)), again)
    assert at.of_token("let_in") == 0
    assert at.of_market("free", at.token) == at.of_market("held") == 200
    at.act(Unstake(Amount(150)), Withdraw())
    at.chain.now += UNBOND_SECONDS
    at.act(Withdraw(), Withdraw())
    assert at.of_token("paid") == 150
    at.act(Unstake(Amount(50)), Withdraw())
    at.chain.now += UNBOND_SECONDS
    at.act(Withdraw(), Deposit(Amount(1_000)))
    assert at.of_token("let_in") == 0
    assert at.of_token("paid") == 200
    assert at.of_market("held") == 0


def test_a_token_that_calls_back_finds_balances_already_changed(market: Artifact) -> None:
    """What is not guarded may be called from within, and finds the money where it will be."""
    at = Reentrant(market)
    at.act(Deposit(Amount(100)), Unstake(Amount(60)))
    assert at.of_token("let_in") == 1
    at.chain.now += UNBOND_SECONDS
    at.act(Withdraw(), Unstake(Amount(41)))
    assert at.of_token("let_in") == 1, "forty are left"
    assert at.of_token("paid") == 60
    assert at.of_market("held") == at.of_market("free", at.token) == 40

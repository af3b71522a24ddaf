"""The embedded chain's ledger: py-evm's own answers, and a state that survives."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth.abc import ComputationAPI
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.vm.forks.shanghai.state import ShanghaiState
from eth.vm.forks.shanghai.transactions import ShanghaiTransactionBuilder
from eth_account import Account as Signer
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.claims import CommitLabels, Deposit, Enrol, OpenTask, RevealLabels, SettleRound
from p2pfd.core.ids import Amount, RoundId, TaskId, account_bytes
from p2pfd.core.labels import commitment, pack
from p2pfd.errors import EnvironmentProblem, StorageError
from p2pfd.settlement.embedded.ledger import GAS_LIMIT, Ledger, TransactionRefused
from p2pfd.settlement.embedded.store import Store
from p2pfd.testing.settlement import labels_of, terms
from tests.contracts.chain import BOSS, CHAIN_ID, Contracts, everyone_deposits, key

TASK = TaskId(b"\1" * 32)
KEYS = [key(1), key(2), key(3)]


def some_history(chain: Contracts) -> None:
    """A round of a market, a refused call, and a deployment that fails."""
    everyone_deposits(chain, [BOSS, *KEYS], 5_000)
    chain.carry_out(BOSS, OpenTask(terms(TASK, rounds=1)))
    for each in KEYS:
        chain.carry_out(each, Enrol(TASK))
    for number, each in enumerate(KEYS):
        packed = pack(labels_of(number, 0))
        bound = commitment(TASK, RoundId(0), each.account, bytes(32), packed)
        chain.carry_out(each, CommitLabels(TASK, RoundId(0), bound))
    for number, each in enumerate(KEYS):
        chain.carry_out(each, RevealLabels(TASK, RoundId(0), bytes(32), pack(labels_of(number, 0))))
    chain.carry_out(BOSS, SettleRound(TASK, RoundId(0)))
    refused, _ = chain.carry_out(BOSS, Enrol(TASK))
    assert not refused.success
    assert not chain.send(BOSS, None, b"\xfe", 100_000).success


def a_chain() -> Contracts:
    chain = Contracts(dict.fromkeys([*KEYS, BOSS], 10_000))
    some_history(chain)
    return chain


@pytest.fixture(scope="module")
def history() -> Contracts:
    """A chain that no test writes to."""
    return a_chain()


@pytest.fixture(scope="module")
def scratch() -> Contracts:
    """A chain that may grow."""
    return a_chain()


def executed(state: ShanghaiState, ledger: Ledger, raw: bytes) -> tuple[ComputationAPI, int]:
    transaction = ShanghaiTransactionBuilder.decode(raw)
    state.execution_context = ledger._context()
    computation = state.apply_transaction(transaction)
    spent = transaction.gas - computation.get_gas_remaining()
    used = spent - state.get_transaction_executor().calculate_gas_refund(computation, spent)
    state.lock_changes()
    return computation, used


def test_the_flat_state_does_what_py_evms_trie_does(history: Contracts) -> None:
    """The same transactions on py-evm's own state: the same gas, success, output and logs, one by one."""
    fresh = Ledger(Store(None), lambda: 1_000, CHAIN_ID, {})
    state = ShanghaiState(AtomicDB(), fresh._context(), BLANK_ROOT_HASH)
    blocks = [history.ledger.block(number) for number in range(1, history.ledger.head.number + 1)]
    for block in blocks:
        assert block is not None
        assert block.raw is not None
        computation, used = executed(state, fresh, block.raw)
        assert fresh.send(block.raw).gas_used == used == block.gas_used
        assert bool(computation.is_success) == block.success
        assert block.success or bytes(computation.output) == block.output
        told = [
            (log.address, [int.from_bytes(t, "big") for t in log.topics], log.data)
            for log in logs(history, block.number)
        ]
        assert told == [(address, list(topics), data) for address, topics, data in computation.get_log_entries()]
    assert fresh.head == history.ledger.head, "replayed, it is the same chain"
    assert sum(1 for block in blocks if block and not block.success) == 2


def logs(chain: Contracts, number: int) -> list:  # type: ignore[type-arg]
    return chain.ledger.logs(number, number, 100)


def test_a_call_leaves_no_trace(history: Contracts) -> None:
    before = history.ledger._accounts.changes()
    assert (before.accounts, before.code, before.slots) == ({}, {}, {})
    held, head = history.ask("held"), history.ledger.head
    outcome = history.ledger.call(account_bytes(BOSS.account), None, bytes.fromhex("6001600055"), 0, GAS_LIMIT)
    assert outcome.success
    assert history.ledger.nonce(account_bytes(BOSS.account)) == len(
        [number for number in range(1, head.number + 1) if sent_by_boss(history, number)]
    )
    assert (history.ask("held"), history.ledger.head) == (held, head)
    after = history.ledger._accounts.changes()
    assert (after.accounts, after.code, after.slots) == ({}, {}, {})


def sent_by_boss(chain: Contracts, number: int) -> bool:
    block = chain.ledger.block(number)
    return block is not None and block.sender == account_bytes(BOSS.account)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"nonce": -1}, "nonce too low"),
        ({"nonce": 1}, "nonce too high"),
        ({"chainId": 1}, "invalid chain id 1"),
        ({"gas": GAS_LIMIT + 1}, "exceeds block gas limit"),
        ({"gas": 20_000}, "intrinsic gas too low"),
        ({"value": 1}, "insufficient funds"),
        ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}, "insufficient funds"),
    ],
)
def test_what_cannot_be_executed_is_refused_whole(history: Contracts, change: dict[str, int], reason: str) -> None:
    head = history.ledger.head
    nonce = history.ledger.nonce(account_bytes(BOSS.account))
    transaction = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": nonce + change.get("nonce", 0),
        "to": "0x" + "11" * 20,
        "value": 0,
        "data": b"",
        "gas": 30_000,
        "maxFeePerGas": 0,
        "maxPriorityFeePerGas": 0,
    } | {name: value for name, value in change.items() if name != "nonce"}
    raw = bytes(Signer.sign_transaction(transaction, BOSS.private).raw_transaction)
    with pytest.raises(TransactionRefused, match=reason):
        history.ledger.send(raw)
    assert history.ledger.head == head


def test_the_same_bytes_are_taken_once(history: Contracts) -> None:
    block = history.ledger.block(3)
    assert block is not None
    assert block.raw is not None
    with pytest.raises(TransactionRefused, match="already known"):
        history.ledger.send(block.raw)
    with pytest.raises(TransactionRefused, match="oversized"):
        history.ledger.send(bytes(200_000))


@given(data=st.data())
def test_bytes_that_are_no_transaction_are_refused(scratch: Contracts, data: st.DataObject) -> None:
    head = scratch.ledger.head
    block = scratch.ledger.block(data.draw(st.integers(1, 20)))
    assert block is not None
    raw = bytearray(block.raw or b"")
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    mangled = data.draw(st.one_of(st.just(bytes(raw)), st.just(bytes(raw[: len(raw) // 2])), st.binary(max_size=80)))
    try:
        scratch.ledger.send(mangled)
    except TransactionRefused:
        assert scratch.ledger.head == head
    else:
        assert scratch.ledger.head.number == head.number + 1, (
            "a flipped bit of a signature is another account that signed"
        )


# -- on disk -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "sub" / "chain.sqlite"
    store = Store(path)
    ledger = Ledger(store, lambda: 1_000, CHAIN_ID, {account_bytes(BOSS.account): 77})
    some_history(Contracts(dict.fromkeys([*KEYS, BOSS], 10_000), ledger))
    store.close()
    return path


def test_a_chain_goes_on_where_it_stopped(on_disk: Path, history: Contracts) -> None:
    store = Store(on_disk)
    ledger = Ledger(store, lambda: 1_000, CHAIN_ID, {})
    again = Contracts({}, ledger)
    for each in [*KEYS, BOSS]:
        assert again.balances(each.account) == history.balances(each.account)
    assert ledger.balance(account_bytes(BOSS.account)) == 77
    assert ledger.head.number == history.ledger.head.number
    block, _ = again.carry_out(KEYS[0], Deposit(Amount(1)))
    assert block.success
    head = ledger.head
    store.close()
    store = Store(on_disk)
    assert Ledger(store, lambda: 1_000, CHAIN_ID, {}).head == head
    store.close()


def test_time_that_was_skipped_stays_skipped(on_disk: Path) -> None:
    store = Store(on_disk)
    ledger = Ledger(store, lambda: 1_000, CHAIN_ID, {})
    ledger.skip(500)
    store.close()
    store = Store(on_disk)
    ledger = Ledger(store, lambda: 900, CHAIN_ID, {})
    assert ledger.now() == 1_400
    store.close()


def test_time_never_runs_backwards() -> None:
    times = [1_000]
    ledger = Ledger(Store(None), lambda: times[0], CHAIN_ID, {})
    times[0] = 10
    assert ledger.now() == ledger.head.timestamp == 1_000


def test_one_process_at_a_time(on_disk: Path) -> None:
    store = Store(on_disk)
    with pytest.raises(EnvironmentProblem, match="in use by another process"):
        Store(on_disk)
    store.close()


def test_another_chains_state_is_not_taken_over(on_disk: Path) -> None:
    store = Store(on_disk)
    with pytest.raises(StorageError, match="belongs to chain 31337, not 5"):
        Ledger(store, lambda: 1_000, 5, {})
    store.close()


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    path.write_bytes(b"something else, and long enough to be looked at" * 100)
    with pytest.raises(StorageError, match="file is not a database: this is no chain's state"):
        Store(path)
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(StorageError, match="has schema 99"):
        Store(newer)


def test_a_block_that_cannot_be_written_is_not_there(on_disk: Path) -> None:
    """The disk fails in the middle of a block: the caller is told, and neither memory nor disk keep half of it."""
    store = Store(on_disk)
    chain = Contracts({}, Ledger(store, lambda: 1_000, CHAIN_ID, {}))
    head = chain.ledger.head
    store._db.execute("create temp trigger full before insert on block begin select raise(fail, 'disk is full'); end")
    nonce = chain.ledger.nonce(account_bytes(BOSS.account))
    with pytest.raises(StorageError, match="disk is full"):
        chain.deploy(b"")
    assert (chain.ledger.head, chain.ledger.nonce(account_bytes(BOSS.account))) == (head, nonce)
    store._db.execute("drop trigger full")
    chain.deploy(b"")
    assert chain.ledger.head.number == head.number + 1
    store.close()

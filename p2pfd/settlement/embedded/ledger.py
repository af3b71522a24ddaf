"""The chain itself: a block for each transaction, executed by py-evm under Shanghai's rules, on disk before it is told.

There are no fees (the base fee is zero), no miner and no mempool: a transaction is executed when it arrives, in the
order of its sender's nonces, or refused. The time of a block is the clock's, and never runs backwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eth._utils.address import generate_contract_address
from eth.abc import ComputationAPI, SignedTransactionAPI
from eth.exceptions import PyEVMError
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.shanghai.state import ShanghaiState
from eth.vm.forks.shanghai.transactions import ShanghaiTransactionBuilder
from eth.vm.spoof import SpoofTransaction
from eth_keys.exceptions import BadSignature
from eth_utils import ValidationError
from rlp.exceptions import RLPException

from p2pfd.errors import P2pfdError, StorageError
from p2pfd.settlement.embedded.opcodes import Computation
from p2pfd.settlement.embedded.state import Account, Accounts, Changes
from p2pfd.settlement.embedded.store import Block, Log, Store
from p2pfd.settlement.keccak import keccak

GAS_LIMIT = 30_000_000
MAX_TRANSACTION_BYTES = 128 * 1024
"""What public networks pass on."""
_ANCESTORS = 256
_ZERO_ADDRESS = bytes(20)
_ZERO_HASH = bytes(32)


class TransactionRefused(P2pfdError):  # noqa: N818 - it is what happened, not an error of the chain's
    """A transaction that is not executed at all: it leaves no trace."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call without a transaction came to."""

    success: bool
    output: bytes
    gas_used: int


class _State(ShanghaiState):  # type: ignore[misc]
    account_db_class = Accounts
    computation_class = Computation


class Ledger:
    """A chain in this process. Not thread-safe: one owner calls it."""

    def __init__(self, store: Store, clock: Callable[[], int], chain_id: int, funded: Mapping[bytes, int]) -> None:
        self._store = store
        self._clock = clock
        self._builder = ShanghaiTransactionBuilder
        self._offset = int.from_bytes(store.setting("clock offset") or b"", "big", signed=True)
        head = store.head()
        if head is None:
            store.keep("chain id", str(chain_id).encode())
            head = _genesis(store, chain_id, clock(), funded)
        kept = store.setting("chain id")
        if kept != str(chain_id).encode():
            raise StorageError(
                f"the state on disk belongs to chain {(kept or b'?').decode()}, not {chain_id}",
                "start with that chain id, or name another directory",
            )
        self.chain_id = chain_id
        self.head = head
        self._hashes = deque(store.hashes(_ANCESTORS), maxlen=_ANCESTORS)
        self._state = _State(store.world(), self._context(), _ZERO_HASH)
        self._accounts: Accounts = self._state._account_db

    # -- time --

    def now(self) -> int:
        """The time that the next block would have, in Unix seconds."""
        return max(self._clock() + self._offset, self.head.timestamp)

    def skip(self, seconds: int) -> None:
        """Let the chain's clock run ahead from now on: for tests and demonstrations."""
        self._offset += seconds
        self._store.keep("clock offset", self._offset.to_bytes(16, "big", signed=True))

    def _context(self) -> ExecutionContext:
        return ExecutionContext(
            coinbase=_ZERO_ADDRESS,
            timestamp=self.now(),
            block_number=self.head.number + 1,
            difficulty=0,
            mix_hash=_ZERO_HASH,
            gas_limit=GAS_LIMIT,
            prev_hashes=tuple(self._hashes),
            chain_id=self.chain_id,
            base_fee_per_gas=0,
        )

    # -- transactions --

    def send(self, raw: bytes) -> Block:
        """Execute a signed transaction into a block of its own, on disk when this returns."""
        if len(raw) > MAX_TRANSACTION_BYTES:
            raise TransactionRefused(f"oversized data: transaction size {len(raw)}, limit {MAX_TRANSACTION_BYTES}")
        tx_hash = keccak(raw)
        if self._store.block_of(tx_hash) is not None:
            raise TransactionRefused("already known")
        transaction, sender = self._decode(raw)
        self._check(transaction, sender)
        self._state.execution_context = context = self._context()
        try:
            computation = self._state.apply_transaction(transaction)
        except (ValidationError, PyEVMError) as error:
            self._accounts.undo_all()
            raise TransactionRefused(str(error)) from error
        changes = self._accounts.changes()
        block, logs = self._sealed(tx_hash, raw, transaction, sender, computation, context.timestamp, changes)
        try:
            self._store.write(block, logs, changes)
        except StorageError:
            self._accounts.undo_all()
            raise
        self._accounts.lock_changes()
        self.head = block
        self._hashes.appendleft(block.hash)
        return block

    def _decode(self, raw: bytes) -> tuple[SignedTransactionAPI, bytes]:
        try:
            transaction = self._builder.decode(raw)
            transaction.validate()
            return transaction, bytes(transaction.sender)
        except (ValidationError, PyEVMError, RLPException, BadSignature, ValueError, TypeError, IndexError) as error:
            raise TransactionRefused(f"invalid transaction: {str(error)[:200]}") from error

    def _check(self, transaction: SignedTransactionAPI, sender: bytes) -> None:
        if transaction.chain_id not in (None, self.chain_id):
            raise TransactionRefused(f"invalid chain id {transaction.chain_id}, this is {self.chain_id}")
        if transaction.gas > GAS_LIMIT:
            raise TransactionRefused(f"exceeds block gas limit: {transaction.gas}, at most {GAS_LIMIT}")
        if transaction.gas < transaction.intrinsic_gas:
            raise TransactionRefused(f"intrinsic gas too low: {transaction.gas} of {transaction.intrinsic_gas}")
        cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if cost > self.balance(sender):
            raise TransactionRefused(f"insufficient funds: {cost} needed, {self.balance(sender)} there")
        due = self.nonce(sender)
        if transaction.nonce < due:
            raise TransactionRefused(f"nonce too low: next nonce {due}, tx nonce {transaction.nonce}")
        if transaction.nonce > due:
            raise TransactionRefused(f"nonce too high: next nonce {due}, tx nonce {transaction.nonce}")

    def _sealed(
        self,
        tx_hash: bytes,
        raw: bytes,
        transaction: SignedTransactionAPI,
        sender: bytes,
        computation: ComputationAPI,
        timestamp: int,
        changes: Changes,
    ) -> tuple[Block, list[Log]]:
        number = self.head.number + 1
        success = bool(computation.is_success)
        spent = transaction.gas - computation.get_gas_remaining()
        used = spent - self._state.get_transaction_executor().calculate_gas_refund(computation, spent)
        creates = transaction.to == b""
        digest = changes.digest(self.head.digest)
        block = Block(
            number=number,
            hash=_block_hash(self.head.hash, number, timestamp, digest, tx_hash, used, success),
            parent=self.head.hash,
            timestamp=timestamp,
            digest=digest,
            tx_hash=tx_hash,
            raw=raw,
            sender=sender,
            target=None if creates else bytes(transaction.to),
            created=bytes(generate_contract_address(sender, transaction.nonce)) if creates and success else None,
            gas_used=used,
            success=success,
            output=b"" if success else bytes(computation.output),
        )
        entries = computation.get_log_entries() if success else ()
        logs = [
            Log(number, position, bytes(address), tuple(topic.to_bytes(32, "big") for topic in topics), bytes(data))
            for position, (address, topics, data) in enumerate(entries)
        ]
        return block, logs

    # -- calls --

    def call(self, sender: bytes, to: bytes | None, data: bytes, value: int, gas: int) -> Outcome:
        """Execute without a trace, on the present state, as the next block would."""
        self._state.execution_context = self._context()
        unsigned = self._builder.create_unsigned_transaction(
            nonce=self.nonce(sender), gas_price=0, gas=min(gas, GAS_LIMIT), to=to or b"", value=value, data=data
        )
        try:
            computation = self._state.costless_execute_transaction(SpoofTransaction(unsigned, from_=sender))
            used = min(gas, GAS_LIMIT) - computation.get_gas_remaining()
            return Outcome(bool(computation.is_success), bytes(computation.output), used)
        except (ValidationError, PyEVMError) as error:
            raise TransactionRefused(str(error)) from error
        finally:
            self._accounts.undo_all()

    # -- reading --

    def nonce(self, address: bytes) -> int:
        """How many transactions an account has sent."""
        return self._accounts.get_nonce(address)

    def balance(self, address: bytes) -> int:
        """What an account has of the coin that fees would be paid in."""
        return self._accounts.get_balance(address)

    def code(self, address: bytes) -> bytes:
        """A contract's code."""
        return self._accounts.get_code(address)

    def storage(self, address: bytes, slot: int) -> int:
        """A word of a contract's storage."""
        return self._accounts.get_storage(address, slot)

    def block(self, number: int) -> Block | None:
        """The block of this number."""
        return self._store.block(number)

    def block_by_hash(self, block_hash: bytes) -> Block | None:
        """The block of this hash."""
        return self._store.block_by_hash(block_hash)

    def block_of(self, tx_hash: bytes) -> Block | None:
        """The block that holds this transaction."""
        return self._store.block_of(tx_hash)

    def logs(self, first: int, last: int, limit: int) -> list[Log]:
        """What contracts told in these blocks, at most so many."""
        return self._store.logs(first, last, limit)

    def transaction(self, raw: bytes) -> SignedTransactionAPI:
        """A transaction that stands in a block, decoded."""
        return self._builder.decode(raw)


def _genesis(store: Store, chain_id: int, now: int, funded: Mapping[bytes, int]) -> Block:
    changes = Changes({address: Account(balance=balance) for address, balance in funded.items()}, {}, {})
    digest = changes.digest(keccak(b"p2pfd embedded chain" + chain_id.to_bytes(32, "big")))
    block = Block(0, _block_hash(_ZERO_HASH, 0, now, digest, _ZERO_HASH, 0, True), _ZERO_HASH, now, digest)
    store.write(block, (), changes)
    return block


def _block_hash(
    parent: bytes, number: int, timestamp: int, digest: bytes, tx_hash: bytes, gas_used: int, success: bool
) -> bytes:
    numbers = b"".join(value.to_bytes(32, "big") for value in (number, timestamp, gas_used, int(success)))
    return keccak(parent + digest + tx_hash + numbers)

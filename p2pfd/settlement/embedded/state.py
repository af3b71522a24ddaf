"""The chain's present state, flat: accounts, code and storage in dictionaries, and a log of what a transaction changed.

py-evm keeps its state in a Merkle trie; nothing here needs proofs of state, and a flat state is faster, and its changes
are exactly the rows that go to disk. What is given up is the state root: blocks carry a running digest of all changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from eth.abc import AccountDatabaseAPI, MetaWitnessAPI

from p2pfd.settlement.keccak import keccak

EMPTY_CODE = keccak(b"")
_NO_ROOT = bytes(32)


class Account(NamedTuple):
    """What an address has besides storage."""

    nonce: int = 0
    balance: int = 0
    code_hash: bytes = EMPTY_CODE


NEW = Account()


@dataclass(slots=True)
class World:
    """All accounts, all code by its hash, all storage by address and slot; a slot of value zero is absent."""

    accounts: dict[bytes, Account] = field(default_factory=dict)
    code: dict[bytes, bytes] = field(default_factory=dict)
    storage: dict[bytes, dict[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """What one transaction left different: absent accounts are None, absent slots zero."""

    accounts: dict[bytes, Account | None]
    code: dict[bytes, bytes]
    slots: dict[tuple[bytes, int], int]

    def digest(self, before: bytes) -> bytes:
        """The running digest of all changes up to and with these."""
        return bytes(keccak(before + b"".join(self._rows())))

    def _rows(self) -> Iterator[bytes]:
        for address, account in sorted(self.accounts.items()):
            yield b"a" + address
            if account is not None:
                yield account.nonce.to_bytes(8, "big") + account.balance.to_bytes(32, "big") + account.code_hash
        for (address, slot), value in sorted(self.slots.items()):
            yield b"s" + address + slot.to_bytes(32, "big") + value.to_bytes(32, "big")


class Accounts(AccountDatabaseAPI):  # type: ignore[misc]
    """A `World` as py-evm wants to see it. A checkpoint is a length of the undo log."""

    def __init__(self, db: World, state_root: bytes = _NO_ROOT) -> None:
        self._world = db
        self._undo: list[Callable[[], None]] = []
        self._original_accounts: dict[bytes, Account | None] = {}
        self._original_slots: dict[tuple[bytes, int], int] = {}
        self._new_code: set[bytes] = set()
        self._warm: set[bytes | tuple[bytes, int]] = set()

    # -- what a transaction changed --

    def changes(self) -> Changes:
        """What differs from the state that `lock_changes` last fixed."""
        accounts = {
            address: account
            for address, before in self._original_accounts.items()
            if (account := self._world.accounts.get(address)) != before
        }
        slots = {
            key: value for key, before in self._original_slots.items() if (value := self.get_storage(*key)) != before
        }
        return Changes(accounts, {key: self._world.code[key] for key in self._new_code}, slots)

    def lock_changes(self) -> None:
        """Begin a new transaction here."""
        self._undo.clear()
        self._original_accounts.clear()
        self._original_slots.clear()
        self._new_code.clear()
        self._warm.clear()

    def undo_all(self) -> None:
        """Return to where the transaction began."""
        self.discard(0)
        for code_hash in self._new_code:
            del self._world.code[code_hash]
        self.lock_changes()

    def record(self) -> int:  # noqa: D102 - the rest of the class is py-evm's interface
        return len(self._undo)

    def commit(self, checkpoint: int) -> None:  # noqa: D102
        pass

    def discard(self, checkpoint: int) -> None:  # noqa: D102
        while len(self._undo) > checkpoint:
            self._undo.pop()()

    # -- storage --

    def get_storage(self, address: bytes, slot: int, from_journal: bool = True) -> int:  # noqa: D102
        if not from_journal and (address, slot) in self._original_slots:
            return self._original_slots[address, slot]
        return self._world.storage.get(address, {}).get(slot, 0)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:  # noqa: D102
        before = self.get_storage(address, slot)
        self._original_slots.setdefault((address, slot), before)
        self._undo.append(partial(self._put_slot, address, slot, before))
        self._put_slot(address, slot, value)

    def delete_storage(self, address: bytes) -> None:  # noqa: D102
        for slot in tuple(self._world.storage.get(address, ())):
            self.set_storage(address, slot, 0)

    def _put_slot(self, address: bytes, slot: int, value: int) -> None:
        if value:
            self._world.storage.setdefault(address, {})[slot] = value
        elif address in self._world.storage:
            self._world.storage[address].pop(slot, None)

    # -- accounts --

    def _account(self, address: bytes) -> Account:
        return self._world.accounts.get(address, NEW)

    def _set_account(self, address: bytes, account: Account | None) -> None:
        before = self._world.accounts.get(address)
        self._original_accounts.setdefault(address, before)
        self._undo.append(partial(self._put_account, address, before))
        self._put_account(address, account)

    def _put_account(self, address: bytes, account: Account | None) -> None:
        if account is None:
            self._world.accounts.pop(address, None)
        else:
            self._world.accounts[address] = account

    def get_balance(self, address: bytes) -> int:  # noqa: D102
        return self._account(address).balance

    def set_balance(self, address: bytes, balance: int) -> None:  # noqa: D102
        self._set_account(address, self._account(address)._replace(balance=balance))

    def get_nonce(self, address: bytes) -> int:  # noqa: D102
        return self._account(address).nonce

    def set_nonce(self, address: bytes, nonce: int) -> None:  # noqa: D102
        self._set_account(address, self._account(address)._replace(nonce=nonce))

    def increment_nonce(self, address: bytes) -> None:  # noqa: D102
        self.set_nonce(address, self.get_nonce(address) + 1)

    def set_code(self, address: bytes, code: bytes) -> None:  # noqa: D102
        code_hash = keccak(code)
        if code and code_hash not in self._world.code:
            self._world.code[code_hash] = bytes(code)
            self._new_code.add(code_hash)
        self._set_account(address, self._account(address)._replace(code_hash=code_hash))

    def get_code(self, address: bytes) -> bytes:  # noqa: D102
        return self._world.code.get(self._account(address).code_hash, b"")

    def get_code_hash(self, address: bytes) -> bytes:  # noqa: D102
        return self._account(address).code_hash

    def delete_code(self, address: bytes) -> None:  # noqa: D102
        self._set_account(address, self._account(address)._replace(code_hash=EMPTY_CODE))

    def account_has_code_or_nonce(self, address: bytes) -> bool:  # noqa: D102
        account = self._account(address)
        return account.nonce != 0 or account.code_hash != EMPTY_CODE

    def delete_account(self, address: bytes) -> None:  # noqa: D102
        self.delete_storage(address)
        self._set_account(address, None)

    def account_exists(self, address: bytes) -> bool:  # noqa: D102
        return address in self._world.accounts

    def touch_account(self, address: bytes) -> None:  # noqa: D102
        self._set_account(address, self._account(address))

    def account_is_empty(self, address: bytes) -> bool:  # noqa: D102
        return self._account(address) == NEW

    # -- what a transaction has looked at (EIP-2929) --

    def is_storage_warm(self, address: bytes, slot: int) -> bool:  # noqa: D102
        return (address, slot) in self._warm

    def mark_storage_warm(self, address: bytes, slot: int) -> None:  # noqa: D102
        self._mark((address, slot))

    def is_address_warm(self, address: bytes) -> bool:  # noqa: D102
        return address in self._warm

    def mark_address_warm(self, address: bytes) -> None:  # noqa: D102
        self._mark(address)

    def _mark(self, key: bytes | tuple[bytes, int]) -> None:
        if key not in self._warm:
            self._warm.add(key)
            self._undo.append(partial(self._warm.discard, key))

    # -- the trie that is not there --

    @property
    def state_root(self) -> bytes:  # noqa: D102
        return _NO_ROOT

    @state_root.setter
    def state_root(self, value: bytes) -> None:
        pass

    def has_root(self, state_root: bytes) -> bool:  # noqa: D102
        return state_root == _NO_ROOT

    def make_state_root(self) -> bytes:  # noqa: D102
        return _NO_ROOT

    def persist(self) -> MetaWitnessAPI:  # noqa: D102
        raise TypeError("a flat state is written to disk by the ledger")

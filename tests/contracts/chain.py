"""The contracts on a chain in this process: no HTTP, no disk, the time in the test's hands."""

from __future__ import annotations

from collections.abc import Iterable

from eth._utils.address import generate_contract_address
from eth_abi import encode
from eth_account import Account as Signer
from eth_utils import to_checksum_address

from p2pfd.core.claims import Balances, ChainEvent, Claim, Deposit
from p2pfd.core.ids import Account, Amount, TaskId, account_bytes
from p2pfd.settlement import contracts
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.embedded.ledger import GAS_LIMIT, Ledger
from p2pfd.settlement.embedded.store import Block, Store

CHAIN_ID = 31_337
BOSS = AccountKey(bytes([9]) * 32)
UNBOND_SECONDS = 100
SUPPLY = 10**15


def key(number: int) -> AccountKey:
    """One of any number of accounts."""
    return AccountKey(number.to_bytes(32, "big"))


class Contracts:
    """Our contracts, deployed, with tokens handed out."""

    def __init__(
        self,
        wallets: dict[AccountKey, int],
        ledger: Ledger | None = None,
        now: int = 1_000,
        market: Artifact | None = None,
        supply: int = SUPPLY,
    ) -> None:
        """On a fresh ledger in memory, or on another one, whose clock is not ours; the market may be a mutant."""
        self.now = now
        self.ledger = ledger or Ledger(Store(None), lambda: self.now, CHAIN_ID, {})
        self._market, self._supply = market or artifact("LabelMarket"), supply
        self._places: dict[tuple[Account, bytes], tuple[int, ...]] = {}
        if self.ledger.head.number == 0:
            self._set_up(wallets)
        else:
            self.token, self.market = (
                Account("0x" + generate_contract_address(account_bytes(BOSS.account), nonce).hex()) for nonce in (0, 1)
            )

    def _set_up(self, wallets: dict[AccountKey, int]) -> None:
        self.token = self.deploy(artifact("Token").bytecode + encode(["uint256"], [self._supply]))
        arguments = encode(["address", "uint256"], [self.token, UNBOND_SECONDS])
        self.market = self.deploy(self._market.bytecode + arguments)
        for who, amount in wallets.items():
            self.must(BOSS, self.token, contracts.token()["transfer"].call(who.account, amount))
            self.must(who, self.token, contracts.token()["approve"].call(self.market, 2**255))

    def deploy(self, code: bytes) -> Account:
        created = self.must(BOSS, None, code).created
        assert created is not None
        return Account("0x" + created.hex())

    def must(self, who: AccountKey, to: Account | None, data: bytes) -> Block:
        block = self.send(who, to, data, GAS_LIMIT)
        assert block.success, reason(block.output)
        return block

    def send(self, who: AccountKey, to: Account | None, data: bytes, gas: int) -> Block:
        return self.ledger.send(self.signed(who, to, data, gas))

    def signed(self, who: AccountKey, to: Account | None, data: bytes, gas: int) -> bytes:
        transaction = {
            "type": 2,
            "chainId": CHAIN_ID,
            "nonce": self.ledger.nonce(account_bytes(who.account)),
            "to": "" if to is None else to_checksum_address(to),
            "value": 0,
            "data": data,
            "gas": gas,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
        }
        return bytes(Signer.sign_transaction(transaction, who.private).raw_transaction)

    def carry_out(self, who: AccountKey, claim: Claim) -> tuple[Block, tuple[ChainEvent, ...]]:
        """A claim's block, and the events in it."""
        block = self.send(who, self.market, contracts.call_of(claim), contracts.gas_for(claim))
        logs = self.ledger.logs(block.number, block.number, 10_000)
        told = (contracts.event_of(log.topics, log.data) for log in logs if log.address == account_bytes(self.market))
        return block, tuple(event for event in told if event is not None)

    def ask(self, name: str, *arguments: object) -> tuple[object, ...]:
        """What a view of the market says."""
        function = contracts.market()[name]
        return function.answer(self._asked(self.market, function.call(*arguments)))

    def wallet(self, who: Account) -> int:
        function = contracts.token()["balanceOf"]
        return int(function.answer(self._asked(self.token, function.call(who)))[0])

    def _asked(self, contract: Account, data: bytes) -> bytes:
        outcome = self.ledger.call(bytes(20), account_bytes(contract), data, 0, GAS_LIMIT)
        assert outcome.success, reason(outcome.output)
        return outcome.output

    # -- a short way to what the plain getters say, for those who ask after every transaction --

    def peek(self, name: str, *arguments: object) -> tuple[int, ...]:
        """The words that a getter of the market would answer, read where it reads them."""
        return self._peeked(self.market, contracts.market()[name].call(*arguments))

    def peek_wallet(self, who: Account) -> int:
        return self._peeked(self.token, contracts.token()["balanceOf"].call(who))[0]

    def _peeked(self, contract: Account, data: bytes) -> tuple[int, ...]:
        """The first time the getter itself is asked, and watched; its slots do not depend on what is in them."""
        address = account_bytes(contract)
        places = self._places.get((contract, data))
        if places is None:
            places = self._places[contract, data] = self._watched(contract, data)
        return tuple(self.ledger.storage(address, place) for place in places)

    def _watched(self, contract: Account, data: bytes) -> tuple[int, ...]:
        accounts, address, seen = self.ledger._accounts, account_bytes(contract), dict[int, None]()
        plain = accounts.get_storage

        def watched(where: bytes, slot: int, from_journal: bool = True) -> int:
            assert where == address
            seen[slot] = None
            return plain(where, slot, from_journal)

        accounts.get_storage = watched  # type: ignore[method-assign]
        try:
            self._asked(contract, data)
        finally:
            del accounts.get_storage
        return tuple(seen)

    def check_peeks(self) -> None:
        """Every getter that was peeked at really says what its slots hold."""
        for (contract, data), places in self._places.items():
            words = [self.ledger.storage(account_bytes(contract), place).to_bytes(32, "big") for place in places]
            assert self._asked(contract, data) == b"".join(words)

    def balances(self, who: Account) -> Balances:
        free, locked, unbonding = self.ask("balances", who)
        assert isinstance(free, int)
        assert isinstance(locked, int)
        assert isinstance(unbonding, int)
        return Balances(Amount(self.wallet(who)), Amount(free), Amount(locked), Amount(unbonding))

    def task(self, task: TaskId) -> tuple[int, int, int, int]:
        """A task's phase, round, deadline and pots."""
        (fields,) = self.ask("tasks", task)
        assert isinstance(fields, tuple)
        return fields[1:5]


def everyone_deposits(chain: Contracts, keys: Iterable[AccountKey], amount: int) -> None:
    for who in keys:
        block, _ = chain.carry_out(who, Deposit(Amount(amount)))
        assert block.success, reason(block.output)

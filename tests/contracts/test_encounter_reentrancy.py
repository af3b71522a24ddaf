"""A token that calls back while the contract of encounters moves it: what it is let in to, and what it finds there."""

from __future__ import annotations

import pytest
from eth_abi import encode

from p2pfd.core.claims import Deposit, Unstake, Withdraw
from p2pfd.core.encounter_claims import EncounterClaim
from p2pfd.core.ids import Account, Amount, account_bytes
from p2pfd.settlement import encounters
from p2pfd.settlement.abi import Interface
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.embedded.ledger import GAS_LIMIT
from tests.contracts.chain import Contracts, key
from tests.contracts.compiler import mock
from tests.contracts.encounter_chain import BOND, LONGEST, THRESHOLD, UNBOND

THIEF = key(2)


class Reentrant:
    """A contract whose token is itself an account there, and acts again while it is being moved."""

    def __init__(self, contract: Artifact) -> None:
        self.chain = Contracts({})
        self.shape = Interface.of(mock("ReentrantToken"))
        self.token = self.chain.deploy(mock("ReentrantToken").bytecode)
        arguments = encode(["address", *["uint256"] * 4], [self.token, UNBOND, LONGEST, BOND, THRESHOLD])
        self.contract = self.chain.deploy(contract.bytecode + arguments)

    def act(self, claim: EncounterClaim, again: EncounterClaim) -> None:
        arm = self.shape["arm"].call(self.contract, encounters.call_of(again))
        self.chain.must(THIEF, self.token, arm)
        self.chain.must(THIEF, self.token, self.shape["act"].call(encounters.call_of(claim)))

    def of_token(self, name: str) -> int:
        return self._asked(self.token, self.shape[name].call())

    def free(self) -> int:
        return self._asked(self.contract, encounters.interface()["balances"].call(self.token))

    def held(self) -> int:
        return self._asked(self.contract, encounters.interface()["held"].call())

    def _asked(self, contract: Account, data: bytes) -> int:
        outcome = self.chain.ledger.call(bytes(20), account_bytes(contract), data, 0, GAS_LIMIT)
        assert outcome.success
        return int.from_bytes(outcome.output[:32], "big")


def let_in_nowhere(contract: Artifact) -> None:
    """Neither while tokens come nor while they go."""
    at = Reentrant(contract)
    for again in (Deposit(Amount(100)), Withdraw()):
        at.act(Deposit(Amount(100)), again)
    assert at.of_token("let_in") == 0
    assert at.free() == at.held() == 200
    at.act(Unstake(Amount(150)), Withdraw())
    at.chain.now += UNBOND
    at.act(Withdraw(), Withdraw())
    assert at.of_token("paid") == 150
    at.act(Unstake(Amount(50)), Withdraw())
    at.chain.now += UNBOND
    at.act(Withdraw(), Deposit(Amount(1_000)))
    assert at.of_token("let_in") == 0
    assert at.of_token("paid") == 200
    assert at.held() == 0


@pytest.fixture
def contract() -> Artifact:
    return artifact("Encounters")


def test_a_token_that_calls_back_is_let_in_nowhere(contract: Artifact) -> None:
    let_in_nowhere(contract)


def test_a_token_that_calls_back_finds_balances_already_changed(contract: Artifact) -> None:
    at = Reentrant(contract)
    at.act(Deposit(Amount(100)), Unstake(Amount(60)))
    assert at.of_token("let_in") == 1
    at.chain.now += UNBOND
    at.act(Withdraw(), Unstake(Amount(41)))
    assert at.of_token("let_in") == 1, "forty are left"
    assert at.of_token("paid") == 60
    assert at.held() == at.free() == 40

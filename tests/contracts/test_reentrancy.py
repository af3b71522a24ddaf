"""A token that calls back while it is being moved: what it is let in to, and what it finds there."""

from __future__ import annotations

import pytest
from eth_abi import encode

from p2pfd.core.claims import (
    Claim,
    Deposit,
    Unstake,
    Withdraw,
)
from p2pfd.core.ids import Account, Amount, account_bytes
from p2pfd.settlement import contracts
from p2pfd.settlement.abi import Interface
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.embedded.ledger import GAS_LIMIT
from tests.contracts.chain import UNBOND_SECONDS, Contracts, key
from tests.contracts.compiler import mock

THIEF = key(2)


@pytest.fixture
def market() -> Artifact:
    return artifact("LabelMarket")


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

"""Signed permits: what a deposit with one moves, and every way in which one is no good."""

from __future__ import annotations

import pytest

from p2pfd.core.claims import Balances
from p2pfd.core.ids import Account, Amount, account_bytes
from p2pfd.settlement import contracts
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.embedded.ledger import GAS_LIMIT
from tests.contracts.chain import BOSS, CHAIN_ID, Contracts, key
from tests.contracts.permits import signed_permit, token_domain

VICTIM, THIEF = key(1), key(2)
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
def market() -> Artifact:
    return artifact("LabelMarket")


class Permits:
    """A chain on which nobody has approved anything, and signatures that would."""

    def __init__(self, market: Artifact) -> None:
        self.chain = Contracts({}, market=market)
        for who in (VICTIM, THIEF):
            self.chain.must(BOSS, self.chain.token, contracts.token()["transfer"].call(who.account, 1_000))

    def domain(self, chain_id: int = CHAIN_ID, token: Account | None = None) -> bytes:
        return token_domain(chain_id, token or self.chain.token)

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
        spender = spender or self.chain.market
        return deadline, *signed_permit(signer, domain or self.domain(), owner, spender, amount, nonce, deadline)

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

"""Offers and refusals: what is paid for gas at most, and what nodes mean."""

from __future__ import annotations

import pytest

from p2pfd.settlement.fees import FREE, GWEI, FeePolicy, Offer
from p2pfd.settlement.profiles import AMOY, PROFILES
from p2pfd.settlement.refusals import Meaning, meaning
from p2pfd.settlement.rpc import RpcRefusal
from tests.unit.settlement.town import Town

POLICY = FeePolicy(floor=25 * GWEI, most=200 * GWEI)


async def test_an_offer_lasts_for_some_full_blocks() -> None:
    town = Town()
    town.base = 30 * GWEI
    offer = await POLICY.quote(town)
    assert offer.tip == 25 * GWEI
    base, blocks = town.base, 0
    while base + offer.tip <= offer.fee:
        base, blocks = base + base // 8, blocks + 1
    assert blocks >= 5
    assert await FREE.quote(town) == Offer(0, 0), "and nobody is asked where nothing is paid"


async def test_no_chain_can_make_an_offer_beyond_the_most() -> None:
    town = Town()
    town.base = 2**200
    offer = await POLICY.quote(town)
    assert offer == Offer(25 * GWEI, 200 * GWEI)
    town._answer = lambda method, _: hex(2**255) if "Priority" in method else {"baseFeePerGas": "0x1"}  # type: ignore[method-assign]
    assert await POLICY.quote(town) == Offer(200 * GWEI, 200 * GWEI)


def test_a_raise_is_what_a_node_takes_as_one() -> None:
    last, raises = Offer(25 * GWEI, 60 * GWEI), 0
    while (better := POLICY.raised(last, Offer(25 * GWEI, 60 * GWEI))) is not None:
        assert 10 * better.tip >= 11 * last.tip
        assert 10 * better.fee >= 11 * last.fee
        assert better.tip <= better.fee <= POLICY.most
        last, raises = better, raises + 1
    assert raises >= 9
    dear = POLICY.raised(Offer(25 * GWEI, 60 * GWEI), Offer(50 * GWEI, 150 * GWEI))
    assert dear == Offer(50 * GWEI, 150 * GWEI), "where the chain has become dearer, at once to its price"
    assert FREE.raised(Offer(0, 0), Offer(0, 0)) is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("already known", Meaning.HELD),
        ("transaction already imported", Meaning.HELD),
        ("AlreadyKnown", Meaning.HELD),
        ("nonce too low: next nonce 5, tx nonce 4", Meaning.PAST),
        ("OldNonce", Meaning.PAST),
        ("nonce too high: next nonce 5, tx nonce 7", Meaning.EARLY),
        ("the tx doesn't have the correct nonce. account has nonce of: 3 tx has nonce of: 2", Meaning.PAST),
        ("the tx doesn't have the correct nonce. account has nonce of: 3 tx has nonce of: 5", Meaning.EARLY),
        ("correct nonce. account has nonce of: many", Meaning.UNFIT),
        ("transaction underpriced: gas tip cap 1, minimum needed 25000000000", Meaning.CHEAP),
        ("replacement transaction underpriced", Meaning.CHEAP),
        ("max fee per gas less than block base fee: address 0x1", Meaning.CHEAP),
        ("txpool is full", Meaning.BUSY),
        ("insufficient funds for gas * price + value", Meaning.POOR),
        ("sender doesn't have enough funds to send tx", Meaning.POOR),
        ("oversized data: transaction size 140000, limit 131072", Meaning.UNFIT),
        ("intrinsic gas too low", Meaning.UNFIT),
        ("", Meaning.UNFIT),
    ],
)
def test_what_nodes_mean(said: str, meant: Meaning) -> None:
    assert meaning(RpcRefusal("eth_sendRawTransaction", -32000, said, b"")) is meant


def test_profiles_differ_where_chains_do() -> None:
    assert set(PROFILES) == {"embedded", "anvil", "ganache", "amoy", "amoy-like"}
    assert [name for name, profile in PROFILES.items() if profile.live] == ["amoy"]
    assert AMOY.chain_id == 80_002
    assert AMOY.habits.fees.floor == 25 * GWEI
    assert AMOY.habits.finality > PROFILES["amoy-like"].habits.finality > 0
    assert PROFILES["amoy-like"].habits.fees == AMOY.habits.fees
    assert PROFILES["embedded"].habits.fees == FREE

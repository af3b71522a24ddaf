"""Transactions signed here are, byte for byte, those of a wallet library."""

from __future__ import annotations

import subprocess
import sys

import rlp
from eth_account import Account as Signer
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.ids import Account
from p2pfd.settlement.accounts import ORDER
from p2pfd.settlement.wallet import encoded, sign_hash, sign_transaction

PRIVATE = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
SMALL = st.integers(0, 2**64 - 1)
ITEMS = st.recursive(st.binary(max_size=300) | st.integers(0, 2**256), lambda inner: st.lists(inner, max_size=4))


@given(
    private=PRIVATE,
    chain_id=st.sampled_from([31_337, 1_337, 80_002]),
    nonce=SMALL,
    tip=SMALL,
    fee=st.integers(0, 2**128),
    gas=SMALL,
    target=st.none() | st.binary(min_size=20, max_size=20),
    data=st.binary(max_size=400),
)
def test_a_transaction_is_the_librarys(private, chain_id, nonce, tip, fee, gas, target, data):
    who = None if target is None else Account("0x" + target.hex())
    transaction = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "to": "" if who is None else to_checksum_address(who),
        "value": 0,
        "data": data,
        "gas": gas,
        "maxFeePerGas": max(fee, tip),
        "maxPriorityFeePerGas": tip,
    }
    theirs = bytes(Signer.sign_transaction(transaction, private).raw_transaction)
    named = {"chain_id": chain_id, "nonce": nonce, "tip": tip, "fee": max(fee, tip), "gas": gas}
    assert sign_transaction(private, **named, target=who, data=data) == theirs


@given(private=PRIVATE, digest=st.binary(min_size=32, max_size=32))
def test_a_signature_over_a_hash_is_the_librarys(private, digest):
    theirs = Signer.unsafe_sign_hash(digest, private)
    assert sign_hash(private, digest) == (theirs.v - 27, theirs.r, theirs.s)


@given(ITEMS)
def test_prefixes_are_those_that_chains_read(item):
    assert encoded(item) == rlp.encode(item)


def test_a_node_starts_without_the_library():
    code = "import sys, p2pfd.settlement.profiles; sys.exit('eth_account' in sys.modules or 'py_ecc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0

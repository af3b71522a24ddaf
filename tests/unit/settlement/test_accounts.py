"""Chain accounts: addresses and EIP-191 signatures, against known answers and against another implementation."""

from __future__ import annotations

import hashlib

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_defunct

from p2pfd.core.ids import Account
from p2pfd.errors import DecodeError
from p2pfd.settlement.accounts import ORDER, AccountKey, recover

KEY = AccountKey(hashlib.sha256(b"a test's account").digest())
MESSAGES = [b"", b"m", b"x" * 9, b"x" * 10, bytes(range(256)), b"\x19Ethereum Signed Message:\n", "żółw".encode()]


def test_well_known_accounts() -> None:
    one = AccountKey((1).to_bytes(32, "big"))
    first_of_the_test_mnemonic = AccountKey(
        bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
    )
    assert one.account == "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
    assert first_of_the_test_mnemonic.account == "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"


@pytest.mark.parametrize("message", MESSAGES)
def test_wallets_make_the_same_signature_and_read_ours(message: bytes) -> None:
    wallet = EthAccount.from_key(KEY.private)
    assert bytes(wallet.sign_message(encode_defunct(message)).signature) == KEY.sign(message)
    assert EthAccount.recover_message(encode_defunct(message), signature=KEY.sign(message)).lower() == KEY.account
    assert recover(message, KEY.sign(message)) == KEY.account


def test_no_other_bytes_recover_the_account() -> None:
    signature = KEY.sign(b"message")
    for position in range(len(signature)):
        for bit in range(8):
            changed = bytearray(signature)
            changed[position] ^= 1 << bit
            assert _recovered(b"message", bytes(changed)) != KEY.account
    assert _recovered(b"massage", signature) != KEY.account


def _recovered(message: bytes, signature: bytes) -> Account | None:
    try:
        return recover(message, signature)
    except DecodeError:
        return None


def test_the_twin_of_a_signature_is_refused() -> None:
    signature = KEY.sign(b"message")
    s = ORDER - int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
    wallet_takes_it = EthAccount.recover_message(encode_defunct(b"message"), signature=twin)
    assert wallet_takes_it.lower() == KEY.account  # it is a valid signature elsewhere: only this rule refuses it
    with pytest.raises(DecodeError, match="out of range"):
        recover(b"message", twin)


@pytest.mark.parametrize("length", [0, 1, 64, 66, 1000])
def test_a_signature_has_65_bytes(length: int) -> None:
    with pytest.raises(DecodeError, match="65 bytes"):
        recover(b"message", b"\x1b" * length)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 30, 255])
def test_v_is_27_or_28(v: int) -> None:
    with pytest.raises(DecodeError, match="27 or 28"):
        recover(b"message", KEY.sign(b"message")[:64] + bytes([v]))


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (ORDER, 1), (1, ORDER), (1, ORDER // 2 + 1), (2**256 - 1, 1)])
def test_r_and_s_out_of_range(r: int, s: int) -> None:
    with pytest.raises(DecodeError, match="out of range"):
        recover(b"message", r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x1b")


def test_an_r_that_is_no_point_is_refused() -> None:
    # 5 is not the x of any point: 5³ + 7 has no square root modulo the field's prime.
    with pytest.raises(DecodeError, match="no key could have made"):
        recover(b"message", (5).to_bytes(32, "big") + (1).to_bytes(32, "big") + b"\x1b")


@pytest.mark.parametrize(
    "private",
    [b"", b"\1" * 31, b"\1" * 33, b"\0" * 32, ORDER.to_bytes(32, "big"), b"\xff" * 32],
)
def test_bytes_that_are_no_private_key(private: bytes) -> None:
    with pytest.raises(DecodeError, match="not a secp256k1 private key"):
        AccountKey(private)


def test_the_largest_key_is_a_key() -> None:
    largest = AccountKey((ORDER - 1).to_bytes(32, "big"))
    assert recover(b"m", largest.sign(b"m")) == largest.account


def test_nothing_shows_the_secret() -> None:
    shown = f"{KEY!r} {KEY}"
    assert KEY.account in shown
    assert KEY.private.hex() not in shown
    assert repr(KEY.private) not in shown

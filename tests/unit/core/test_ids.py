"""Names: base58, peer ids, accounts and digests, against known answers and another implementation."""

from __future__ import annotations

import warnings

import pytest

from p2pfd.core.ids import (
    Account,
    PeerId,
    account,
    account_bytes,
    base58_decode,
    base58_encode,
    digest,
    peer_id,
    peer_id_of,
    public_key_of,
    task_id,
)
from p2pfd.errors import DecodeError

with warnings.catch_warnings():  # the library imports deprecated parts of others
    warnings.simplefilter("ignore")
    from libp2p.crypto.ed25519 import Ed25519PublicKey
    from libp2p.peer.id import ID

# The public key of the Ed25519 example in libp2p's description of peer ids.
SPEC_KEY = bytes.fromhex("1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")
KNOWN_ED25519 = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
RSA = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("", ""),
        ("61", "2g"),
        ("626262", "a3gV"),
        ("636363", "aPEr"),
        ("73696d706c792061206c6f6e6720737472696e67", "2cFupjhnEsSn59qHXstmK2ffpLv2"),
        ("516b6fcd0f", "ABnLTmg"),
        ("10c8511e", "Rt5zm"),
        ("ecac89cad93923c02321", "EJDM8drfXA6uyA"),
        ("00000000000000000000", "1111111111"),
        ("0000287fb4cd", "11233QC4"),
    ],
)
def test_base58_known_answers(raw: str, text: str) -> None:
    assert base58_encode(bytes.fromhex(raw)) == text
    assert base58_decode(text) == bytes.fromhex(raw)


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "abc ", "é", "1\n", "\ud800"])
def test_letters_outside_base58_are_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="is not a base58 letter"):
        base58_decode(text)


def test_base58_is_bounded_before_it_is_computed() -> None:
    assert base58_decode("z" * 64)
    with pytest.raises(DecodeError, match="1000000 letters"):
        base58_decode("z" * 1_000_000)


@pytest.mark.parametrize("key", [SPEC_KEY, b"\0" * 32, b"\xff" * 32, bytes(range(32))])
def test_peer_ids_are_libp2p_s(key: bytes) -> None:
    assert public_key_of(peer_id_of(key)) == key
    assert len(peer_id_of(key)) == 52
    assert peer_id(peer_id_of(key)) == peer_id_of(key)


def test_libp2p_computes_the_same_peer_id() -> None:
    assert peer_id_of(SPEC_KEY) == ID.from_pubkey(Ed25519PublicKey.from_bytes(SPEC_KEY)).to_base58()


def test_a_published_peer_id_is_read() -> None:
    peer = peer_id(KNOWN_ED25519)
    assert peer_id_of(public_key_of(peer)) == KNOWN_ED25519
    assert ID.from_base58(KNOWN_ED25519).to_bytes()[-32:] == public_key_of(peer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        RSA,
        KNOWN_ED25519[:-1],
        KNOWN_ED25519 + "1",
        "1" + KNOWN_ED25519,
        KNOWN_ED25519[1:],
        # a CIDv1 of the same key, another spelling that libp2p knows
        "bafzaajaiaejcal72gwuz2or47oyxxn6b3rkwdmmkrxgkjxzy3rqt5kczyn7lcm3l",
    ],
)
def test_ids_of_other_kinds_are_refused(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        peer_id(text)
    assert len(str(caught.value)) < 200


def test_other_key_types_are_refused_with_that_reason() -> None:
    with pytest.raises(DecodeError, match="does not hold an Ed25519 key: p2pfd nodes use Ed25519 keys"):
        public_key_of(PeerId(RSA))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_public_key_has_32_bytes(length: int) -> None:
    with pytest.raises(DecodeError, match="32 bytes"):
        peer_id_of(b"k" * length)


def test_accounts_have_one_spelling() -> None:
    assert account("0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266") == "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert account_bytes(Account("0x" + "0" * 38 + "ff")) == b"\0" * 19 + b"\xff"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "f" * 40,
        "0x" + "f" * 39,
        "0x" + "f" * 41,
        "0X" + "f" * 40,
        "0x" + "g" * 40,
        " 0x" + "f" * 40,
        "0x" + "f" * 40 + "\n",
        "0x" + "١" * 40,  # digits, and not ours
        "0x" + "f" * 100_000,
    ],
)
def test_what_is_no_account(text: str) -> None:
    with pytest.raises(DecodeError, match="not an account") as caught:
        account(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("read", [digest, task_id])
def test_digests_have_32_bytes(read: object) -> None:
    assert callable(read)
    assert read(b"d" * 32) == b"d" * 32
    for length in (0, 31, 33):
        with pytest.raises(DecodeError, match=f"32 bytes, not {length}"):
            read(b"d" * length)

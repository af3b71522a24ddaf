"""Names of things: peers, accounts, tasks, rounds. Every one is checked where it enters the program."""

from __future__ import annotations

import re
from typing import NewType

from p2pfd.errors import DecodeError

PeerId = NewType("PeerId", str)
"""A libp2p peer id in its base58 text form."""
Account = NewType("Account", str)
"""A chain account: ``0x`` and forty lower-case hex digits. Checksummed spelling is for display only."""
TaskId = NewType("TaskId", bytes)
"""The 32-byte digest of a TaskSpec."""
RoundId = NewType("RoundId", int)
EncounterId = NewType("EncounterId", bytes)
Digest = NewType("Digest", bytes)
"""Thirty-two bytes of SHA-256."""
Amount = NewType("Amount", int)
"""Money: an integer of the token's smallest unit."""

DIGEST_BYTES = 32
MAX_ROUND = 2**32 - 1
_ACCOUNT = re.compile(r"0x[0-9a-fA-F]{40}\Z")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUE = {letter: value for value, letter in enumerate(_BASE58)}
# A libp2p Ed25519 peer id is the identity multihash of the protobuf {type: Ed25519, data: key}.
_ED25519_PREFIX = bytes([0x00, 0x24, 0x08, 0x01, 0x12, 0x20])
_ED25519_KEY_BYTES = 32
_MAX_PEER_ID_TEXT = 64


def account(text: str) -> Account:
    """The canonical spelling of an account's address."""
    if not _ACCOUNT.match(text):
        raise DecodeError(f"not an account: {text[:50]!r}", "an account is 0x and forty hex digits")
    return Account(text.lower())


def account_bytes(who: Account) -> bytes:
    """The account's twenty bytes."""
    return bytes.fromhex(who[2:])


def digest(raw: bytes) -> Digest:
    """The bytes, once they are known to be thirty-two."""
    if len(raw) != DIGEST_BYTES:
        raise DecodeError(f"a digest is {DIGEST_BYTES} bytes, not {len(raw)}")
    return Digest(raw)


def task_id(raw: bytes) -> TaskId:
    """The bytes as a task's id, once they are known to be thirty-two."""
    return TaskId(digest(raw))


def base58_encode(raw: bytes) -> str:
    """Bitcoin's base58, as libp2p spells peer ids."""
    number = int.from_bytes(raw, "big")
    letters = []
    while number:
        number, rest = divmod(number, 58)
        letters.append(_BASE58[rest])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


def base58_decode(text: str) -> bytes:
    """The inverse of `base58_encode`; the length of the text is bounded before anything is computed."""
    if len(text) > _MAX_PEER_ID_TEXT:
        raise DecodeError(f"base58 text of {len(text)} letters, at most {_MAX_PEER_ID_TEXT}")
    number = 0
    for letter in text:
        value = _VALUE.get(letter)
        if value is None:
            raise DecodeError(f"{letter!r} is not a base58 letter")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def peer_id_of(public_key: bytes) -> PeerId:
    """The libp2p peer id of an Ed25519 public key."""
    if len(public_key) != _ED25519_KEY_BYTES:
        raise DecodeError(f"an Ed25519 public key is {_ED25519_KEY_BYTES} bytes, not {len(public_key)}")
    return PeerId(base58_encode(_ED25519_PREFIX + public_key))


def public_key_of(peer: PeerId) -> bytes:
    """The Ed25519 public key inside a peer id; other key types are refused, with that reason."""
    raw = base58_decode(peer)
    if len(raw) != len(_ED25519_PREFIX) + _ED25519_KEY_BYTES or not raw.startswith(_ED25519_PREFIX):
        raise DecodeError(f"peer id {peer[:64]!r} does not hold an Ed25519 key", "p2pfd nodes use Ed25519 keys")
    return raw[len(_ED25519_PREFIX) :]


def peer_id(text: str) -> PeerId:
    """The text as a peer id, once it is known to hold an Ed25519 key."""
    public_key_of(PeerId(text))
    return PeerId(text)

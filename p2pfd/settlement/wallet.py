"""Signatures that a chain takes: of transactions with a fee of their own (EIP-1559), and over hashes.

They are made here and not by a wallet library, whose import costs every process most of a second: it brings curves
along that nobody here uses. A test holds the bytes to that library's.
"""

from __future__ import annotations

from coincurve import PrivateKey

from p2pfd.core.ids import Account, account_bytes
from p2pfd.settlement.keccak import keccak

_TYPE = b"\x02"
_SHORT, _FEW = 55, 0x80
_STRING, _LIST = 0x80, 0xC0
Item = bytes | int | list["Item"]
"""What a transaction is made of: bytes, whole numbers, and lists of these."""


def encoded(item: Item) -> bytes:
    """Recursive length prefixes: numbers are big-endian without leading zeros, and zero is nothing."""
    if isinstance(item, list):
        body = b"".join(encoded(each) for each in item)
        return _headed(_LIST, body)
    raw = item if isinstance(item, bytes) else item.to_bytes((item.bit_length() + 7) // 8, "big")
    return raw if len(raw) == 1 and raw[0] < _FEW else _headed(_STRING, raw)


def _headed(kind: int, body: bytes) -> bytes:
    if len(body) <= _SHORT:
        return bytes([kind + len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([kind + _SHORT + len(size)]) + size + body


def sign_hash(private: bytes, digest: bytes) -> tuple[int, int, int]:
    """The parity, r and s of a signature over these 32 bytes; the same bytes always give the same signature."""
    raw: bytes = PrivateKey(private).sign_recoverable(digest, hasher=None)
    return raw[64], int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big")


def sign_transaction(
    private: bytes, *, chain_id: int, nonce: int, tip: int, fee: int, gas: int, target: Account | None, data: bytes
) -> bytes:
    """A transaction that calls a target, or makes a contract where there is none; it carries no coins."""
    to = b"" if target is None else account_bytes(target)
    fields: list[Item] = [chain_id, nonce, tip, fee, gas, to, 0, data, []]
    digest: bytes = keccak(_TYPE + encoded(fields))
    parity, r, s = sign_hash(private, digest)
    return _TYPE + encoded([*fields, parity, r, s])

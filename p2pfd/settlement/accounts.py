"""Chain accounts: secp256k1 keys, and signatures over bytes as wallets make them (EIP-191 personal messages)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from coincurve import PrivateKey, PublicKey

from p2pfd.core.ids import Account, account
from p2pfd.errors import DecodeError
from p2pfd.settlement.keccak import keccak

KEY_BYTES = 32
SIGNATURE_BYTES = 65
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""The number of points of secp256k1; private keys lie strictly between zero and it."""
_PREFIX = b"\x19Ethereum Signed Message:\n"
_FIRST_V = 27


@dataclass(frozen=True)
class AccountKey:
    """The private key of a chain account. Whoever holds it can spend what the account owns."""

    private: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.private) != KEY_BYTES or not 0 < int.from_bytes(self.private, "big") < ORDER:
            raise DecodeError("not a secp256k1 private key", f"it is {KEY_BYTES} bytes, not zero and below the order")

    def __repr__(self) -> str:
        return f"AccountKey(account={self.account!r})"

    @cached_property
    def account(self) -> Account:
        """The account that this key signs for."""
        return account_of(PrivateKey(self.private).public_key)

    def sign(self, message: bytes) -> bytes:
        """The 65 bytes r, s, v of an EIP-191 signature; the same message always gives the same bytes."""
        raw: bytes = PrivateKey(self.private).sign_recoverable(personal_hash(message), hasher=None)
        return raw[:64] + bytes([raw[64] + _FIRST_V])


def personal_hash(message: bytes) -> bytes:
    """The 32 bytes that a wallet signs for a message (EIP-191, version 0x45)."""
    return keccak(_PREFIX + str(len(message)).encode() + message)


def recover(message: bytes, signature: bytes) -> Account:
    """The account that signed; DecodeError for bytes that no honest signer writes.

    Each signature has a twin with the other ``s`` and the other ``v``. Only the lower one is taken, so that nobody can
    make a second valid signature out of one that was seen.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise DecodeError(f"an account's signature is {SIGNATURE_BYTES} bytes, not {len(signature)}")
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if v not in (_FIRST_V, _FIRST_V + 1):
        raise DecodeError(f"an account's signature ends in 27 or 28, not {v}")
    if not 0 < r < ORDER or not 0 < s <= ORDER // 2:
        raise DecodeError("r or s of an account's signature is out of range")
    compact = signature[:64] + bytes([v - _FIRST_V])
    try:
        return account_of(PublicKey.from_signature_and_message(compact, personal_hash(message), hasher=None))
    except Exception as error:  # the library raises plain Exception where no key fits
        raise DecodeError("an account's signature that no key could have made") from error


def account_of(public: PublicKey) -> Account:
    """The account of a key."""
    return account("0x" + keccak(public.format(compressed=False)[1:])[-20:].hex())

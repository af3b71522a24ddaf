"""Signatures of digests in two words, r and vs, as EIP-2098 has them: contracts store and read them so."""

from __future__ import annotations

from coincurve import PrivateKey, PublicKey

from p2pfd.core.ids import Account
from p2pfd.settlement.accounts import ORDER, AccountKey, account_of

_WORD_BYTES = 32
_PARITY = 1 << 255
"""The bit of vs that says which of the two points with this r is meant."""


def sign(key: AccountKey, digest: bytes) -> tuple[int, int]:
    """The signature of a digest, always the same one, with the lower s."""
    raw: bytes = PrivateKey(key.private).sign_recoverable(digest, hasher=None)
    return int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big") | (_PARITY if raw[64] else 0)


def signer(digest: bytes, r: int, vs: int) -> Account | None:
    """Who signed a digest; None where nobody can have, or where it is the twin of another signature."""
    odd, s = divmod(vs, _PARITY)
    if not (0 < r < ORDER and 0 < s <= ORDER // 2 and odd < 2):
        return None
    raw = r.to_bytes(_WORD_BYTES, "big") + s.to_bytes(_WORD_BYTES, "big") + bytes([odd])
    try:
        public = PublicKey.from_signature_and_message(raw, digest, hasher=None)
    except Exception:  # noqa: BLE001 - the library raises plain Exception where no key fits
        return None
    return account_of(public)

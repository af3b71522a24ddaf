"""Account keys as other wallets keep them: the version 3 key file, a JSON object that a passphrase opens.

A file from elsewhere says itself how much memory and time its passphrase costs, so that is checked before it is spent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2pfd.core.ids import Account, account
from p2pfd.errors import DecodeError, P2pfdError
from p2pfd.settlement.accounts import KEY_BYTES, AccountKey

STANDARD_WORK = 2**18
"""The work factor of scrypt that the standard proposes; with it, opening a file takes 256 MiB."""
MAX_SCRYPT_BYTES = 2**30
MAX_SCRYPT_STEPS = 2**24
MAX_ROUNDS = 10_000_000
MAX_SALT_BYTES = 64
_MOST_WAYS = 64


class WrongPassphrase(P2pfdError):  # noqa: N818 - it is what happened, and callers say what to do
    """The passphrase does not open the file."""


def encrypt(key: AccountKey, passphrase: str, *, work: int = STANDARD_WORK) -> dict[str, Any]:
    """The key file of a key, as a value that can be written as JSON."""
    import eth_keyfile  # with it come curves that no other command needs, and a third of a second

    made: dict[str, Any] = eth_keyfile.create_keyfile_json(
        key.private, passphrase.encode(), version=3, kdf="scrypt", iterations=work, salt_size=32
    )
    return {**made, "address": key.account.removeprefix("0x")}


def decrypt(value: object, passphrase: str) -> AccountKey:
    """The key in a key file; `WrongPassphrase`, or DecodeError for a value that is no key file."""
    import eth_keyfile

    held = check(value)
    try:
        private = eth_keyfile.decode_keyfile_json(held, passphrase.encode())
    except ValueError:
        raise WrongPassphrase("the passphrase is wrong") from None
    key = AccountKey(private)
    if "address" in held and address_of(held) != key.account:
        raise DecodeError("its key belongs to another address than it says")
    return key


def address_of(value: Mapping[str, Any]) -> Account:
    """The account that a checked key file says it is for; some wallets leave it out."""
    text = value.get("address")
    if not isinstance(text, str):
        raise DecodeError("it does not say whose key it holds")
    return account("0x" + text.lower().removeprefix("0x"))


def check(value: object) -> dict[str, Any]:
    """The key file with its names in lower case; DecodeError for what none is, or one that would cost too much."""
    held = _named(value, "the file")
    if held.get("version") != 3:
        raise DecodeError("it is not a key file of version 3", "export it from the wallet as a JSON key file")
    crypto = _named(held.get("crypto"), "crypto")
    held["crypto"] = crypto
    if crypto.get("cipher") != "aes-128-ctr":
        raise DecodeError("its cipher is not aes-128-ctr, the one of version 3")
    parameters = _named(crypto.get("cipherparams"), "cipherparams")
    crypto["cipherparams"] = parameters
    check_hex(parameters.get("iv"), "iv", 1, 16)
    check_hex(crypto.get("ciphertext"), "ciphertext", KEY_BYTES, KEY_BYTES)
    check_hex(crypto.get("mac"), "mac", 32, 32)
    work = _named(crypto.get("kdfparams"), "kdfparams")
    crypto["kdfparams"] = work
    check_hex(work.get("salt"), "salt", 1, MAX_SALT_BYTES)
    if _number(work, "dklen") != 32:
        raise DecodeError("its dklen is not 32")
    match crypto.get("kdf"):
        case "scrypt":
            _affordable(_number(work, "n"), _number(work, "r"), _number(work, "p"))
        case "pbkdf2":
            if work.get("prf") != "hmac-sha256":
                raise DecodeError("its prf is not hmac-sha256")
            if not 1 <= _number(work, "c") <= MAX_ROUNDS:
                raise DecodeError(f"its passphrase would take more than {MAX_ROUNDS:,} rounds")
        case _:
            raise DecodeError("its passphrase is stretched neither with scrypt nor with pbkdf2")
    return held


def _affordable(n: int, r: int, p: int) -> None:
    if n < 2 or n & (n - 1) or r < 1 or not 1 <= p <= _MOST_WAYS:
        raise DecodeError("its scrypt parameters are not possible")
    if 128 * n * r > MAX_SCRYPT_BYTES or n * r * p > MAX_SCRYPT_STEPS:
        raise DecodeError(f"its passphrase would take more than {MAX_SCRYPT_BYTES >> 20} MiB, or too long")


def _named(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise DecodeError(f"{where} is not a table of names and values")
    return {name.lower(): held for name, held in value.items()}  # the oldest wallets write "Crypto"


def _number(table: Mapping[str, Any], name: str) -> int:
    value = table.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DecodeError(f"its {name} is not a whole number")
    return value


def check_hex(value: object, name: str, low: int, high: int) -> None:
    """DecodeError unless the value is hexadecimal text of so many bytes."""
    try:
        raw = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) and value.isascii() else b""
    except ValueError:
        raw = b""
    if not low <= len(raw) <= high or not isinstance(value, str) or len(value.removeprefix("0x")) != 2 * len(raw):
        wanted = f"{low}" if low == high else f"{low} to {high}"
        raise DecodeError(f"its {name} is not {wanted} bytes of hexadecimal text")

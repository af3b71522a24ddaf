"""What a chain's JSON says, read as what it should be; ChainError for anything else.

An endpoint may be another server altogether, an overloaded one, or one that lies. Nothing of what it says is used
before it has gone through here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from p2pfd.core.ids import Account, account
from p2pfd.errors import ChainError

_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,64}")
_OCTETS = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_SHOWN = 60
_HEIGHT_BITS = 62
HASH_BYTES = 32


def number(value: object, what: str) -> int:
    """A quantity: hexadecimal, of at most 256 bits."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value) is None:
        raise wrong(what, value)
    return int(value, 16)


def height(value: object, what: str = "a block's number") -> int:
    """A quantity that counts something: blocks, transactions, gas. It fits into any database."""
    found = number(value, what)
    if found.bit_length() > _HEIGHT_BITS:
        raise wrong(what, value)
    return found


def octets(value: object, what: str, size: int | None = None) -> bytes:
    """Bytes in hexadecimal, of this length if one is given."""
    if not isinstance(value, str) or _OCTETS.fullmatch(value) is None:
        raise wrong(what, value)
    found = bytes.fromhex(value[2:])
    if size is not None and len(found) != size:
        raise wrong(what, value)
    return found


def digest(value: object, what: str) -> bytes:
    """A hash."""
    return octets(value, what, HASH_BYTES)


def address(value: object, what: str) -> Account:
    """An account or a contract."""
    return account("0x" + octets(value, what, 20).hex())


def record(value: object, what: str) -> Mapping[str, Any]:
    """An object with named fields."""
    if not isinstance(value, dict):
        raise wrong(what, value)
    return value


def listed(value: object, what: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise wrong(what, value)
    return value


def wrong(what: str, value: object) -> ChainError:
    """The error for an answer that is not what it should be."""
    if isinstance(value, (str, bytes, bool, float, type(None))):
        shown = repr(value[:_SHOWN] if isinstance(value, (str, bytes)) else value)
    else:
        shown = f"a value of type {type(value).__name__}"
    return ChainError(f"the chain answered {shown} where {what} belongs", "is this the address of a chain?")

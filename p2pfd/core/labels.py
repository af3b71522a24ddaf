"""Labels as they are committed to, paid and stored: four bits a sample, sixty-four samples to a 256-bit word.

Sample ``k`` sits in bits ``4·(k mod 64)`` of word ``k div 64``, words big-endian, unused places hold fifteen: so up to
fifteen classes fit, and a contract reads the same words that a node hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from p2pfd.core.ids import DIGEST_BYTES, Account, Digest, RoundId, TaskId, account_bytes
from p2pfd.errors import DecodeError

PER_WORD = 64
WORD_BYTES = 32
MAX_CLASSES = 15
BLANK = 15
SALT_BYTES = 32
_DOMAIN = b"p2pfd-labels-1".ljust(32, b"\0")
# A word's hexadecimal digits are its nibbles, most significant first: reading and writing them is one translation.
_DIGITS = b"0123456789abcdef"
_TO_DIGIT = bytes(_DIGITS[value] if value < len(_DIGITS) else 0 for value in range(256))
_ALL_VALUES = bytes(range(16))
_TO_VALUE = bytes(_DIGITS.index(letter) if letter in _DIGITS else 0 for letter in range(256))


def packed_size(samples: int) -> int:
    """How many bytes so many labels take."""
    return -(-samples // PER_WORD) * WORD_BYTES


def pack(labels: bytes) -> bytes:
    """One byte a label in, whole words out."""
    if labels and max(labels) >= MAX_CLASSES:
        raise ValueError(f"label {max(labels)}: only {MAX_CLASSES} classes fit in four bits")
    digits = (labels + bytes([BLANK]) * (-len(labels) % PER_WORD)).translate(_TO_DIGIT).decode()
    return b"".join(bytes.fromhex(digits[at : at + PER_WORD][::-1]) for at in range(0, len(digits), PER_WORD))


def unpack(packed: bytes, samples: int, classes: int) -> bytes:
    """One byte a label; a wrong length, a label that is no class and a used padding are refused."""
    if len(packed) != packed_size(samples):
        raise DecodeError(f"{len(packed)} bytes of labels, {packed_size(samples)} expected for {samples} samples")
    digits = packed.hex()
    if len(digits) == PER_WORD:
        places = digits[::-1]
    else:
        places = "".join(digits[at : at + PER_WORD][::-1] for at in range(0, len(digits), PER_WORD))
    values = places.encode().translate(_TO_VALUE)
    labels = values[:samples]
    if values.count(BLANK, samples) != len(values) - samples:
        raise DecodeError("labels stand behind the last sample")
    if labels.strip(_ALL_VALUES[:classes]):  # what is left begins with a label that is no class
        raise DecodeError(f"label {max(labels)} is not one of {classes} classes")
    return labels


def commitment(task: TaskId, rnd: RoundId, who: Account, salt: bytes, packed: bytes) -> Digest:
    """What binds an account to its labels of a round; contracts and nodes compute the same 32 bytes."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt is {SALT_BYTES} bytes, not {len(salt)}")
    if len(task) != DIGEST_BYTES:
        raise ValueError(f"a task's id is {DIGEST_BYTES} bytes, not {len(task)}")
    bound = b"".join((_DOMAIN, task, rnd.to_bytes(32, "big"), _word(who), salt, packed))
    return Digest(hashlib.sha256(bound).digest())


@dataclass(frozen=True, slots=True)
class Opened:
    """What somebody is bound to who shows this, and the labels; where they are none, why."""

    commitment: Digest
    labels: bytes
    wrong: str = ""


Opener = Callable[[TaskId, RoundId, Account, bytes, bytes, int, int], Opened]
"""Opens labels of a task, a round and an account: a salt and packed labels, for so many samples and classes."""


def opened(task: TaskId, rnd: RoundId, who: Account, salt: bytes, packed: bytes, samples: int, classes: int) -> Opened:
    """What an account shows in a round."""
    bound = commitment(task, rnd, who, salt, packed)
    try:
        return Opened(bound, unpack(packed, samples, classes))
    except DecodeError as error:
        return Opened(bound, b"", error.what)


@lru_cache(maxsize=4096)
def _word(who: Account) -> bytes:
    """An account as an EVM word; the same few accounts come again and again."""
    return account_bytes(who).rjust(32, b"\0")

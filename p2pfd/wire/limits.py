"""How large things from peers may be. Each limit is checked before anything is decoded.

A limit is the size of the largest valid thing: more would only give an attacker room. It is part of the wire format: a
change to one is a change of version.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from p2pfd.core.ids import DIGEST_BYTES
from p2pfd.core.labels import SALT_BYTES, WORD_BYTES, packed_size
from p2pfd.core.spec import MAX_PUBLIC

PEER_SIGNATURE_BYTES = 64
"""Ed25519."""
ACCOUNT_SIGNATURE_BYTES = 65
"""secp256k1: r, s and v."""
PAPER_SIGNATURE_BYTES = 64
"""secp256k1 under an encounter's paper: r, and s with the recovery bit on top, as in EIP-2098."""
MAX_TOLERANCE = 2**32 - 1
"""What the check-in of an encounter holds, in millionths."""
PEER_TEXT = 52
"""Every Ed25519 peer id has as many letters: its 38 bytes begin alike."""
ACCOUNT_TEXT = 42
MAX_LABEL_BYTES = packed_size(MAX_PUBLIC)
"""A task has at most `MAX_PUBLIC` public samples, at four bits each."""
MIN_LABEL_BYTES = WORD_BYTES
"""A task has at least one public sample, and labels come in whole words."""
MAX_SEQ = 2**63 - 1
"""A node keeps the numbers it has seen in a database whose integers have 64 bits and a sign."""

MAX_WHEREABOUTS = 512
"""Four addresses of the longest kind."""
MAX_OFFERED = 64 * 2**20
"""No contribution is larger: it has to be held in memory by everyone who merges it."""

_NAME = 1
_ROUND = _NAME + len("round") + 5  # 32 bits
_BYTES_HEADER = 2  # up to 255 bytes
_LONG_BYTES_HEADER = 3  # up to 65,535 bytes


def _kind(name: str) -> int:
    return 1 + _NAME + len(name) + 1  # a list of two, the kind's name, a map


def _bytes(name: str, count: int) -> int:
    return _NAME + len(name) + _BYTES_HEADER + count


def _number(name: str) -> int:
    return _NAME + len(name) + 5  # up to 32 bits


def _place(name: str) -> int:
    return _NAME + len(name) + 1  # a seat of a committee


_PAPER = _bytes("signature", PAPER_SIGNATURE_BYTES)

MESSAGE_LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "agree": _kind("agree") + _bytes("name", DIGEST_BYTES) + _bytes("salt", SALT_BYTES) + _PAPER,
        "bind": (
            _kind("bind")
            + _bytes("result", DIGEST_BYTES)
            + _place("place")
            + _bytes("commitment", DIGEST_BYTES)
            + _PAPER
        ),
        "brief": (
            _kind("brief")
            + _bytes("learner", ACCOUNT_TEXT)
            + _bytes("neighbor", ACCOUNT_TEXT)
            + _bytes("terms", WORD_BYTES)
            + _bytes("before", DIGEST_BYTES)
            + _number("size")
            + _number("tolerance")
            + _bytes("learner_salt", SALT_BYTES)
            + _bytes("neighbor_salt", SALT_BYTES)
        ),
        "deliver": (
            _kind("deliver") + _bytes("name", DIGEST_BYTES) + _bytes("after", DIGEST_BYTES) + _number("size") + _PAPER
        ),
        "propose": (
            _kind("propose")
            + _bytes("terms", WORD_BYTES)
            + _bytes("before", DIGEST_BYTES)
            + _number("size")
            + _number("tolerance")
            + _bytes("salt", SALT_BYTES)
        ),
        "show": (
            _kind("show") + _bytes("result", DIGEST_BYTES) + _place("place") + _bytes("opening", WORD_BYTES) + _PAPER
        ),
        "commit": (_kind("commit") + _ROUND + _bytes("commitment", DIGEST_BYTES) + _bytes("student", DIGEST_BYTES)),
        "hello": (
            _kind("hello")
            + (_NAME + len("account") + _BYTES_HEADER + ACCOUNT_TEXT)
            + (_NAME + len("by_account") + _BYTES_HEADER + ACCOUNT_SIGNATURE_BYTES)
            + (_NAME + len("by_peer") + _BYTES_HEADER + PEER_SIGNATURE_BYTES)
            + (_NAME + len("peer") + _BYTES_HEADER + PEER_TEXT)
        ),
        "offer": (
            _kind("offer") + (_NAME + len("blob") + _BYTES_HEADER + DIGEST_BYTES) + _ROUND + (_NAME + len("size") + 5)
        ),
        "reveal": (
            _kind("reveal")
            + (_NAME + len("labels") + _LONG_BYTES_HEADER + MAX_LABEL_BYTES)
            + _ROUND
            + (_NAME + len("salt") + _BYTES_HEADER + SALT_BYTES)
        ),
        "whereabouts": _kind("whereabouts") + (_NAME + len("addresses") + _LONG_BYTES_HEADER + MAX_WHEREABOUTS),
    }
)
"""The largest encoding of each kind of message, in bytes."""

MAX_MESSAGE = max(MESSAGE_LIMITS.values())

MAX_ENVELOPE = (
    1  # the version
    + 1  # a list
    + 9  # the sequence number
    + (_LONG_BYTES_HEADER + MAX_MESSAGE)
    + (_BYTES_HEADER + PEER_SIGNATURE_BYTES)
)
"""The largest envelope of the largest message, in bytes: what a topic's frames need to hold."""

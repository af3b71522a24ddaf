"""Changes to valid messages that still look like messages: what blind changes to bytes hardly ever find."""

from __future__ import annotations

import hashlib
from functools import cache
from random import Random
from typing import Any

import msgpack

from p2pfd.core import canonical
from p2pfd.core.ids import Account, Digest, PeerId, RoundId, TaskId
from p2pfd.wire import codec, envelope
from p2pfd.wire.messages import (
    Agree,
    Bind,
    Brief,
    Commit,
    Deliver,
    Hello,
    Message,
    Offer,
    Propose,
    Reveal,
    Show,
    Whereabouts,
)

TASK = TaskId(hashlib.sha256(b"the fuzzer's task").digest())
PEER = PeerId("12D3KooWDaBG8xBmhKNJtSn78g9pq8fcubExgzJ6iGS9ranTLQ9Y")
ACCOUNT = Account("0x43f5c1e413042a3e5aa61106074e2ec7a10ab0c5")
INTERESTING: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    127,
    128,
    -32,
    -33,
    2**31,
    2**32 - 1,
    2**32,
    2**63 - 1,
    2**63,
    2**64 - 1,
    0.0,
    float("nan"),
    "",
    "0x" + "A" * 40,
    "1" * 52,
    "é",
    b"",
    b"\0" * 31,
    b"\0" * 32,
    b"\0" * 33,
    b"\0" * 64,
    b"\0" * 65,
    b"\xff" * 512,
    b"\xff" * 513,
    [],
    {},
    [[[[]]]],
    {"": {}},
    msgpack.ExtType(1, b"\1" + b"\0" * 8),
    msgpack.ExtType(1, b"\0"),
    msgpack.Timestamp(1),
    msgpack.ExtType(5, b""),
)


def sign(message: bytes) -> bytes:
    """Stands for a key: 64 bytes that depend on the message, at a hundredth of a signature's cost."""
    return hashlib.blake2b(message).digest()


def verify(_: PeerId, message: bytes, signature: bytes) -> bool:
    return signature == sign(message)


def messages() -> list[Message]:
    """One of each kind, and the smallest and the largest reveal."""
    digest = Digest(hashlib.sha256(b"a digest").digest())
    return [
        Hello(PEER, ACCOUNT, b"p" * 64, b"a" * 65),
        Commit(RoundId(0), digest),
        Commit(RoundId(2**32 - 1), digest, digest),
        Offer(RoundId(7), digest, 2**20),
        Whereabouts(f"/ip4/10.0.0.1/tcp/4001/p2p/{PEER} /dns4/a.example/tcp/1/p2p/{PEER}"),
        Propose(b"t" * 32, digest, 2**20, 10_000, b"s" * 32),
        Agree(digest, b"s" * 32, b"g" * 64),
        Brief(ACCOUNT, ACCOUNT, b"t" * 32, digest, 1, 2**32 - 1, b"s" * 32, b"r" * 32),
        Deliver(digest, digest, 2**26, b"g" * 64),
        Bind(digest, 0, digest, b"g" * 64),
        Show(digest, 6, b"o" * 32, b"g" * 64),
        Reveal(RoundId(1), b"s" * 32, b"\x10" * 32),
        Reveal(RoundId(2**16), b"s" * 32, b"\x10" * 4096),
    ]


@cache
def seeds() -> tuple[bytes, ...]:
    """Valid messages and envelopes."""
    bodies = [codec.encode(message) for message in messages()]
    return *bodies, *(envelope.seal(message, TASK, 7, PEER, sign) for message in messages())


def mutate(raw: bytes, rng: Random) -> bytes:
    """Something near these bytes, or near a valid message when they are no msgpack at all."""
    front = raw[:1] if raw[:1] == bytes([envelope.VERSION]) else b""
    try:
        value = msgpack.unpackb(raw[len(front) :], strict_map_key=False)
    except Exception:  # noqa: BLE001 - general msgpack gives up in many ways, and every one of them means the same here
        return rng.choice(seeds())
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = _changed(value, rng)
    if front and isinstance(value, list) and len(value) == 3:
        value = _signed_again(value, rng)
    return front + _packed(value, rng)


def _packed(value: Any, rng: Random) -> bytes:
    try:
        if rng.random() < 0.8:
            return canonical.encode(value)
        return bytes(msgpack.packb(value))
    except (TypeError, ValueError, OverflowError):
        return bytes(msgpack.packb(value, default=repr, unicode_errors="surrogatepass"))


def _signed_again(value: list[Any], rng: Random) -> list[Any]:
    """Mostly: so that changes get past the signature."""
    seq, body, signature = value
    if rng.random() < 0.5 and isinstance(body, bytes):
        body = mutate(body, rng)
    try:
        signed = envelope.signed_bytes(TASK, PEER, seq, body)
    except (TypeError, ValueError):
        return value
    return [seq, body, sign(signed) if rng.random() < 0.9 else signature]


def _changed(value: Any, rng: Random) -> Any:
    """The value with one thing in it different."""
    if rng.random() < 0.1:
        return rng.choice(INTERESTING)
    match value:
        case dict() if value:
            return _changed_map(value, rng)
        case list() if value:
            at = rng.randrange(len(value))
            kinds = rng.random()
            if kinds < 0.1:
                return value[:at] + value[at + 1 :]
            if kinds < 0.2:
                return [*value, rng.choice(INTERESTING)]
            return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
        case bool() | None | float():
            return rng.choice(INTERESTING)
        case int():
            return max(-(2**63), min(2**64 - 1, value + rng.choice((-1, 1, 2**8, 2**32, -(2**31), value))))
        case str():
            return _changed_bytes(value.encode(errors="replace"), rng).decode(errors="replace")
        case bytes():
            return _changed_bytes(value, rng)
    return rng.choice(INTERESTING)


def _changed_map(value: dict[Any, Any], rng: Random) -> dict[Any, Any]:
    key = rng.choice(list(value))
    kinds = rng.random()
    if kinds < 0.1:
        return {other: held for other, held in value.items() if other != key}
    if kinds < 0.2:
        return {**value, rng.choice(("", "round", "peer", "zzz", 7)): rng.choice(INTERESTING)}
    if kinds < 0.25:
        return {other: value[other] for other in rng.sample(list(value), len(value))}
    return {**value, key: _changed(value[key], rng)}


def _changed_bytes(value: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(value) + 1)
    match rng.randrange(4):
        case 0:
            return value[:at] + value[at + rng.choice((1, 32)) :]
        case 1:
            return value[:at] + rng.randbytes(rng.choice((1, 32))) + value[at:]
        case 2:
            return value[:at] + rng.randbytes(1) + value[at + 1 :]
    return value * 2

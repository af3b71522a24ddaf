"""Envelopes right and wrong: the JavaScript peer and p2pfd must think the same of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from p2pfd.core import canonical
from p2pfd.core.canonical import Plain
from p2pfd.core.ids import Digest, RoundId, TaskId
from p2pfd.core.verdict import ACCEPT
from p2pfd.errors import DecodeError
from p2pfd.settlement.accounts import ORDER
from p2pfd.wire.codec import encode
from p2pfd.wire.envelope import judge, seal, signed_bytes
from p2pfd.wire.messages import Commit, Hello, Message, Reveal
from p2pfd.wire.vouch import vouch

from .js import js_peer
from .nodes import FAR, JS, NEAR, TASK, opened

pytestmark = pytest.mark.network

OTHER = TaskId(b"\7" * 32)
LAST = RoundId(2**32 - 1)
HELLO = vouch(TASK, NEAR)
MESSAGES: tuple[Message, ...] = (
    HELLO,
    Commit(RoundId(0), Digest(b"\xcc" * 32)),
    Commit(RoundId(70_000), Digest(b"\xcc" * 32), b"\xee" * 32),
    Reveal(LAST, b"\x5a" * 32, bytes(4096)),
)
Held = dict[str, Plain]
_NONE = b"\xa7student\xc4\x00"


def sealed(message: Message, seq: int = 5, task: TaskId = TASK) -> bytes:
    return seal(message, task, seq, NEAR.peer, NEAR.sign)


def signed(body: bytes, **other: Plain) -> bytes:
    """An envelope with a right signature over whatever it holds, of this task unless another is named."""
    held: Held = {"seq": 5, "body": body, **other}
    task = held.pop("task", TASK)
    words: list[Plain] = ["p2pfd-envelope", 2, task, NEAR.peer, held["seq"], body]
    held["signature"] = held.pop("signature", None) or NEAR.sign(canonical.encode(words))
    return b"\2" + canonical.encode([held.pop(name) for name in ("seq", "body", "signature")] + [*held.values()])


def valid() -> Iterator[bytes]:
    for message in MESSAGES:
        for seq in (0, 127, 128, 2**32, 2**53 + 1, 2**63 - 1):
            yield sealed(message, seq)
    for rnd in (127, 128, 255, 256, 65_535, 65_536):
        yield sealed(Commit(RoundId(rnd), Digest(bytes(32))))


def flipped() -> Iterator[bytes]:
    """Every byte of a message and its envelope changed, left out, and said twice."""
    for message in MESSAGES[:2]:
        raw = sealed(message)
        for at in range(len(raw)):
            yield raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
            yield raw[:at] + bytes([raw[at] ^ 0x80]) + raw[at + 1 :]
            yield raw[:at] + raw[at + 1 :]
            yield raw[: at + 1] + raw[at:]
            yield raw[:at]


def signed_but_wrong() -> Iterator[bytes]:
    """Bodies that mean nothing, and fields that no envelope has."""
    commit: Held = {"round": 3, "commitment": bytes(32), "student": b""}
    fields: list[Held] = [
        {"commitment": bytes(32)},
        {"commitment": bytes(32), "round": 3},
        {**commit, "more": 1},
        {**commit, "__proto__": None},
        *({**commit, "round": wrong} for wrong in (-1, 2**32, 2**64, -(2**100), None, True, "3", b"3", [3], {"a": 3})),
        *({**commit, "commitment": wrong} for wrong in (bytes(31), bytes(33), "x" * 32, None, 0)),
        *({**commit, "student": wrong} for wrong in (bytes(1), bytes(31), bytes(33), bytes(64), "", None, 0)),
    ]
    for held in fields:
        yield signed(canonical.encode(["commit", held]))
    yield signed(canonical.encode(["commit", commit, 3]))
    yield signed(canonical.encode(["commit", [3, bytes(32)]]))
    yield signed(canonical.encode(["vote", commit]))
    yield signed(canonical.encode(commit))
    yield signed(encode(MESSAGES[1]) + b"\0")
    yield signed(b"")
    yield signed(encode(MESSAGES[1]).replace(b"\xa5round\x00", b"\xa5round\xcc\x00"))
    yield signed(encode(MESSAGES[1]).replace(b"\xa5round\x00", b"\xd9\x05round\x00"))
    yield signed(encode(MESSAGES[1]).replace(b"\xa5round\x00", b"\xa5round\xca\0\0\0\0"))
    yield signed(b"\x92\xa6commit\x83\xa5round\x03\xaacommitment\xc4\x20" + bytes(32) + _NONE)  # in another order
    yield signed(b"\x92\xa6commit\x84\xaacommitment\xc4\x20" + bytes(32) + 2 * b"\xa5round\x03" + _NONE)  # said twice
    yield signed(b"\x92\xa6commit\x83\xaacommitment\xc4\x20" + bytes(32) + b"\xa5roun\xff\x03" + _NONE)  # no UTF-8
    yield signed(b"\x92\xa6commit" + 20 * b"\x91" + b"\xc0")
    yield signed(b"\x92\xa6commit\xdf\xff\xff\xff\xff")
    yield signed(b"\x92\xa6commit\xc6\xff\xff\xff\xff")
    for labels in (b"", bytes(31), bytes(33), bytes(4128)):
        yield signed(canonical.encode(["reveal", {"round": 3, "salt": bytes(32), "labels": labels}]))
    body = encode(MESSAGES[1])
    for seq in (-1, 2**63, 2**64, None, "5"):
        yield signed(body, seq=seq)
    yield seal(MESSAGES[1], TASK, 5, FAR.peer, FAR.sign)
    yield signed(body, signature=bytes(64))
    yield signed(body, signature=bytes(63))
    yield signed(body, more=1)
    yield signed(bytes(4166))
    yield signed(body, task=OTHER)
    yield b"\2" + canonical.encode({"body": body, "seq": 5, "signature": bytes(64)})
    yield b"\2" + canonical.encode([5, body])


def hellos() -> Iterator[bytes]:
    """Hellos of which one half is wrong, and one of two that prove the same."""
    r, s, v = HELLO.by_account[:32], int.from_bytes(HELLO.by_account[32:64], "big"), HELLO.by_account[64]
    mirrored = (ORDER - s).to_bytes(32, "big")
    for by_account in (
        r + mirrored + bytes([55 - v]),
        r + mirrored + bytes([v]),
        *(HELLO.by_account[:64] + bytes([wrong]) for wrong in (0, 1, 26, 55 - v, 29, 255)),
        bytes(64) + bytes([v]),
        b"\xff" * 64 + bytes([v]),
        FAR.account.sign(b"something else"),
    ):
        yield sealed(Hello(NEAR.peer, HELLO.account, HELLO.by_peer, by_account))
    yield sealed(Hello(NEAR.peer, FAR.account.account, HELLO.by_peer, HELLO.by_account))
    yield sealed(Hello(NEAR.peer, HELLO.account, NEAR.sign(b"something else"), HELLO.by_account))
    yield sealed(vouch(OTHER, NEAR))
    held: Held = {name: getattr(HELLO, name) for name in ("account", "by_account", "by_peer", "peer")}
    yield signed(canonical.encode(["hello", {**held, "account": HELLO.account.upper().replace("X", "x")}]))
    yield signed(canonical.encode(["hello", {**held, "peer": FAR.peer}]))


def others() -> Iterator[bytes]:
    """Other tasks, other versions, and what is no envelope at all."""
    yield sealed(MESSAGES[1], task=OTHER)
    yield b"\3" + sealed(MESSAGES[1])[1:]
    yield b"\1" + sealed(MESSAGES[1])[1:]
    yield b"\1"
    yield b"\3"
    yield b"\xff" * 2000
    yield b"\2" * 781
    yield b""
    yield b"\2"
    yield sealed(MESSAGES[1])[1:]
    stolen = signed_bytes(TASK, NEAR.peer, 5, encode(MESSAGES[1]))
    yield signed(encode(MESSAGES[1]), signature=FAR.sign(stolen))
    yield seal(MESSAGES[1], TASK, 5, FAR.peer, FAR.sign)  # another's, published by this author


def verdict_of(raw: bytes) -> str:
    try:
        opened(raw, NEAR.peer)
    except DecodeError as error:
        return type(judge(error)).__name__.lower()
    return type(ACCEPT).__name__.lower()


async def test_both_think_the_same_of_every_envelope(node: str) -> None:
    groups = {group.__name__: list(group()) for group in (valid, flipped, signed_but_wrong, hellos, others)}
    verdicts = {name: [verdict_of(raw) for raw in raws] for name, raws in groups.items()}
    assert set(verdicts["valid"]) == {"accept"}
    assert set(verdicts["flipped"]) == {"reject", "ignore"}
    assert set(verdicts["signed_but_wrong"]) == {"reject"}
    assert set(verdicts["hellos"]) == {"reject"}
    assert set(verdicts["others"]) == {"reject", "ignore"}
    async with js_peer(node, TASK, JS) as js:
        for name, raws in groups.items():
            answer = await js.do("judge", author=NEAR.peer, envelopes=[raw.hex() for raw in raws])
            differ = {
                raw.hex(): (here, there)
                for raw, here, there in zip(raws, verdicts[name], answer["verdicts"], strict=True)
                if here != there
            }
            assert differ == {}, name

"""Messages to bytes and back: known answers, tight limits, and every refusal with its reason."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import msgpack
import pytest

from p2pfd.core import canonical
from p2pfd.core.events import Message as MessageBase
from p2pfd.core.ids import Account, Digest, PeerId, RoundId
from p2pfd.errors import DecodeError
from p2pfd.wire import codec
from p2pfd.wire.limits import MAX_MESSAGE, MESSAGE_LIMITS
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

PEER = PeerId("12D3KooWDaBG8xBmhKNJtSn78g9pq8fcubExgzJ6iGS9ranTLQ9Y")
ACCOUNT = Account("0x43f5c1e413042a3e5aa61106074e2ec7a10ab0c5")
ROUND = RoundId(2**32 - 1)
SIGNED = b"g" * 64
LARGEST: dict[str, Message] = {
    "agree": Agree(Digest(b"n" * 32), b"s" * 32, SIGNED),
    "bind": Bind(Digest(b"r" * 32), 6, Digest(b"c" * 32), SIGNED),
    "brief": Brief(ACCOUNT, ACCOUNT, b"t" * 32, Digest(b"b" * 32), 2**26, 2**32 - 1, b"l" * 32, b"n" * 32),
    "deliver": Deliver(Digest(b"n" * 32), Digest(b"a" * 32), 2**26, SIGNED),
    "propose": Propose(b"t" * 32, Digest(b"b" * 32), 2**26, 2**32 - 1, b"s" * 32),
    "show": Show(Digest(b"r" * 32), 6, b"o" * 32, SIGNED),
    "whereabouts": Whereabouts("/" + "x" * 511),
    "commit": Commit(ROUND, Digest(b"c" * 32), b"s" * 32),
    "hello": Hello(PEER, ACCOUNT, b"p" * 64, b"a" * 65),
    "offer": Offer(ROUND, Digest(b"b" * 32), 2**26),
    "reveal": Reveal(ROUND, b"s" * 32, b"\x11" * 4096),
}
KINDS = pytest.mark.parametrize("kind", LARGEST)


def _fields(kind: str) -> dict[str, Any]:
    message = LARGEST[kind]
    return {entry.name: getattr(message, entry.name) for entry in dataclasses.fields(message)}


def _refused(raw: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        codec.decode(raw)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_samples_are_the_whole_union() -> None:
    assert {type(message) for message in LARGEST.values()} == set(get_args(Message))
    assert set(LARGEST) == set(MESSAGE_LIMITS)


def test_a_known_answer() -> None:
    raw = codec.encode(Commit(RoundId(3), Digest(b"c" * 32)))
    assert raw.hex() == (
        "92"  # a list of two
        "a6636f6d6d6974"  # "commit"
        "83"  # a map of three
        "aa636f6d6d69746d656e74" + "c420" + "63" * 32 + "a5726f756e64" + "03" + "a773747564656e74" + "c400"
    )
    assert msgpack.unpackb(raw) == ["commit", {"commitment": b"c" * 32, "round": 3, "student": b""}]


@KINDS
def test_messages_survive(kind: str) -> None:
    raw = codec.encode(LARGEST[kind])
    assert codec.decode(raw) == LARGEST[kind]
    assert type(codec.decode(raw)) is type(LARGEST[kind])
    assert codec.check_size(raw) == kind


@KINDS
def test_the_limit_is_the_largest_message(kind: str) -> None:
    assert len(codec.encode(LARGEST[kind])) == MESSAGE_LIMITS[kind] <= MAX_MESSAGE


@KINDS
def test_one_byte_above_the_limit_is_refused_before_decoding(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object, **__: object) -> None:
        raise AssertionError("decoded what is too large")

    monkeypatch.setattr(canonical, "decode", touched)
    _refused(codec.encode(LARGEST[kind]) + b"\0", f"a {kind} of {MESSAGE_LIMITS[kind] + 1} bytes, at most")


@KINDS
def test_a_missing_field_is_named(kind: str) -> None:
    for name in _fields(kind):
        held = _fields(kind)
        del held[name]
        _refused(canonical.encode([kind, held]), f"{kind}: field {name!r} is missing")


def test_an_unknown_field_is_named() -> None:
    smaller: dict[str, Any] = {"round": 1, "salt": b"s" * 32, "labels": b"\0" * 32, "zeal": 1}
    _refused(canonical.encode(["reveal", smaller]), "reveal: unknown field 'zeal'")
    _refused(canonical.encode(["reveal", {**smaller, "x" * 200: 1}]), "reveal: unknown field 'xxx")


@KINDS
def test_wrong_types_are_refused(kind: str) -> None:
    odd: list[Any] = [None, True, 7, "t", b"b", [], {}, [[]]]  # short, so that they fit
    for name, good in _fields(kind).items():
        for value in odd:
            if type(value) is type(good):
                continue
            raw = canonical.encode([kind, {**_fields(kind), name: value}])
            longer = len(raw) > MESSAGE_LIMITS[kind]  # where the right one takes a single byte
            _refused(raw, f"a {kind} of" if longer else f"{kind}: field {name!r} is ")


@pytest.mark.parametrize("fields", [None, 1, "x", b"x", [], [1], True])
def test_fields_that_are_no_map(fields: Any) -> None:
    _refused(canonical.encode(["commit", fields]), "not a map")


@pytest.mark.parametrize(
    ("kind", "name", "value", "reason"),
    [
        ("commit", "round", -1, "out of range"),
        ("commit", "round", 2**32, "a commit of 111 bytes"),  # it does not even fit
        ("commit", "commitment", b"c" * 31, "has 31 bytes, not 32"),
        ("commit", "commitment", b"", "has 0 bytes, not 32"),
        ("reveal", "salt", b"s" * 31, "has 31 bytes, not 32"),
        ("reveal", "labels", b"", "has 0 bytes, not 32 to 4096"),
        ("reveal", "labels", b"x" * 33, "has 33 bytes, not a multiple of 32"),
        ("reveal", "labels", b"x" * 4128, "a reveal of 4197 bytes"),
        ("commit", "student", b"s" * 31, "has 31 bytes, not a multiple of 32"),
        ("commit", "student", b"s" * 64, "a commit of 139 bytes"),
        ("hello", "by_peer", b"p" * 63, "has 63 bytes, not 64"),
        ("agree", "signature", b"g" * 63, "has 63 bytes, not 64"),
        ("bind", "place", 7, "out of range: it lies between 0 and 6"),
        ("bind", "place", -1, "out of range"),
        ("brief", "terms", b"t" * 31, "has 31 bytes, not 32"),
        ("brief", "neighbor", "0x" + "A" * 40, "an account with capital letters"),
        ("deliver", "size", 0, "out of range"),
        ("deliver", "size", 2**26 + 1, "out of range"),
        ("propose", "tolerance", -1, "out of range"),
        ("propose", "before", b"b" * 33, "a propose of 156 bytes"),
        ("whereabouts", "addresses", "", "has 0 letters"),
        ("whereabouts", "addresses", "/" + "x" * 512, "a whereabouts of 540 bytes"),
        ("whereabouts", "addresses", "/a /a", "is no list of different addresses"),
        ("whereabouts", "addresses", "/a  /b", "is no list of different addresses"),
        ("whereabouts", "addresses", "a", "is no list of different addresses"),
        ("whereabouts", "addresses", "/ä", "is no list of different addresses"),
        ("show", "opening", b"o" * 31, "has 31 bytes, not 32"),
        ("hello", "by_account", b"a" * 64, "has 64 bytes, not 65"),
        ("hello", "account", "0x" + "A" * 40, "an account with capital letters"),
        ("hello", "account", "0x" + "g" * 40, "is not an account"),
        ("hello", "account", "", "is not an account"),
        ("hello", "peer", "", "is no peer id"),
        ("hello", "peer", "0" * 52, "is no peer id: '0' is not a base58 letter"),
        ("hello", "peer", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "does not hold an Ed25519 key"),
    ],
)
def test_values_out_of_range(kind: str, name: str, value: Any, reason: str) -> None:
    _refused(canonical.encode([kind, {**_fields(kind), name: value}]), reason)


def test_a_number_too_large_that_would_fit_is_refused() -> None:
    held: dict[str, Any] = {"round": 2**32, "salt": b"s" * 32, "labels": b"\0" * 32}
    _refused(canonical.encode(["reveal", held]), "field 'round' is out of range")


OFFER = codec.encode(Offer(RoundId(3), Digest(b"c" * 32), 3))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no kind of message"),
        (b"\x92", "no kind of message"),
        (b"\x00", "no kind of message"),
        (canonical.encode(["commit"]), "no kind of message"),
        (canonical.encode(["commit", {}, 1]), "no kind of message"),
        (canonical.encode(["Commit", {}]), "no kind of message"),
        (canonical.encode(["", {}]), "no kind of message"),
        (canonical.encode([b"commit", {}]), "no kind of message"),
        (canonical.encode({"commit": {}}), "no kind of message"),
        (b"\x92\xd9\x05offer" + OFFER[7:], "no kind of message"),
        (OFFER[:-1], "the bytes end"),
        (OFFER + b"\0", "bytes follow"),
        (OFFER[:-1] + b"\xcc\x03", "canonical form"),
        (OFFER[:-1] + b"\xca\0\0\0\0", "a float"),
        (OFFER[:-1] + b"\xcb\x7f\xf8" + b"\0" * 6, "a float"),
        (OFFER[:-1] + b"\xd4\1\3", "canonical form"),
        (OFFER[:-1] + b"\xd4\x05\3", "extension type 5"),
        (OFFER[:-1] + b"\x91\x03", "is a list or a map, not a number"),
        (b"\x92\xa6commit" + b"\x91" * 40, "nested deeper"),
        (b"\x92\xa6commit\x83\xa5round\3\xaacommitment\xc4\x20" + b"c" * 32, "keys out of order"),
        (b"\x92\xa6commit\x82\xa5round\3\xa5round\3", "a key twice"),
        (b"\x92\xa6commit\xdf\xff\xff\xff\xff", "claims"),
        (b"\x92\xa6commit\x81\xa5round\xc6\xff\xff\xff\xff", "the bytes end"),
        (b"\x92\xa6commit\x81\x05\x03", "a key is text"),
        (b"\x92\xa6commit\x81\xa1\xff\x03", "not UTF-8"),
    ],
)
def test_other_bytes_are_refused(raw: bytes, reason: str) -> None:
    _refused(raw, reason)


@KINDS
def test_no_single_changed_byte_is_a_second_spelling(kind: str) -> None:
    raw = codec.encode(LARGEST[kind])
    for position in range(len(raw)):
        for changed in {raw[position] ^ 1, raw[position] ^ 0x80, 0xC0, 0x90, 0xFF} - {raw[position]}:
            other = raw[:position] + bytes([changed]) + raw[position + 1 :]
            try:
                message = codec.decode(other)
            except DecodeError:
                continue
            assert message != LARGEST[kind]
            assert codec.encode(message) == other


@pytest.mark.parametrize(
    "message",
    [
        Commit(RoundId(-1), Digest(b"c" * 32)),
        Commit(RoundId(2**32), Digest(b"c" * 32)),
        Commit(RoundId(True), Digest(b"c" * 32)),
        Commit(RoundId(1), Digest(b"c" * 31)),
        Commit(RoundId(1), Digest(b"c" * 32), b"s"),
        Reveal(RoundId(1), b"", b"\0" * 32),
        Reveal(RoundId(1), b"s" * 32, b"\0" * 4128),
        Reveal(RoundId(1), b"s" * 32, bytearray(32)),  # type: ignore[arg-type]
        Propose(b"t" * 32, Digest(b"b" * 32), 1, 2**32, b"s" * 32),
        Deliver(Digest(b"n" * 32), Digest(b"a" * 32), 2**26 + 1, SIGNED),
        Hello(PeerId("peer"), ACCOUNT, b"p" * 64, b"a" * 65),
        Hello(PEER, Account(ACCOUNT.upper()), b"p" * 64, b"a" * 65),
    ],
)
def test_what_no_peer_would_take_is_not_sent(message: Message) -> None:
    with pytest.raises(ValueError, match="field"):
        codec.encode(message)


def test_only_messages_are_encoded() -> None:
    class Foreign(MessageBase):
        pass

    with pytest.raises(TypeError, match="Foreign is not a message"):
        codec.encode(Foreign())  # type: ignore[arg-type]

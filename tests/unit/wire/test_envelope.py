"""Envelopes: what is sealed opens, what is changed does not, and each refusal says whether anyone is at fault."""

from __future__ import annotations

from typing import Any

import pytest

from p2pfd.core import canonical
from p2pfd.core.ids import Digest, PeerId, RoundId, TaskId
from p2pfd.core.verdict import Ignore, Reject
from p2pfd.errors import DecodeError
from p2pfd.node.keys import throwaway, verify
from p2pfd.wire import codec, envelope
from p2pfd.wire.envelope import OtherVersionError, SignatureError, judge, read, seal
from p2pfd.wire.limits import MAX_ENVELOPE, MAX_SEQ
from p2pfd.wire.messages import Commit, Hello, Reveal
from p2pfd.wire.vouch import vouch

TASK = TaskId(b"t" * 32)
ALICE = throwaway(1, "alice")
BOB = throwaway(1, "bob")
COMMIT = Commit(RoundId(3), Digest(b"c" * 32))
RAW = seal(COMMIT, TASK, 5, ALICE.peer, ALICE.sign)


def open_envelope(raw: bytes, task: TaskId = TASK, sender: PeerId = ALICE.peer) -> envelope.Envelope:
    return envelope.open_envelope(raw, verify, task=task, sender=sender)


def _held(raw: bytes = RAW) -> dict[str, Any]:
    value = canonical.decode(raw[1:], limit=MAX_ENVELOPE)
    assert isinstance(value, list)
    return dict(zip(("seq", "body", "signature"), value, strict=True))


def _with(**changes: Any) -> bytes:
    """Changed, and signed again by Alice as far as that goes."""
    held = {**_held(), **changes}
    if "signature" not in changes:
        held["signature"] = ALICE.sign(envelope.signed_bytes(TASK, ALICE.peer, held["seq"], held["body"]))
    return b"\2" + canonical.encode(list(held.values()))


def _refused(raw: bytes, kind: type[DecodeError], reason: str) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        open_envelope(raw)
    assert type(caught.value) is kind
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 300
    return caught.value


def test_what_is_sealed_opens() -> None:
    opened = open_envelope(RAW)
    assert (opened.version, opened.task, opened.sender, opened.seq, opened.body) == (2, TASK, ALICE.peer, 5, COMMIT)
    assert verify(ALICE.peer, envelope.signed_bytes(TASK, ALICE.peer, 5, codec.encode(COMMIT)), opened.signature)


def test_sealing_again_gives_the_same_bytes() -> None:
    assert seal(COMMIT, TASK, 5, ALICE.peer, ALICE.sign) == RAW


def test_the_largest_envelope_is_the_limit() -> None:
    largest = Reveal(RoundId(2**32 - 1), b"s" * 32, b"\0" * 4096)
    assert len(seal(largest, TASK, MAX_SEQ, ALICE.peer, ALICE.sign)) == MAX_ENVELOPE


def test_no_changed_byte_opens() -> None:
    for position in range(len(RAW)):
        for bit in (0, 3, 7):
            changed = bytearray(RAW)
            changed[position] ^= 1 << bit
            with pytest.raises(DecodeError):
                open_envelope(bytes(changed))


@pytest.mark.parametrize("version", [1, 3, 127, 255])
@pytest.mark.parametrize("rest", [b"", b"anything", RAW[1:], b"x" * 100_000], ids=["nothing", "text", "right", "long"])
def test_another_version_is_nobody_s_fault(version: int, rest: bytes) -> None:
    error = _refused(bytes([version]) + rest, OtherVersionError, f"version {version}")
    assert isinstance(judge(error), Ignore)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no envelope begins so"),
        (b"\0" + RAW[1:], "no envelope begins so"),
        (b"\2", "the bytes end"),
        (RAW + b"\0", "bytes follow"),
        (RAW[:-1], "the bytes end"),
        (b"\2" + b"x" * MAX_ENVELOPE, f"an envelope of {MAX_ENVELOPE + 1} bytes"),
        (b"\2" + canonical.encode([]), "no list of 3"),
        (b"\2" + canonical.encode({}), "no list of 3"),
        (b"\2" + canonical.encode([1, b"x"]), "no list of 3"),
        (_with(extra=1), "no list of 3"),
        (_with(seq=-1), "field 'seq' is out of range"),
        (_with(seq=2**63), "field 'seq' is out of range"),
        (_with(seq=True), "field 'seq' is a truth value"),
        (_with(seq="5"), "field 'seq' is text"),
        (_with(signature=b"s" * 63), "field 'signature' has 63 bytes"),
        (_with(signature=None), "field 'signature' is nothing"),
        (_with(body=b""), "field 'body' has 0 bytes"),
        (_with(body="text"), "field 'body' is text"),
        (_with(body=b"\0"), "no kind of message"),
        (_with(body=codec.encode(COMMIT) + b"\0" * 40), "a commit of"),
        (_with(body=codec.encode(COMMIT)[:-2] + b"\xc0"), "field 'student' is nothing"),
        (_with(body=codec.encode(COMMIT) + b"\0"), "bytes follow"),
    ],
)
def test_malformed_envelopes_are_rejected(raw: bytes, reason: str) -> None:
    error = _refused(raw, DecodeError, reason)
    assert isinstance(judge(error), Reject)


@pytest.mark.parametrize(
    "raw",
    [
        _with(signature=b"\0" * 64),
        _with(signature=BOB.sign(b"x")),
        seal(COMMIT, TASK, 5, BOB.peer, BOB.sign),
        seal(COMMIT, TASK, 5, ALICE.peer, BOB.sign),
        seal(COMMIT, TaskId(b"u" * 32), 5, ALICE.peer, ALICE.sign),
        _with(seq=6, signature=_held()["signature"]),
        _with(body=codec.encode(Commit(RoundId(4), Digest(b"c" * 32))), signature=_held()["signature"]),
        _with(signature=ALICE.sign(codec.encode(COMMIT))),
    ],
)
def test_a_signature_of_somebody_or_something_else_is_rejected(raw: bytes) -> None:
    error = _refused(raw, SignatureError, "the signature is not")
    assert isinstance(judge(error), Reject)


def test_a_signature_does_not_carry_into_another_task_or_to_another_peer() -> None:
    for task, sender in ((TaskId(b"u" * 32), ALICE.peer), (TASK, BOB.peer)):
        with pytest.raises(SignatureError):
            open_envelope(RAW, task, sender)


def test_cheap_checks_come_before_the_signature() -> None:
    def asked(*_: object) -> bool:
        raise AssertionError("a signature was checked")

    for raw in (
        b"",
        b"\1",
        b"\2" * 100_000,
        RAW + b"\0",
        _with(seq=-1),
        _with(body=b"\0"),
        _with(body=codec.encode(COMMIT) + b"\0" * 40),
    ):
        with pytest.raises(DecodeError):
            envelope.open_envelope(raw, asked, task=TASK, sender=ALICE.peer)


def test_the_first_step_promises_nothing_about_the_signature() -> None:
    sealed = read(_with(signature=b"\0" * 64))
    assert (sealed.seq, sealed.body) == (5, codec.encode(COMMIT))
    with pytest.raises(SignatureError):
        envelope.check(sealed, verify, task=TASK, sender=ALICE.peer)


def test_a_hello_comes_from_the_peer_it_is_about() -> None:
    hello = vouch(TASK, ALICE)
    assert open_envelope(seal(hello, TASK, 0, ALICE.peer, ALICE.sign)).body == hello
    with pytest.raises(ValueError, match="a hello is sent by the peer it is about"):
        seal(hello, TASK, 0, BOB.peer, BOB.sign)
    carried = Hello(BOB.peer, hello.account, hello.by_peer, hello.by_account)
    error = _refused(_with(body=codec.encode(carried)), DecodeError, f"a hello about {BOB.peer} from {ALICE.peer}")
    assert isinstance(judge(error), Reject)


@pytest.mark.parametrize(
    ("task", "seq", "sender"),
    [
        (TaskId(b"short"), 0, ALICE.peer),
        (TASK, -1, ALICE.peer),
        (TASK, MAX_SEQ + 1, ALICE.peer),
        (TASK, 0, PeerId("nobody")),
    ],
)
def test_what_no_peer_would_take_is_not_sent(task: TaskId, seq: int, sender: PeerId) -> None:
    with pytest.raises(ValueError, match="envelope: field"):
        seal(COMMIT, task, seq, sender, ALICE.sign)


def test_a_signer_that_signs_badly_is_found_out() -> None:
    with pytest.raises(ValueError, match="field 'signature' has 3 bytes"):
        seal(COMMIT, TASK, 0, ALICE.peer, lambda _: b"bad")

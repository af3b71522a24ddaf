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
from p2pfd.wire.envelope import NewerVersionError, OtherTaskError, SignatureError, judge, open_envelope, read, seal
from p2pfd.wire.limits import MAX_ENVELOPE, MAX_SEQ
from p2pfd.wire.messages import Commit, Hello, Reveal
from p2pfd.wire.vouch import vouch

TASK = TaskId(b"t" * 32)
ALICE = throwaway(1, "alice")
BOB = throwaway(1, "bob")
COMMIT = Commit(RoundId(3), Digest(b"c" * 32))
RAW = seal(COMMIT, TASK, 5, ALICE.peer, ALICE.sign)


def _held(raw: bytes = RAW) -> dict[str, Any]:
    value = canonical.decode(raw[1:], limit=MAX_ENVELOPE)
    assert isinstance(value, dict)
    return dict(value)


def _with(**changes: Any) -> bytes:
    """Changed, and signed again by Alice as far as that goes."""
    held = {**_held(), **changes}
    if "signature" not in changes:
        signed = envelope.signed_bytes(held["task"], held["sender"], held["seq"], held["body"])
        held["signature"] = ALICE.sign(signed)
    return b"\1" + canonical.encode(held)


def _refused(raw: bytes, kind: type[DecodeError], reason: str) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        open_envelope(raw, verify, task=TASK)
    assert type(caught.value) is kind
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 300
    return caught.value


def test_what_is_sealed_opens() -> None:
    opened = open_envelope(RAW, verify, task=TASK)
    assert (opened.version, opened.task, opened.sender, opened.seq, opened.body) == (1, TASK, ALICE.peer, 5, COMMIT)
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
                open_envelope(bytes(changed), verify, task=TASK)


@pytest.mark.parametrize("version", [2, 3, 127, 255])
@pytest.mark.parametrize("rest", [b"", b"anything", RAW[1:], b"x" * 100_000])
def test_a_newer_version_is_nobody_s_fault(version: int, rest: bytes) -> None:
    error = _refused(bytes([version]) + rest, NewerVersionError, f"version {version}")
    assert isinstance(judge(error), Ignore)


def test_another_task_is_nobody_s_fault() -> None:
    raw = seal(COMMIT, TaskId(b"u" * 32), 5, ALICE.peer, ALICE.sign)
    error = _refused(raw, OtherTaskError, "task " + "75" * 32)
    assert isinstance(judge(error), Ignore)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no envelope begins so"),
        (b"\0" + RAW[1:], "no envelope begins so"),
        (b"\1", "the bytes end"),
        (RAW + b"\0", "bytes follow"),
        (RAW[:-1], "the bytes end"),
        (b"\1" + b"x" * MAX_ENVELOPE, f"an envelope of {MAX_ENVELOPE + 1} bytes"),
        (b"\1" + canonical.encode([]), "not a map"),
        (b"\1" + canonical.encode({}), "field 'body' is missing"),
        (_with(extra=1), "unknown field 'extra'"),
        (_with(seq=-1), "field 'seq' is out of range"),
        (_with(seq=2**63), "field 'seq' is out of range"),
        (_with(seq=True), "field 'seq' is a truth value"),
        (_with(seq="5"), "field 'seq' is text"),
        (_with(task=b"t" * 31), "field 'task' has 31 bytes"),
        (_with(task="t" * 32), "field 'task' is text"),
        (_with(sender="nobody"), "field 'sender' is no peer id"),
        (_with(sender=ALICE.public), "field 'sender' is bytes"),
        (_with(signature=b"s" * 63), "field 'signature' has 63 bytes"),
        (_with(signature=None), "field 'signature' is nothing"),
        (_with(body=b""), "field 'body' has 0 bytes"),
        (_with(body="text"), "field 'body' is text"),
        (_with(body=b"\0"), "no kind of message"),
        (_with(body=codec.encode(COMMIT) + b"\0" * 5), "a commit of"),
        (_with(body=codec.encode(COMMIT)[:-1] + b"\xc0"), "field 'round' is nothing"),
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
        _with(sender=BOB.peer),
        _with(seq=6, signature=_held()["signature"]),
        _with(body=codec.encode(Commit(RoundId(4), Digest(b"c" * 32))), signature=_held()["signature"]),
        _with(signature=ALICE.sign(codec.encode(COMMIT))),
    ],
)
def test_a_signature_of_somebody_or_something_else_is_rejected(raw: bytes) -> None:
    error = _refused(raw, SignatureError, "the signature is not")
    assert isinstance(judge(error), Reject)


def test_a_signature_does_not_carry_into_another_task() -> None:
    other = TaskId(b"u" * 32)
    raw = _with(task=other, signature=_held()["signature"])
    with pytest.raises(SignatureError):
        open_envelope(raw, verify, task=other)


def test_cheap_checks_come_before_the_signature() -> None:
    def asked(*_: object) -> bool:
        raise AssertionError("a signature was checked")

    for raw in (
        b"",
        b"\2",
        b"\1" * 100_000,
        RAW + b"\0",
        seal(COMMIT, TaskId(b"u" * 32), 5, ALICE.peer, ALICE.sign),
        _with(seq=-1),
        _with(body=b"\0"),
        _with(body=codec.encode(COMMIT) + b"\0" * 5),
    ):
        with pytest.raises(DecodeError):
            open_envelope(raw, asked, task=TASK)


def test_the_first_step_promises_nothing_about_the_signature() -> None:
    sealed = read(_with(signature=b"\0" * 64), TASK)
    assert (sealed.sender, sealed.seq) == (ALICE.peer, 5)
    with pytest.raises(SignatureError):
        envelope.check(sealed, verify)


def test_a_hello_comes_from_the_peer_it_is_about() -> None:
    hello = vouch(TASK, ALICE)
    assert open_envelope(seal(hello, TASK, 0, ALICE.peer, ALICE.sign), verify, task=TASK).body == hello
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

"""Messages and envelopes, for all of them and for bytes that are nearly one."""

from __future__ import annotations

import contextlib
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.ids import Account, Digest, PeerId, RoundId, TaskId, peer_id_of
from p2pfd.errors import DecodeError
from p2pfd.wire import codec, envelope
from p2pfd.wire.limits import MAX_ENVELOPE, MAX_SEQ, MESSAGE_LIMITS
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

ROUNDS = st.integers(0, 2**32 - 1).map(RoundId)
DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)
PEERS = st.binary(min_size=32, max_size=32).map(peer_id_of)
ACCOUNTS = st.binary(min_size=20, max_size=20).map(lambda raw: Account("0x" + raw.hex()))
LABELS = st.integers(1, 16).flatmap(lambda words: st.binary(min_size=32 * words, max_size=32 * words))
HELLOS = st.builds(Hello, PEERS, ACCOUNTS, st.binary(min_size=64, max_size=64), st.binary(min_size=65, max_size=65))
WORDS = st.binary(min_size=32, max_size=32)
SIGNED = st.binary(min_size=64, max_size=64)
SIZES = st.integers(1, 2**26)
TOLERANCES = st.integers(0, 2**32 - 1)
ENCOUNTERS = (
    st.builds(Propose, WORDS, DIGESTS, SIZES, TOLERANCES, WORDS)
    | st.builds(Agree, DIGESTS, WORDS, SIGNED)
    | st.builds(Brief, ACCOUNTS, ACCOUNTS, WORDS, DIGESTS, SIZES, TOLERANCES, WORDS, WORDS)
    | st.builds(Deliver, DIGESTS, DIGESTS, SIZES, SIGNED)
    | st.builds(Bind, DIGESTS, st.integers(0, 6), DIGESTS, SIGNED)
    | st.builds(Show, DIGESTS, st.integers(0, 6), WORDS, SIGNED)
)
PLACES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=126).map("/".__add__)
SAYINGS = (
    st.builds(Commit, ROUNDS, DIGESTS, DIGESTS | st.just(b""))
    | st.builds(Offer, ROUNDS, DIGESTS, st.integers(1, 2**26))
    | st.builds(Reveal, ROUNDS, st.binary(min_size=32, max_size=32), LABELS)
    | ENCOUNTERS
    | st.builds(Whereabouts, st.lists(PLACES, min_size=1, max_size=4, unique=True).map(" ".join))
)
MESSAGES: st.SearchStrategy[Message] = HELLOS | SAYINGS
TASK = TaskId(b"t" * 32)
PEER = peer_id_of(b"k" * 32)


def sign(message: bytes) -> bytes:
    return hashlib.sha512(message).digest()


def verify(_: PeerId, message: bytes, signature: bytes) -> bool:
    return sign(message) == signature


@given(MESSAGES)
def test_messages_survive_and_fit(message: Message) -> None:
    raw = codec.encode(message)
    assert codec.decode(raw) == message
    assert len(raw) <= MESSAGE_LIMITS[codec.check_size(raw)]


@given(MESSAGES, MESSAGES)
def test_one_spelling_for_one_message(left: Message, right: Message) -> None:
    assert (codec.encode(left) == codec.encode(right)) == (left == right)


@given(MESSAGES, st.data())
def test_a_changed_byte_is_another_message_or_none(message: Message, data: st.DataObject) -> None:
    raw = codec.encode(message)
    position = data.draw(st.integers(0, len(raw) - 1))
    other = raw[:position] + bytes([data.draw(st.integers(0, 255))]) + raw[position + 1 :]
    with contextlib.suppress(DecodeError):
        read = codec.decode(other)
        assert codec.encode(read) == other
        assert (read == message) == (other == raw)


@given(SAYINGS, PEERS, st.integers(0, MAX_SEQ), st.binary(min_size=32, max_size=32).map(TaskId))
def test_envelopes_survive_and_fit(message: Message, sender: PeerId, seq: int, task: TaskId) -> None:
    raw = envelope.seal(message, task, seq, sender, sign)
    opened = envelope.open_envelope(raw, verify, task=task, sender=sender)
    assert (opened.body, opened.sender, opened.seq, opened.task) == (message, sender, seq, task)
    assert len(raw) <= MAX_ENVELOPE


@given(SAYINGS, st.data())
def test_a_changed_byte_never_opens(message: Message, data: st.DataObject) -> None:
    raw = envelope.seal(message, TASK, 7, PEER, sign)
    position = data.draw(st.integers(0, len(raw) - 1))
    other = raw[:position] + bytes([data.draw(st.integers(0, 255))]) + raw[position + 1 :]
    try:
        envelope.open_envelope(other, verify, task=TASK, sender=PEER)
    except DecodeError:
        assert other != raw
    else:
        assert other == raw


@given(st.binary(max_size=900))
def test_any_bytes_are_opened_or_refused(raw: bytes) -> None:
    for attempt in (raw, b"\2" + raw, b"\2\x93" + raw):
        with contextlib.suppress(DecodeError):
            envelope.open_envelope(attempt, verify, task=TASK, sender=PEER)

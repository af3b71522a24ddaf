"""What must hold for every string of bytes. A fuzzer calls `check`; anything that it raises is a finding."""

from __future__ import annotations

from p2pfd.core import canonical
from p2pfd.errors import DecodeError
from p2pfd.wire import codec, envelope
from tests.fuzz.mutations import PEER, TASK, sign, verify


def check(raw: bytes) -> frozenset[str]:
    """Which readers took the bytes. A reader raises DecodeError and nothing else, and writes what it took alike."""
    took = set()
    try:
        value = canonical.decode(raw, limit=len(raw))
    except DecodeError as error:
        _said(error)
    else:
        assert canonical.encode(value) == raw, "a second spelling of a value was read"
        took.add("canonical")
    try:
        message = codec.decode(raw)
    except DecodeError as error:
        _said(error)
    else:
        assert codec.encode(message) == raw, "a second spelling of a message was read"
        took.add("message")
    try:
        opened = envelope.open_envelope(raw, verify, task=TASK, sender=PEER)
    except DecodeError as error:
        _said(error)
        envelope.judge(error)
    else:
        again = envelope.seal(opened.body, opened.task, opened.seq, opened.sender, sign)
        assert again == raw, "a second spelling of an envelope was read"
        took.add("envelope")
    return frozenset(took)


def _said(error: DecodeError) -> None:
    assert 0 < len(str(error)) < 500, "a reason is missing, or quotes too much of what a stranger sent"

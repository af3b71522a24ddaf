"""Bodies that are packed on their way from a chain, and what is made of those that are not what they say."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.settlement.packing import GZIP, LEAST, Body, UnreadableError, packed

ASKED = [(b"accept-encoding", b"br, GZIP;q=0.5")]


def taken(raw: bytes, pieces: int, limit: int = 10_000, headers: list[tuple[bytes, bytes]] | None = None) -> Body:
    body = Body([GZIP] if headers is None else headers, limit)
    for start in range(0, len(raw), max(1, len(raw) // pieces)):
        body.add(raw[start : start + max(1, len(raw) // pieces)])
    return body


@given(st.binary(max_size=2000), st.integers(1, 7))
def test_what_was_packed_comes_out_whatever_the_parts_are(raw: bytes, pieces: int) -> None:
    assert taken(gzip.compress(raw, mtime=0), pieces).whole() == raw
    assert taken(raw, pieces, headers=[]).whole() == raw


def test_a_long_body_is_packed_for_whom_it_helps() -> None:
    out = b'{"topics":["0x00"]}' * 100
    small = packed(out, ASKED)
    assert small is not None
    assert len(small) < len(out) / 5
    assert gzip.decompress(small) == out
    assert packed(out, ASKED) == small, "the same bytes every time"
    assert packed(out, []) is None
    assert packed(out, [(b"accept-encoding", b"br")]) is None
    assert packed(bytes(LEAST - 1), ASKED) is None


@pytest.mark.parametrize("limit", [0, 1, 999])
def test_no_more_is_unpacked_than_may_be(limit: int) -> None:
    bomb = gzip.compress(bytes(50_000_000), mtime=0)
    body = Body([GZIP], limit)
    for _ in range(3):
        body.add(bomb)
        assert body.full
    assert sum(map(len, body._parts)) == limit + 1


def test_a_body_of_just_the_limit_is_not_too_long() -> None:
    body = taken(gzip.compress(bytes(1000), mtime=0), 3, limit=1000)
    assert not body.full
    assert body.whole() == bytes(1000)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", gzip.compress(b"{}")[:-1], gzip.compress(b"{}") + b"more", zlib.compress(b"{}")],
    ids=["nothing", "not packed", "cut off", "something behind it", "another frame"],
)
def test_a_body_that_is_not_what_it_says_is_unreadable(raw: bytes) -> None:
    with pytest.raises(UnreadableError):
        taken(raw, 1).whole()


@pytest.mark.parametrize("codings", [[b"br"], [b"gzip", b"gzip"], [b"gzip, gzip"]], ids=["other", "twice", "in one"])
def test_a_body_that_nobody_asked_for_is_unreadable(codings: list[bytes]) -> None:
    with pytest.raises(UnreadableError, match="coded"):
        Body([(GZIP[0], coding) for coding in codings], 10)

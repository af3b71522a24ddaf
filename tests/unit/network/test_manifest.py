"""Names of blobs: one for each, whoever computes it, and none that two different blobs share."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.errors import DecodeError
from p2pfd.network.api import Cid
from p2pfd.network.manifest import MARK, PIECE, Manifest, cid_of, count_of, describe, named

SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1]


def blob_of(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def pieces_of(blob: bytes) -> list[bytes]:
    return [blob[at : at + PIECE] for at in range(0, max(1, len(blob)), PIECE)]


def test_a_small_blob_is_called_by_its_hash() -> None:
    for size in SIZES[:4]:
        assert cid_of(blob_of(size)) == hashlib.sha256(blob_of(size)).digest()


def test_a_large_one_by_the_hash_of_its_manifest() -> None:
    blob = blob_of(PIECE + 1)
    first, second = (hashlib.sha256(piece).digest() for piece in (blob[:PIECE], blob[PIECE:]))
    size = len(blob).to_bytes(8, "big")
    assert cid_of(blob) == hashlib.sha256(b"p2pfd-blob-manifest-1" + bytes(11) + size + first + second).digest()


def test_no_blob_has_the_name_of_another_ones_manifest() -> None:
    large = blob_of(PIECE + 1)
    manifest = describe(large)
    posing = MARK + manifest.size.to_bytes(8, "big") + b"".join(manifest.pieces)
    assert hashlib.sha256(posing).digest() == cid_of(large)
    assert cid_of(posing) != cid_of(large)
    assert not describe(posing).is_piece(cid_of(large), 0, [posing])


@pytest.mark.parametrize("size", SIZES)
def test_each_piece_is_known_and_no_other_is(size: int) -> None:
    blob = blob_of(size)
    cid, manifest = named(blob)
    pieces = pieces_of(blob)
    assert len(pieces) == count_of(size) == len(manifest.pieces)
    assert manifest.may_be(cid)
    for index, piece in enumerate(pieces):
        assert manifest.length(index) == len(piece)
        assert manifest.is_piece(cid, index, [piece[:10], piece[10:]])
        assert not manifest.is_piece(cid, index, [piece, b"x"])
        assert not manifest.is_piece(Cid(bytes(32)), index, [piece]) or len(pieces) > 1


@given(st.binary(max_size=100), st.lists(st.integers(0, 140)))
def test_a_blob_that_begins_with_the_mark_is_known_however_it_comes(tail: bytes, cuts: list[int]) -> None:
    blob = MARK + tail
    cid, manifest = named(blob)
    assert cid != hashlib.sha256(blob).digest()
    edges = [0, *sorted(cuts), len(blob)]
    parts = [blob[low:high] for low, high in itertools.pairwise(edges)]
    assert manifest.is_piece(cid, 0, parts)
    assert not manifest.is_piece(Cid(manifest.pieces[0]), 0, parts)


def test_a_manifest_of_the_wrong_shape_is_none() -> None:
    for size, pieces in ((1, ()), (PIECE + 1, (bytes(32),)), (1, (bytes(31),)), (-1, (bytes(32),))):
        with pytest.raises(DecodeError, match="manifest"):
            Manifest(size, pieces)
    assert not Manifest(PIECE + 1, (bytes(32), bytes(32))).may_be(cid_of(blob_of(PIECE + 1)))

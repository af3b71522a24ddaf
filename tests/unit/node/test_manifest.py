"""Invitations: what was signed comes back, and nothing else does."""

from __future__ import annotations

import base64
import dataclasses
import re
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.canonical import encode
from p2pfd.core.manifest import MAX_NOTE, Manifest, manifest_of
from p2pfd.errors import PlanError
from p2pfd.node import keys
from p2pfd.node.manifest import MAX_BYTES, MAX_TEXT, PREFIX, seal, unseal
from tests.unit.node.test_config import SPEC

ASKER, OTHER = keys.throwaway(1, "requester").account, keys.throwaway(1, "stranger").account
PEER = "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWGC6TvWhfagifX6L3zG2iZ8tF2m4B5gyrXBHD8AoXkXnL"
MANIFEST = Manifest(
    SPEC,
    ASKER.account,
    bootstrap=(PEER,),
    data=("https://data.example/wine.csv",),
    rpc=("https://rpc.example/", "http://127.0.0.1:8545"),
    genesis=bytes(range(32)),
    issued=1_800_000_000,
    until=1_900_000_000,
    note="wine for everybody",
)
TEXT = seal(MANIFEST, ASKER)


def packed(value: object) -> str:
    return PREFIX + base64.urlsafe_b64encode(zlib.compress(encode(value))).decode()


def test_what_was_sealed_is_read_however_it_was_broken_into_lines():
    assert unseal(TEXT) == MANIFEST
    assert unseal(" ".join(TEXT.split("\n"))) == MANIFEST
    assert unseal("\r\n".join(TEXT.replace("\n", "")[at : at + 40] for at in range(0, len(TEXT), 40))) == MANIFEST
    assert unseal(TEXT).task.id == SPEC.id


def test_it_is_short_enough_to_paste():
    assert len(TEXT) < 1_200
    assert max(map(len, TEXT.splitlines())) <= 96
    assert TEXT.startswith(PREFIX)


@given(st.integers(0, len(TEXT) - 1), st.sampled_from("Aa0_-=#"))
def test_a_changed_character_is_refused_or_changes_nothing(place, letter):
    changed = TEXT[:place] + letter + TEXT[place + 1 :]
    with suppress(PlanError):
        assert unseal(changed) == MANIFEST  # in place of a line's end, or of bits that no byte is made of


@given(st.integers(0, len(TEXT.strip()) - 1))
def test_what_is_cut_off_is_refused(length):
    with pytest.raises(PlanError):
        unseal(TEXT[:length])


def test_somebody_else_cannot_change_it():
    altered = dataclasses.replace(MANIFEST, bootstrap=())
    signature = ASKER.sign(b"p2pfd task")
    with pytest.raises(PlanError, match=r"is not what|signature"):
        unseal(packed([altered.to_plain(), signature]))
    stolen = dataclasses.replace(MANIFEST, note="mine")
    message = f"p2pfd task {SPEC.id.hex()}\nmanifest {stolen.digest.hex()}".encode()
    with pytest.raises(PlanError, match="is not what"):
        unseal(packed([stolen.to_plain(), OTHER.sign(message)]))
    with pytest.raises(PlanError, match="the requester signs"):
        seal(MANIFEST, OTHER)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no manifest"),
        ("p2pfd-task-2:abcd", "no manifest"),
        (PREFIX, "damaged"),
        (PREFIX + "????", "damaged"),
        (PREFIX + "A" * MAX_TEXT, "characters"),
        (packed([1, b""]), "no signature"),
        (packed([MANIFEST.to_plain()]), "no signature"),
        (packed([{"version": 1}, b""]), "of this release"),
        (packed([MANIFEST.to_plain(), b""]), "signature is none"),
        (packed([MANIFEST.to_plain() | {"version": 2}, b""]), "another version"),
        (packed([MANIFEST.to_plain() | {"version": True}, b""]), "another version"),
        (packed([MANIFEST.to_plain() | {"requester": "0x12"}, b""]), "requester"),
        (packed([MANIFEST.to_plain() | {"requester": 7}, b""]), "requester"),
        (packed([MANIFEST.to_plain() | {"rpc": "https://a"}, b""]), "list of texts"),
        (packed([MANIFEST.to_plain() | {"rpc": [1]}, b""]), "list of texts"),
        (packed([MANIFEST.to_plain() | {"until": True}, b""]), "wrong type"),
        (packed([MANIFEST.to_plain() | {"until": -1}, b""]), "until is -1"),
        (packed([MANIFEST.to_plain() | {"issued": -1}, b""]), "issued is -1"),
        (packed([MANIFEST.to_plain() | {"issued": "now"}, b""]), "issued is of the wrong type"),
        (packed([MANIFEST.to_plain() | {"genesis": "00"}, b""]), "genesis is of the wrong type"),
        (packed([MANIFEST.to_plain() | {"genesis": b"00"}, b""]), "genesis has 2 bytes"),
        (packed([MANIFEST.to_plain() | {"note": b""}, b""]), "note is of the wrong type"),
        (packed([MANIFEST.to_plain() | {"task": {}}, b""]), "missing"),
        (packed([MANIFEST.to_plain() | {"task": []}, b""]), "not a table"),
        (packed([{**MANIFEST.to_plain(), "x": 1}, b""]), "of this release"),
    ],
    ids=lambda text: text[:24],
)
def test_whatever_else_is_refused_with_a_reason(text, message):
    with pytest.raises(PlanError, match=re.escape(message)):
        unseal(text)


def test_a_bomb_is_not_unpacked():
    bomb = PREFIX + base64.urlsafe_b64encode(zlib.compress(bytes(40 * MAX_BYTES), 9)).decode()
    assert len(bomb) < MAX_TEXT
    with pytest.raises(PlanError, match="too large"):
        unseal(bomb)


@pytest.mark.parametrize(
    "change",
    [
        {"note": "n" * (MAX_NOTE + 1)},
        {"note": "a\x1b[2Jb"},
        {"bootstrap": ("/ip4/1.2.3.4/tcp/1\n",)},
        {"bootstrap": ("x",) * 17},
        {"data": ("file:///etc/passwd",)},
        {"data": ("https://me:secret@example.com/",)},
        {"rpc": ("ws://example.com",)},
        {"rpc": ("http://[",)},
        {"rpc": ("",)},
    ],
    ids=lambda change: next(iter(change)) + str(next(iter(change.values())))[:12],
)
def test_hostile_hints_and_notes_are_refused(change):
    with pytest.raises(PlanError):
        dataclasses.replace(MANIFEST, **change)


def test_the_plain_form_is_read_as_it_was_written():
    assert manifest_of(MANIFEST.to_plain()) == MANIFEST

"""Key files of version 3: ours open elsewhere, those of others open here, and hostile ones cost nothing."""

from __future__ import annotations

import contextlib
import copy
import json

import eth_keyfile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.errors import DecodeError
from p2pfd.node.keys import throwaway
from p2pfd.settlement import keyfile
from p2pfd.settlement.keyfile import WrongPassphrase, decrypt, encrypt

KEY = throwaway(1, "alice").account
PHRASE = "correct horse"
LIGHT = 2

# The two examples of the standard. Neither says whose key it holds.
PRIVATE = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
SCRYPT = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
        "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32,
            "n": 262144,
            "p": 8,
            "r": 1,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
        },
        "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}
PBKDF2 = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}


@pytest.mark.parametrize("example", [SCRYPT, PBKDF2])
def test_the_examples_of_the_standard_open(example):
    assert decrypt(example, "testpassword").private.hex() == PRIVATE


def test_the_work_is_the_standards_unless_a_test_asks_for_less():
    assert keyfile.STANDARD_WORK == 262_144
    assert encrypt(KEY, PHRASE, work=LIGHT)["crypto"]["kdfparams"]["n"] == LIGHT


def test_what_is_encrypted_opens_here_and_elsewhere_and_names_its_account():
    made = json.loads(json.dumps(encrypt(KEY, PHRASE, work=LIGHT)))
    assert decrypt(made, PHRASE) == KEY
    assert eth_keyfile.decode_keyfile_json(made, PHRASE.encode()) == KEY.private
    assert keyfile.address_of(made) == KEY.account
    assert (made["version"], made["crypto"]["kdf"], made["address"]) == (3, "scrypt", KEY.account[2:])
    assert KEY.private.hex() not in json.dumps(made)


def test_no_two_files_are_alike():
    assert encrypt(KEY, PHRASE, work=LIGHT) != encrypt(KEY, PHRASE, work=LIGHT)


def test_names_are_read_in_any_case():
    assert decrypt({"Crypto": PBKDF2["crypto"], "Version": 3}, "testpassword").private.hex() == PRIVATE


@pytest.mark.parametrize("phrase", ["", "correct hors", "correct horse ", "Correct horse", "\u00e9" * 9])
def test_another_passphrase_does_not_open_it(phrase):
    made = encrypt(KEY, PHRASE, work=LIGHT)
    with pytest.raises(WrongPassphrase):
        decrypt(made, phrase)


def test_a_passphrase_may_have_any_letters():
    phrase = "Grün 🗝 ключ"
    assert decrypt(encrypt(KEY, phrase, work=LIGHT), phrase) == KEY


def test_a_file_under_another_address_is_refused():
    made = encrypt(KEY, PHRASE, work=LIGHT)
    for address in (throwaway(1, "bob").account.account, "0x12", 7):
        with pytest.raises(DecodeError):
            decrypt({**made, "address": address}, PHRASE)


CHANGES = {
    "version 1": ("version", 1),
    "no crypto": ("crypto", None),
    "another cipher": ("crypto.cipher", "aes-128-cbc"),
    "no vector": ("crypto.cipherparams", {}),
    "a short text": ("crypto.ciphertext", "11" * 31),
    "an odd text": ("crypto.ciphertext", "1" * 63),
    "text with spaces": ("crypto.ciphertext", "11 " * 32),
    "a long text": ("crypto.ciphertext", "11" * 100_000),
    "a list for text": ("crypto.mac", ["11"] * 32),
    "another stretching": ("crypto.kdf", "argon2"),
    "none": ("crypto.kdf", None),
    "a short key": ("crypto.kdfparams.dklen", 16),
    "a long key": ("crypto.kdfparams.dklen", 2**40),
    "memory without end": ("crypto.kdfparams.n", 2**40),
    "blocks without end": ("crypto.kdfparams.r", 2**30),
    "time without end": ("crypto.kdfparams.p", 2**20),
    "n is no power of two": ("crypto.kdfparams.n", 262_143),
    "n is one": ("crypto.kdfparams.n", 1),
    "n is true": ("crypto.kdfparams.n", True),
    "n is negative": ("crypto.kdfparams.n", -(2**18)),
    "r is nothing": ("crypto.kdfparams.r", 0),
    "p is nothing": ("crypto.kdfparams.p", 0),
    "p is a fraction": ("crypto.kdfparams.p", 1.0),
    "no salt": ("crypto.kdfparams.salt", ""),
    "a salt without end": ("crypto.kdfparams.salt", "11" * 65),
}


def _changed(value, path, new):
    value = copy.deepcopy(value)
    *parents, last = path.split(".")
    at = value
    for name in parents:
        at = at[name]
    at[last] = new
    return value


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_no_key_file_or_costs_too_much_is_refused_before_anything_is_derived(change):
    with pytest.raises(DecodeError):
        decrypt(_changed(SCRYPT, *change), "testpassword")


@pytest.mark.parametrize(("name", "value"), [("c", 2**40), ("c", 0), ("prf", "hmac-sha1"), ("prf", None)])
def test_the_same_holds_for_pbkdf2(name, value):
    with pytest.raises(DecodeError):
        decrypt(_changed(PBKDF2, f"crypto.kdfparams.{name}", value), "testpassword")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WHOLE = encrypt(KEY, PHRASE, work=LIGHT)


def _places(value, before=""):
    for name, held in value.items():
        yield before + name
        if isinstance(held, dict):
            yield from _places(held, f"{before}{name}.")


@given(st.sampled_from(list(_places(WHOLE))), JSON | st.integers(-2, 70))
def test_whatever_stands_in_a_place_it_is_the_key_or_an_error_of_ours(place, value):
    with contextlib.suppress(DecodeError, WrongPassphrase):
        assert decrypt(_changed(WHOLE, place, value), PHRASE) == KEY


@pytest.mark.parametrize("value", [None, [], "text", 3, {}, {"version": 3}, {3: 3}, {"version": 3, "crypto": []}])
def test_other_values_are_refused(value):
    with pytest.raises(DecodeError):
        decrypt(value, PHRASE)

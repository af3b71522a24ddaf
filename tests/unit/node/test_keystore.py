"""Keys behind a passphrase: made once, opened by it alone, changed without a moment in which they are lost."""

from __future__ import annotations

import json
import os
import stat

import eth_keyfile
import pytest

from p2pfd.errors import DecodeError, PlanError, StorageError, UsageError
from p2pfd.node import keys, keystore, private
from p2pfd.node.keys import throwaway

ALICE, BOB = throwaway(1, "alice"), throwaway(1, "bob")
PHRASE = "correct horse"
LIGHT = 2


@pytest.fixture
def home(tmp_path):
    directory = tmp_path / "keys"
    keystore.create(ALICE, directory, PHRASE, work=LIGHT)
    return directory


@pytest.fixture
def plain(tmp_path):
    directory = tmp_path / "keys"
    keys.save(ALICE, directory)
    return directory


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_what_is_created_is_unlocked_and_only_its_owner_can_reach_it(home):
    assert keystore.unlock(home, PHRASE) == ALICE
    assert names(home) == [keys.ENCRYPTED_FILE]
    assert stat.S_IMODE((home / keys.ENCRYPTED_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_folder_that_others_could_enter_is_closed(tmp_path):
    directory = tmp_path / "keys"
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    keystore.create(ALICE, directory, PHRASE, work=LIGHT)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_another_wallet_opens_the_file_as_it_is(home):
    value = json.loads((home / keys.ENCRYPTED_FILE).read_text())
    assert eth_keyfile.decode_keyfile_json(value, PHRASE.encode()) == ALICE.account.private


def test_the_file_shows_the_names_and_no_key(home):
    text = (home / keys.ENCRYPTED_FILE).read_text()
    assert ALICE.peer in text
    assert ALICE.account.account in text
    for secret in (ALICE.peer_private, ALICE.account.private):
        assert secret.hex() not in text


def test_whose_keys_they_are_is_known_without_the_passphrase(home, tmp_path):
    assert keystore.identity(home) == keystore.Identity(ALICE.peer, ALICE.account.account, True, False)
    keys.save(BOB, tmp_path / "plain")
    assert keystore.identity(tmp_path / "plain") == keystore.Identity(BOB.peer, BOB.account.account, False, False)
    with pytest.raises(StorageError, match="there are no keys"):
        keystore.identity(tmp_path / "none")


def test_another_passphrase_does_not_open_them(home):
    with pytest.raises(UsageError, match="does not open") as caught:
        keystore.unlock(home, "correct horse battery")
    assert caught.value.fix


def test_keys_are_never_replaced(home, tmp_path):
    before = (home / keys.ENCRYPTED_FILE).read_bytes()
    for mine in (ALICE, BOB):
        with pytest.raises(StorageError, match="there are keys"):
            keystore.create(mine, home, PHRASE, work=LIGHT)
    keys.save(BOB, tmp_path / "plain")
    with pytest.raises(StorageError, match="there are keys"):
        keystore.create(BOB, tmp_path / "plain", PHRASE, work=LIGHT)
    assert (home / keys.ENCRYPTED_FILE).read_bytes() == before


def test_who_comes_second_in_the_same_moment_replaces_nothing(home, monkeypatch):
    before = (home / keys.ENCRYPTED_FILE).read_bytes()
    monkeypatch.setattr(keystore, "exists", lambda _: False)  # it looked before the other one wrote
    with pytest.raises(StorageError, match="there already"):
        keystore.create(BOB, home, PHRASE, work=LIGHT)
    assert (home / keys.ENCRYPTED_FILE).read_bytes() == before
    assert names(home) == [keys.ENCRYPTED_FILE]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        keystore.create(ALICE, tmp_path / "keys", PHRASE, work=LIGHT)
    assert names(tmp_path / "keys") == []


def test_plain_loading_says_that_they_are_encrypted(home):
    with pytest.raises(StorageError, match="encrypted") as caught:
        keys.load(home)
    assert "--passphrase-file" in caught.value.fix


def test_who_has_the_passphrase_is_asked_only_where_one_is_needed(home, tmp_path):
    keys.save(BOB, tmp_path / "plain")
    asked = []
    assert keystore.open_keys(tmp_path / "plain", lambda: asked.append(1) or PHRASE) == BOB
    assert asked == []
    assert keystore.open_keys(home, lambda: asked.append(1) or PHRASE) == ALICE
    assert asked == [1]


# -- damage ------------------------------------------------------------------------------------------------------------


def test_every_damaged_byte_is_told_from_a_wrong_passphrase(home):
    path = home / keys.ENCRYPTED_FILE
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        other = bytearray(whole)
        other[at] ^= 1
        path.write_bytes(other)
        if _same(whole, other):
            continue
        with pytest.raises(StorageError, match="damaged"):
            keystore.unlock(home, PHRASE)
    path.write_bytes(whole)
    assert keystore.unlock(home, PHRASE) == ALICE


def _same(whole, other):
    """Some bytes are white space, and no part of the value."""
    try:
        return json.loads(whole) == json.loads(other)
    except ValueError:
        return False


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 4000, b"null", b"x" * 5000, b'{"version": 3}'])
def test_other_bytes_are_refused(home, raw):
    (home / keys.ENCRYPTED_FILE).write_bytes(raw)
    with pytest.raises(StorageError, match="damaged"):
        keystore.unlock(home, PHRASE)
    with pytest.raises(StorageError, match="damaged"):
        keystore.identity(home)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("peer", "12D3KooW"),
        ("peer", BOB.peer),
        ("account", BOB.account.account),
        ("account", ALICE.account.account.upper().replace("X", "x")),
        ("salt", "zz"),
        ("salt", ""),
        ("peer_key", "11" * 48),
        ("peer_key", None),
    ],
)
def test_a_file_made_up_with_care_is_refused_too(home, name, value):
    path = home / keys.ENCRYPTED_FILE
    held = json.loads(path.read_text())
    part = held.pop(keystore.PART)
    part[name] = value
    part["check"] = keystore._digest(held, part)
    path.write_text(json.dumps({**held, keystore.PART: part}))
    with pytest.raises(StorageError, match="damaged"):
        keystore.unlock(home, PHRASE)


def test_a_file_that_others_can_read_is_refused(home):
    (home / keys.ENCRYPTED_FILE).chmod(0o644)
    with pytest.raises(StorageError, match="others may read"):
        keystore.unlock(home, PHRASE)


def test_no_error_quotes_a_secret(home):
    path = home / keys.ENCRYPTED_FILE
    path.write_text(path.read_text()[:-10])
    with pytest.raises(StorageError) as caught:
        keystore.unlock(home, PHRASE)
    told = str(caught.value) + repr(caught.value.__cause__)
    assert PHRASE not in told


# -- another passphrase, and plain keys --------------------------------------------------------------------------------


def test_a_changed_passphrase_opens_and_the_old_one_no_longer_does(home):
    keystore.change_passphrase(home, ALICE, "another one", work=LIGHT)
    assert keystore.unlock(home, "another one") == ALICE
    with pytest.raises(UsageError):
        keystore.unlock(home, PHRASE)
    assert names(home) == [keys.ENCRYPTED_FILE]
    assert stat.S_IMODE((home / keys.ENCRYPTED_FILE).stat().st_mode) == 0o600


def test_only_the_keys_that_are_there_are_encrypted_anew(home):
    before = (home / keys.ENCRYPTED_FILE).read_bytes()
    with pytest.raises(StorageError, match="has other keys"):
        keystore.change_passphrase(home, BOB, "another one", work=LIGHT)
    assert (home / keys.ENCRYPTED_FILE).read_bytes() == before


def test_a_change_that_cannot_be_written_keeps_the_old_file(home, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        keystore.change_passphrase(home, ALICE, "another one", work=LIGHT)
    monkeypatch.undo()
    assert keystore.unlock(home, PHRASE) == ALICE
    assert names(home) == [keys.ENCRYPTED_FILE]


def test_plain_keys_are_encrypted_and_the_plain_file_goes(plain):
    (plain / f".{keys.FILE}.0123").write_text("a draft of a process that was killed")
    keystore.change_passphrase(plain, ALICE, PHRASE, work=LIGHT)
    assert names(plain) == [keys.ENCRYPTED_FILE]
    assert keystore.unlock(plain, PHRASE) == ALICE


def test_what_was_begun_with_plain_keys_and_cut_off_is_ended(plain, tmp_path):
    keystore.create(ALICE, tmp_path / "other", PHRASE, work=LIGHT)
    (tmp_path / "other" / keys.ENCRYPTED_FILE).rename(plain / keys.ENCRYPTED_FILE)  # both files: it was cut off here
    assert keystore.identity(plain).plain_beside
    with pytest.raises(PlanError, match="in plain"):
        keystore.require_encrypted(plain, "chain 80002")
    keystore.change_passphrase(plain, ALICE, "another one", work=LIGHT)
    assert names(plain) == [keys.ENCRYPTED_FILE]
    keystore.require_encrypted(plain, "chain 80002")


def test_two_files_with_different_keys_are_left_to_their_owner(plain, tmp_path):
    keystore.create(BOB, tmp_path / "other", PHRASE, work=LIGHT)
    (tmp_path / "other" / keys.ENCRYPTED_FILE).rename(plain / keys.ENCRYPTED_FILE)
    for act in (
        lambda: keystore.identity(plain),
        lambda: keystore.open_keys(plain, lambda: PHRASE),
        lambda: keystore.change_passphrase(plain, ALICE, "another one", work=LIGHT),
    ):
        with pytest.raises(StorageError, match="different keys"):
            act()
    assert names(plain) == [keys.FILE, keys.ENCRYPTED_FILE]


def test_a_live_chain_takes_encrypted_keys_only(home, tmp_path):
    keystore.require_encrypted(home, "chain 80002")
    keys.save(BOB, tmp_path / "node" / "keys")
    with pytest.raises(PlanError, match="chain 80002 is a live chain") as caught:
        keystore.require_encrypted(tmp_path / "node" / "keys", "chain 80002")
    assert caught.value.fix == f"run: p2pfd keys change-passphrase --home {tmp_path / 'node'}"


# -- to and from other wallets -----------------------------------------------------------------------------------------


def test_what_is_exported_is_the_account_alone_and_can_be_imported(home):
    text = keystore.export(ALICE, "for the wallet", work=LIGHT)
    assert sorted(json.loads(text)) == ["address", "crypto", "id", "version"]
    found = keystore.imported(text.encode(), lambda: "for the wallet")
    assert found.account == ALICE.account
    assert found.peer_private != ALICE.peer_private
    with pytest.raises(UsageError, match="does not open"):
        keystore.imported(text.encode(), lambda: PHRASE)


def test_a_file_of_ours_brings_the_peer_key_along(home):
    assert keystore.imported((home / keys.ENCRYPTED_FILE).read_bytes(), lambda: PHRASE) == ALICE


def test_a_bare_private_key_is_taken_and_no_passphrase_asked():
    def nobody():
        raise AssertionError

    for text in (ALICE.account.private.hex(), "0x" + ALICE.account.private.hex() + "\n"):
        assert keystore.imported(text.encode(), nobody).account == ALICE.account


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"\xff" * 64, b"z" * 64, b"0" * 64, b"f" * 64, b"[" * 4000, b'{"version": 3, "p2pfd": {}}'],
)
def test_what_is_no_key_is_not_imported(raw):
    with pytest.raises(DecodeError):
        keystore.imported(raw, lambda: PHRASE)


def test_a_file_is_private_from_its_first_byte(tmp_path):
    before = os.umask(0)
    try:
        assert private.create(tmp_path / "a", "text")
        private.replace(tmp_path / "a", "other")
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_text() == "other"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600

"""The node's keys and the file they live in."""

from __future__ import annotations

import copy
import json
import os
import pickle
from pathlib import Path

import pytest

from p2pfd.core.ids import PeerId, peer_id_of, public_key_of
from p2pfd.errors import DecodeError, StorageError
from p2pfd.node import keys as node_keys
from p2pfd.node.keys import NodeKeys, fresh, load, save, secret, throwaway, verify
from p2pfd.settlement.accounts import AccountKey

ALICE = throwaway(1, "alice")


def test_throwaway_keys_depend_on_the_seed_and_the_name_alone() -> None:
    assert throwaway(1, "alice") == ALICE
    assert throwaway(1, "bob") != ALICE
    assert throwaway(2, "alice") != ALICE
    assert throwaway(b"seed", "alice") == throwaway(b"seed", "alice")


def test_throwaway_keys_never_change() -> None:
    assert ALICE.peer == "12D3KooWDaBG8xBmhKNJtSn78g9pq8fcubExgzJ6iGS9ranTLQ9Y"
    assert ALICE.account.account == "0x43f5c1e413042a3e5aa61106074e2ec7a10ab0c5"


def test_the_peer_id_holds_the_public_key() -> None:
    assert public_key_of(ALICE.peer) == ALICE.public
    assert len(ALICE.public) == 32


def test_what_the_peer_key_signs_verifies_and_nothing_else_does() -> None:
    signature = ALICE.sign(b"message")
    bob = throwaway(1, "bob")
    assert verify(ALICE.peer, b"message", signature)
    assert not verify(ALICE.peer, b"massage", signature)
    assert not verify(bob.peer, b"message", signature)
    for position in range(len(signature)):
        changed = bytearray(signature)
        changed[position] ^= 1
        assert not verify(ALICE.peer, b"message", bytes(changed))


@pytest.mark.parametrize("signature", [b"", b"\0" * 63, b"\0" * 64, b"\0" * 65, b"\xff" * 64])
def test_a_malformed_signature_is_no_signature(signature: bytes) -> None:
    assert not verify(ALICE.peer, b"message", signature)


@pytest.mark.parametrize("peer", ["", "0", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "1" * 52, "x" * 1000])
def test_an_id_without_an_ed25519_key_has_signed_nothing(peer: str) -> None:
    assert not verify(PeerId(peer), b"message", ALICE.sign(b"message"))


def test_a_public_key_that_is_no_point_has_signed_nothing() -> None:
    assert not verify(peer_id_of(b"\xff" * 32), b"message", ALICE.sign(b"message"))


def test_nothing_shows_the_secrets() -> None:
    shown = f"{ALICE!r} {ALICE} {ALICE.account!r} {ALICE.account} {[ALICE]}"
    assert ALICE.peer in shown
    for private in (ALICE.peer_private, ALICE.account.private):
        assert private.hex() not in shown
        assert repr(private) not in shown


def test_keys_can_be_copied_also_after_use() -> None:
    ALICE.sign(b"now the signer is cached")
    assert pickle.loads(pickle.dumps(ALICE)) == ALICE
    assert copy.deepcopy(ALICE).sign(b"m") == ALICE.sign(b"m")


@pytest.mark.parametrize("private", [b"", b"\1" * 31, b"\1" * 33])
def test_a_peer_key_has_32_bytes(private: bytes) -> None:
    with pytest.raises(DecodeError, match="Ed25519 private key"):
        NodeKeys(private, ALICE.account)


def test_the_secret_is_steady_and_depends_on_both_keys() -> None:
    bob = throwaway(1, "bob")
    mixed = NodeKeys(ALICE.peer_private, bob.account), NodeKeys(bob.peer_private, ALICE.account)
    assert secret(ALICE) == secret(throwaway(1, "alice"))
    assert len({secret(keys) for keys in (ALICE, bob, *mixed)}) == 4
    assert len(secret(ALICE)) == 32
    assert secret(ALICE) not in (ALICE.peer_private, ALICE.account.private)


def test_fresh_keys_differ() -> None:
    assert fresh() != fresh()


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    keys = fresh()
    path = save(keys, tmp_path / "new" / "folder")
    assert load(tmp_path / "new" / "folder") == keys
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_file_is_private_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o277)
    try:
        path = save(ALICE, tmp_path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_saving_the_same_keys_again_changes_nothing(tmp_path: Path) -> None:
    path = save(ALICE, tmp_path)
    before = path.stat()
    save(ALICE, tmp_path)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino


def test_other_keys_are_never_replaced(tmp_path: Path) -> None:
    path = save(ALICE, tmp_path)
    with pytest.raises(StorageError, match="holds other keys"):
        save(throwaway(1, "bob"), tmp_path)
    assert load(tmp_path) == ALICE
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        save(ALICE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        save(ALICE, tmp_path / "taken")
    with pytest.raises(StorageError, match="cannot read"):
        load(tmp_path / "taken")


def test_missing_keys_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there are no keys") as caught:
        load(tmp_path)
    assert caught.value.fix


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601, 0o644])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = save(ALICE, tmp_path)
    path.chmod(mode)
    with pytest.raises(StorageError, match="others may read") as caught:
        load(tmp_path)
    assert caught.value.fix == f"run: chmod 600 {path}"
    path.chmod(0o600)
    assert load(tmp_path) == ALICE


def test_a_pipe_or_a_folder_in_its_place_neither_blocks_nor_crashes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / node_keys.FILE, 0o600)
    with pytest.raises(StorageError, match="is not a file"):
        load(tmp_path)
    (tmp_path / "b" / node_keys.FILE).mkdir(parents=True, mode=0o700)
    with pytest.raises(StorageError):
        load(tmp_path / "b")


def _saved(directory: Path, **changes: object) -> Path:
    path = save(ALICE, directory)
    held = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in held.items() if value is not None}))
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "not a key file of this version"),
        ({"version": None}, "not a key file of this version"),
        ({"peer": None}, "peer is missing"),
        ({"peer_private": None}, "peer_private is missing"),
        ({"peer_private": "11" * 31}, "Ed25519 private key"),
        ({"peer_private": "11" * 32}, "do not belong"),
        ({"peer_private": 7}, "not JSON of hex text"),
        ({"peer_private": "xyz"}, "not JSON of hex text"),
        ({"account_private": "00" * 32}, "not a secp256k1 private key"),
        ({"account_private": "ff" * 32}, "not a secp256k1 private key"),
        ({"account_private": "11" * 32}, "do not belong"),
        ({"account": "0x" + "0" * 40}, "do not belong"),
        ({"padding": "x" * 5000}, "bytes"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    _saved(tmp_path, **changes)
    with pytest.raises(StorageError, match=reason) as caught:
        load(tmp_path)
    assert caught.value.fix


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 4000, b"null", b'"text"', b"9" * 4090])
def test_other_bytes_are_refused(tmp_path: Path, raw: bytes) -> None:
    save(ALICE, tmp_path).write_bytes(raw)
    with pytest.raises(StorageError, match="damaged"):
        load(tmp_path)


def test_no_error_quotes_a_secret(tmp_path: Path) -> None:
    path = save(ALICE, tmp_path)
    path.write_text(path.read_text()[:-10])
    with pytest.raises(StorageError) as caught:
        load(tmp_path)
    chain = [str(caught.value), repr(caught.value.__cause__)]
    assert all(ALICE.peer_private.hex() not in text for text in chain)


def test_the_account_key_of_the_file_signs(tmp_path: Path) -> None:
    save(ALICE, tmp_path)
    assert load(tmp_path).account.sign(b"m") == AccountKey(ALICE.account.private).sign(b"m")

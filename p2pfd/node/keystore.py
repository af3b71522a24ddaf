"""A node's two keys behind a passphrase: a version 3 key file, as wallets have it, with the peer key inside it too.

The passphrase opens the account's key, and that one opens the peer's: there is one file, so there is never half of a
change, and one derivation to wait for. Other wallets take the file as it is and do not look at our part of it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2pfd.core import boundedjson
from p2pfd.core.ids import Account, PeerId, account, public_key_of
from p2pfd.durable import sync_directory
from p2pfd.errors import DecodeError, PlanError, StorageError, UsageError
from p2pfd.node import keys, private
from p2pfd.node.keys import ENCRYPTED_FILE, NodeKeys
from p2pfd.settlement import keyfile
from p2pfd.settlement.accounts import KEY_BYTES, AccountKey
from p2pfd.settlement.keyfile import STANDARD_WORK, WrongPassphrase

PART = "p2pfd"
VERSION = 1
_DOMAIN = b"p2pfd-peer-key-1"
_NONCE = bytes(12)  # each file has a salt, so a key of its own, and with it one message is encrypted
_TAG_BYTES = 16
_ASK_AGAIN = "try again; nobody can open the file without it"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose keys a folder has, which may be known without the passphrase."""

    peer: PeerId
    account: Account
    encrypted: bool
    plain_beside: bool
    """Whether the plain file from before is still there."""


def identity(directory: Path) -> Identity:
    """The names in a folder's key files; StorageError when there are none, or files that do not belong together."""
    plain_there = (directory / keys.FILE).exists()
    if not (directory / ENCRYPTED_FILE).exists():
        plain = keys.load(directory)
        return Identity(plain.peer, plain.account.account, encrypted=False, plain_beside=False)
    part = _read(directory)[PART]
    if plain_there:
        plain = keys.load(directory)
        if (plain.peer, plain.account.account) != (part["peer"], part["account"]):
            raise StorageError(
                f"{directory} has two key files, with different keys", f"move {keys.FILE} or {ENCRYPTED_FILE} away"
            )
    return Identity(PeerId(part["peer"]), Account(part["account"]), encrypted=True, plain_beside=plain_there)


def exists(directory: Path) -> bool:
    """Whether the folder has keys of either kind."""
    return (directory / ENCRYPTED_FILE).exists() or (directory / keys.FILE).exists()


def open_or_make(directory: Path, ask: Callable[[], str]) -> NodeKeys:
    """The keys in the folder; fresh ones, kept plain, where there are none. ``ask`` has the passphrase of old ones."""
    if exists(directory):
        return open_keys(directory, ask)
    mine = keys.fresh()
    keys.save(mine, directory)
    return mine


def create(mine: NodeKeys, directory: Path, passphrase: str, *, work: int = STANDARD_WORK) -> Path:
    """Write the keys behind a passphrase. Keys that are there already are never replaced."""
    if exists(directory):
        raise StorageError(
            f"there are keys in {directory} already", "name another folder; keys are never replaced, they may own funds"
        )
    return _create(mine, directory, passphrase, work)


def unlock(directory: Path, passphrase: str) -> NodeKeys:
    """The keys that `create` wrote; UsageError for another passphrase, StorageError for a damaged file."""
    path = directory / ENCRYPTED_FILE
    held = _read(directory)
    try:
        return _opened(held, passphrase)
    except WrongPassphrase as error:
        raise UsageError(f"the passphrase does not open {path}", _ASK_AGAIN) from error
    except DecodeError as error:
        raise private.damaged(path, error.what) from error


def open_keys(directory: Path, ask: Callable[[], str]) -> NodeKeys:
    """The folder's keys, whichever kind they are; whoever has the passphrase is asked only if one is needed."""
    if identity(directory).encrypted:
        return unlock(directory, ask())
    return keys.load(directory)


def require_encrypted(directory: Path, chain: str) -> None:
    """PlanError where a chain has real funds and the keys lie there for any program to read."""
    found = identity(directory)
    at = directory / keys.FILE
    if not found.encrypted:
        raise PlanError(
            f"{chain} is a live chain, and the keys in {at} are not encrypted",
            f"run: p2pfd keys change-passphrase --home {directory.parent}",
        )
    if found.plain_beside:
        raise PlanError(
            f"{chain} is a live chain, and the keys lie there in plain in {at}, too",
            f"run: p2pfd keys change-passphrase --home {directory.parent}; that ends what was begun",
        )


def change_passphrase(directory: Path, mine: NodeKeys, new: str, *, work: int = STANDARD_WORK) -> None:
    """Encrypt the folder's keys anew, plain ones for the first time; the old file goes when the new one was opened.

    ``mine`` are the keys as they were opened from there: who changes the passphrase has known the old one.
    """
    found = identity(directory)
    if (found.peer, found.account) != (mine.peer, mine.account.account):
        raise StorageError(f"{directory} has other keys by now", "nothing was changed; try again")
    if found.encrypted:
        _replace(mine, directory, new, work)
    else:
        _create(mine, directory, new, work)
        unlock(directory, new)
    if found.plain_beside or not found.encrypted:
        try:
            for draft in directory.glob(f".{keys.FILE}.*"):  # what a process left that was killed while it wrote
                draft.unlink()
            (directory / keys.FILE).unlink()
            sync_directory(directory)
        except OSError as error:
            raise StorageError(f"cannot delete {directory / keys.FILE}: {error.strerror}", "delete it") from error


def export(mine: NodeKeys, passphrase: str, *, work: int = STANDARD_WORK) -> str:
    """The account's key, without the peer's, as the text of a key file for any wallet."""
    return json.dumps(keyfile.encrypt(mine.account, passphrase, work=work), indent=1) + "\n"


def imported(raw: bytes, passphrase: Callable[[], str]) -> NodeKeys:
    """The keys in a file from elsewhere: a key file of a wallet or of ours, or a private key of 64 hex digits.

    Where the file has no peer key, a fresh one comes with the account. UsageError for another passphrase, DecodeError
    for what is no such file.
    """
    text = raw.strip()
    if len(text.removeprefix(b"0x")) == 2 * KEY_BYTES:
        try:
            key = AccountKey(bytes.fromhex(text.decode().removeprefix("0x")))
        except ValueError:
            raise DecodeError("it is not 64 hex digits", "name a wallet's key file") from None
        return NodeKeys(keys.fresh().peer_private, key)
    try:
        value = boundedjson.loads(text)
    except (ValueError, RecursionError):
        raise DecodeError("it is neither JSON nor 64 hex digits", "name a wallet's key file") from None
    keyfile.check(value)
    try:
        if isinstance(value.get(PART), dict):
            return _opened(_checked(value), passphrase())
        return NodeKeys(keys.fresh().peer_private, keyfile.decrypt(value, passphrase()))
    except WrongPassphrase as error:
        raise UsageError("the passphrase does not open the file", _ASK_AGAIN) from error


# -- the file ----------------------------------------------------------------------------------------------------------


def _create(mine: NodeKeys, directory: Path, passphrase: str, work: int) -> Path:
    path = directory / ENCRYPTED_FILE
    text = _text(mine, passphrase, work)
    try:
        private.make_directory(directory)
        new = private.create(path, text)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "check the disk and the folder's owner") from error
    if not new:
        raise StorageError(f"{path} is there already", "name another folder; keys are never replaced")
    return path


def _replace(mine: NodeKeys, directory: Path, passphrase: str, work: int) -> None:
    path = directory / ENCRYPTED_FILE
    text = _text(mine, passphrase, work)
    if _opened(json.loads(text), passphrase) != mine:  # the old file is about to go
        raise StorageError("the new file would not open", "the old one was kept; please report it")
    try:
        private.replace(path, text)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "the old passphrase still holds") from error


def _text(mine: NodeKeys, passphrase: str, work: int) -> str:
    held = keyfile.encrypt(mine.account, passphrase, work=work)
    salt = secrets.token_bytes(32)
    cipher = ChaCha20Poly1305(_wrapping_key(mine.account, salt))
    part = {
        "version": VERSION,
        "peer": mine.peer,
        "account": mine.account.account,
        "salt": salt.hex(),
        "peer_key": cipher.encrypt(_NONCE, mine.peer_private, _names(mine.peer, mine.account.account)).hex(),
    }
    held[PART] = {**part, "check": _digest(held, part)}
    return json.dumps(held, indent=1) + "\n"


def _opened(held: dict[str, Any], passphrase: str) -> NodeKeys:
    part = held[PART]
    key = keyfile.decrypt(held, passphrase)
    cipher = ChaCha20Poly1305(_wrapping_key(key, bytes.fromhex(part["salt"])))
    try:
        peer_private = cipher.decrypt(_NONCE, bytes.fromhex(part["peer_key"]), _names(part["peer"], part["account"]))
    except InvalidTag:
        raise DecodeError("its peer key does not belong to its account key") from None
    mine = NodeKeys(peer_private, key)
    if (mine.peer, mine.account.account) != (part["peer"], part["account"]):
        raise DecodeError("its keys do not belong to the names that stand beside them")
    return mine


def _read(directory: Path) -> dict[str, Any]:
    path = directory / ENCRYPTED_FILE
    raw = private.read(path)
    try:
        return _checked(boundedjson.loads(raw))
    except DecodeError as error:
        raise private.damaged(path, error.what) from error
    except (ValueError, RecursionError) as error:
        raise private.damaged(path, "it is not JSON") from error


def _checked(value: object) -> dict[str, Any]:
    """The whole file, its names and forms checked: what can be wrong without the passphrase."""
    keyfile.check(value)
    assert isinstance(value, dict)
    part = value.get(PART)
    if not isinstance(part, dict) or part.get("version") != VERSION:
        raise DecodeError("it has no peer key of this version", "p2pfd keys import takes the files of other wallets")
    names = ("peer", "account", "salt", "peer_key", "check")
    if not all(isinstance(part.get(name), str) and part[name].isascii() for name in names):
        raise DecodeError("a part of the peer key is missing")
    public_key_of(PeerId(part["peer"]))
    if account(part["account"]) != part["account"]:
        raise DecodeError("its account has capital letters")
    for name, size in (("salt", 32), ("peer_key", KEY_BYTES + _TAG_BYTES)):
        keyfile.check_hex(part[name], name, size, size)
    if _digest({k: held for k, held in value.items() if k != PART}, part) != part["check"]:
        raise DecodeError("its parts were changed after it was written")
    return value


def _digest(held: dict[str, Any], part: dict[str, Any]) -> str:
    """Tells a damaged file from a wrong passphrase. It is no secret and proves nothing about who wrote the file."""
    rest = {name: value for name, value in part.items() if name != "check"}
    return hashlib.sha256(json.dumps([held, rest], sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _wrapping_key(key: AccountKey, salt: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, _DOMAIN).derive(key.private)


def _names(peer: str, who: str) -> bytes:
    return f"{peer} {who}".encode()

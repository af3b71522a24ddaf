"""A node's two keys: an Ed25519 key for the peer network and a secp256k1 key for the chain, and their file."""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from p2pfd.core.ids import PeerId, peer_id_of, public_key_of
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, StorageError
from p2pfd.node import private
from p2pfd.settlement.accounts import KEY_BYTES, ORDER, AccountKey

FILE = "keys.json"
ENCRYPTED_FILE = "keystore.json"
VERSION = 1
KEYS_AT_HAND = 1024
"""Of so many peers the public key is not read out of the id again."""
_SECRET_DOMAIN = b"p2pfd-node-secret-1"


@dataclass(frozen=True)
class NodeKeys:
    """Who a node is to its peers, and who it is to the chain."""

    peer_private: bytes = field(repr=False)
    account: AccountKey

    def __post_init__(self) -> None:
        if len(self.peer_private) != KEY_BYTES:
            raise DecodeError(f"an Ed25519 private key is {KEY_BYTES} bytes, not {len(self.peer_private)}")

    def __repr__(self) -> str:
        return f"NodeKeys(peer={self.peer!r}, account={self.account.account!r})"

    @cached_property
    def _signer(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.peer_private)

    @cached_property
    def public(self) -> bytes:
        """The 32 bytes of the Ed25519 public key."""
        return self._signer.public_key().public_bytes_raw()

    @cached_property
    def peer(self) -> PeerId:
        """The libp2p peer id."""
        return peer_id_of(self.public)

    def sign(self, message: bytes) -> bytes:
        """The peer key's signature, 64 bytes; the same message always gives the same bytes."""
        return self._signer.sign(message)

    def __getstate__(self) -> dict[str, object]:
        return {"peer_private": self.peer_private, "account": self.account}  # the cached signer cannot be copied


def verify(peer: PeerId, message: bytes, signature: bytes) -> bool:
    """Whether this peer signed this message; an id that holds no Ed25519 key has signed nothing."""
    try:
        _key_of(peer).verify(signature, message)
    except (InvalidSignature, DecodeError):
        return False
    return True


@lru_cache(maxsize=KEYS_AT_HAND)
def _key_of(peer: PeerId) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_key_of(peer))


def fresh() -> NodeKeys:
    """New keys from the operating system's randomness."""
    while True:
        private = secrets.token_bytes(KEY_BYTES)
        if 0 < int.from_bytes(private, "big") < ORDER:
            return NodeKeys(secrets.token_bytes(KEY_BYTES), AccountKey(private))


def throwaway(seed: int | bytes, name: str) -> NodeKeys:
    """The keys of this name in a local mesh. Who knows the seed knows them: put no money on such an account."""
    rng = Rng(seed).split("throwaway", name)
    peer_private = rng.split("peer").bytes(KEY_BYTES)
    account = rng.split("account").between(1, ORDER - 1)
    return NodeKeys(peer_private, AccountKey(account.to_bytes(KEY_BYTES, "big")))


def secret(keys: NodeKeys) -> bytes:
    """Thirty-two bytes that only this node can know, and knows again after a restart; its salts come from them."""
    return hmac.digest(keys.peer_private, _SECRET_DOMAIN + keys.account.private, "sha256")


def save(keys: NodeKeys, directory: Path) -> Path:
    """Write the keys where only this user can read them. Keys that are there already are never replaced."""
    path = directory / FILE
    held = {
        "version": VERSION,
        "peer": keys.peer,
        "account": keys.account.account,
        "peer_private": keys.peer_private.hex(),
        "account_private": keys.account.private.hex(),
    }
    try:
        private.make_directory(directory)
        new = private.create(path, json.dumps(held, indent=1) + "\n")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "check the disk and the folder's owner") from error
    if not new and load(directory) != keys:
        raise StorageError(f"{path} holds other keys", "move that file away first; its account may own funds")
    return path


def load(directory: Path) -> NodeKeys:
    """The keys that `save` wrote; StorageError when they are missing, damaged or readable by others."""
    path = directory / FILE
    if not path.exists() and (directory / ENCRYPTED_FILE).exists():
        raise StorageError(
            f"the keys in {directory} are encrypted", "give the passphrase: --passphrase-file FILE, or P2PFD_PASSPHRASE"
        )
    raw = private.read(path)
    try:
        held = json.loads(raw)
        if not isinstance(held, dict) or held.get("version") != VERSION:
            raise DecodeError("it is not a key file of this version")
        keys = NodeKeys(bytes.fromhex(held["peer_private"]), AccountKey(bytes.fromhex(held["account_private"])))
        if (keys.peer, keys.account.account) != (held["peer"], held["account"]):
            raise DecodeError("its keys do not belong to the names that stand beside them")
    except KeyError as error:
        raise private.damaged(path, f"{error.args[0]} is missing") from error
    except DecodeError as error:
        raise private.damaged(path, error.what) from error
    except (ValueError, TypeError, RecursionError):
        raise private.damaged(path, "it is not JSON of hex text") from None  # the cause would quote the secret
    return keys

"""Manifests signed and as text: short enough to paste, and refused whole when a single character is another one."""

from __future__ import annotations

import base64
import binascii
import zlib

from p2pfd.core.canonical import decode, encode
from p2pfd.core.manifest import Manifest, manifest_of
from p2pfd.errors import DecodeError, PlanError
from p2pfd.settlement.accounts import AccountKey, recover

PREFIX = "p2pfd-task-1:"
MAX_TEXT = 64 * 1024
"""So long a text is looked at at all."""
MAX_BYTES = 64 * 1024
"""So many bytes it may unpack to."""
WIDTH = 96


def seal(manifest: Manifest, key: AccountKey) -> str:
    """The manifest, signed by the requester, as text of several lines."""
    if key.account != manifest.requester:
        raise PlanError(f"{key.account} signs for {manifest.requester}", "the requester signs: name its keys")
    packed = zlib.compress(encode([manifest.to_plain(), key.sign(_said(manifest))]), 9)
    text = PREFIX + base64.urlsafe_b64encode(packed).decode()
    return "".join(text[at : at + WIDTH] + "\n" for at in range(0, len(text), WIDTH))


def unseal(text: str) -> Manifest:
    """The manifest of a text; PlanError for one that is none, or that the requester did not sign as it stands."""
    if len(text) > MAX_TEXT:
        raise PlanError(f"a manifest of {len(text)} characters", f"at most {MAX_TEXT} are taken")
    compact = "".join(text.split())
    if not compact.startswith(PREFIX):
        raise PlanError("this is no manifest", f"its text begins with {PREFIX}")
    try:
        packed = base64.b64decode(compact.removeprefix(PREFIX), altchars=b"-_", validate=True)
        opened = zlib.decompressobj()
        raw = opened.decompress(packed, MAX_BYTES)
        if opened.unconsumed_tail or opened.unused_data or not opened.eof:
            raise DecodeError("it is cut off, or too large")
        value = decode(raw, limit=MAX_BYTES)
    except (binascii.Error, ValueError, zlib.error, DecodeError) as error:
        raise PlanError(f"the manifest is damaged: {error}", "copy it again, all lines of it") from error
    match value:
        case [dict(plain), bytes(signature)]:
            manifest = manifest_of(plain)
        case _:
            raise PlanError("the manifest is damaged: it has no signature", "copy it again, all lines of it")
    try:
        signer = recover(_said(manifest), signature)
    except DecodeError as error:
        raise PlanError(f"the manifest's signature is none: {error}", "ask the requester for it again") from error
    if signer != manifest.requester:
        raise PlanError(
            f"the manifest is not what {manifest.requester} signed",
            "somebody changed it: ask the requester for it, and take part in nothing meanwhile",
        )
    return manifest


def _said(manifest: Manifest) -> bytes:
    """What the requester signs, in words that a wallet shows."""
    return f"p2pfd task {manifest.task.id.hex()}\nmanifest {manifest.digest.hex()}".encode()

"""What a message is as its how-manieth, signed: what is published on a task's topic, or said to one peer.

An envelope is one byte of version and a canonical list. It names neither its task nor its sender: whoever takes it
knows them, by the topic and by who published it or holds the connection, and the signature is over both. It is read in
two steps, the cheap one first: `read` looks at sizes and form, and only what passes has its signature checked and its
body decoded by `check`. `open_envelope` does both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p2pfd.core import canonical
from p2pfd.core.ids import DIGEST_BYTES, PeerId, TaskId
from p2pfd.core.verdict import Ignore, Reject
from p2pfd.errors import DecodeError
from p2pfd.wire import codec
from p2pfd.wire.limits import MAX_ENVELOPE, MAX_MESSAGE, MAX_SEQ, PEER_SIGNATURE_BYTES
from p2pfd.wire.messages import Hello, Message

VERSION = 2
_DOMAIN = "p2pfd-envelope"

Sign = Callable[[bytes], bytes]
Verify = Callable[[PeerId, bytes, bytes], bool]


class OtherVersionError(DecodeError):
    """An envelope of a version that this release does not know, so it cannot judge it."""


class SignatureError(DecodeError):
    """The envelope's signature is not its sender's."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An envelope whose form is right and whose signature nobody has checked yet."""

    seq: int
    body: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message that its sender signed. ``seq`` tells apart the sender's messages of one task."""

    version: int
    task: TaskId
    sender: PeerId
    seq: int
    body: Message
    signature: bytes


_CHECKS = {
    "seq": codec.integer(0, MAX_SEQ),
    "body": codec.raw_bytes(1, MAX_MESSAGE),
    "signature": codec.raw_bytes(PEER_SIGNATURE_BYTES),
}
"""By field, in the order in which they stand."""
_CONTEXT = {"task": codec.raw_bytes(DIGEST_BYTES), "sender": codec.a_peer}


def signed_bytes(task: TaskId, sender: PeerId, seq: int, body: bytes) -> bytes:
    """What the sender signs. No other thing that a peer key signs begins with the same bytes."""
    return canonical.encode([_DOMAIN, VERSION, task, sender, seq, body])


def seal(message: Message, task: TaskId, seq: int, sender: PeerId, sign: Sign) -> bytes:
    """The bytes to publish; ValueError for what no peer would take."""
    body = codec.encode(message)
    if isinstance(message, Hello) and message.peer != sender:
        raise ValueError("a hello is sent by the peer it is about")
    signature = sign(signed_bytes(task, sender, seq, body))
    try:
        codec.check_fields({"task": task, "sender": sender}, _CONTEXT)
        codec.check_fields({"seq": seq, "body": body, "signature": signature}, _CHECKS)
    except DecodeError as error:
        raise ValueError(f"envelope: {error.what}") from error
    return bytes([VERSION]) + canonical.encode([seq, body, signature])


def read(raw: bytes) -> Sealed:
    """The first step: everything that can be known without a signature check, and without decoding the body.

    Raises OtherVersionError, or DecodeError for what is malformed.
    """
    if not raw or raw[0] == 0:
        raise DecodeError("no envelope begins so", f"the first byte is the version, {VERSION}")
    if raw[0] != VERSION:
        raise OtherVersionError(f"an envelope of version {raw[0]}", f"this release reads version {VERSION}")
    if len(raw) > MAX_ENVELOPE:
        raise DecodeError(f"an envelope of {len(raw)} bytes, at most {MAX_ENVELOPE} are taken")
    try:
        parts = canonical.decode(raw[1:], limit=MAX_ENVELOPE)
        if not isinstance(parts, list) or len(parts) != len(_CHECKS):
            raise DecodeError(f"it is no list of {len(_CHECKS)}")
        held = codec.check_fields(dict(zip(_CHECKS, parts, strict=True)), _CHECKS)
        codec.check_size(held["body"])
    except DecodeError as error:
        raise DecodeError(f"envelope: {error.what}") from error
    return Sealed(**held)


def check(sealed: Sealed, verify: Verify, *, task: TaskId, sender: PeerId) -> Envelope:
    """The second step: the signature, then the body. SignatureError, or DecodeError for a body that means nothing."""
    if not verify(sender, signed_bytes(task, sender, sealed.seq, sealed.body), sealed.signature):
        raise SignatureError(f"the signature is not {sender}'s for this task")
    message = codec.decode(sealed.body)
    if isinstance(message, Hello) and message.peer != sender:
        raise DecodeError(f"a hello about {message.peer} from {sender}")
    return Envelope(VERSION, task, sender, sealed.seq, message, sealed.signature)


def open_envelope(raw: bytes, verify: Verify, *, task: TaskId, sender: PeerId) -> Envelope:
    """Both steps. Whatever is wrong is a DecodeError, and `judge` says what it costs."""
    return check(read(raw), verify, task=task, sender=sender)


def judge(error: DecodeError) -> Reject | Ignore:
    """What a node answers to bytes that it could not open: what it cannot judge it ignores, the rest it rejects."""
    return Ignore(error.what) if isinstance(error, OtherVersionError) else Reject(error.what)

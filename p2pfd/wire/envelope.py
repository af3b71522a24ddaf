"""Who says a message, in which task, as its how-manieth, signed: what is published on a task's topic.

An envelope is one byte of version and a canonical map. It is read in two steps, the cheap one first: `read` looks at
sizes, form, task and the body's size, and only what passes has its signature checked and its body decoded by `check`.
`open_envelope` does both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p2pfd.core import canonical
from p2pfd.core.canonical import Plain
from p2pfd.core.ids import DIGEST_BYTES, PeerId, TaskId
from p2pfd.core.verdict import Ignore, Reject
from p2pfd.errors import DecodeError
from p2pfd.wire import codec
from p2pfd.wire.limits import MAX_ENVELOPE, MAX_MESSAGE, MAX_SEQ, PEER_SIGNATURE_BYTES
from p2pfd.wire.messages import Hello, Message

VERSION = 1
_DOMAIN = "p2pfd-envelope"

Sign = Callable[[bytes], bytes]
Verify = Callable[[PeerId, bytes, bytes], bool]


class NewerVersionError(DecodeError):
    """An envelope of a version that this release does not know, so it cannot judge it."""


class OtherTaskError(DecodeError):
    """A well-formed envelope of another task: not for us, and no fault of its sender's."""


class SignatureError(DecodeError):
    """The envelope's signature is not its sender's."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An envelope whose form is right and whose signature nobody has checked yet."""

    task: TaskId
    sender: PeerId
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
    "body": codec.raw_bytes(1, MAX_MESSAGE),
    "sender": codec.a_peer,
    "seq": codec.integer(0, MAX_SEQ),
    "signature": codec.raw_bytes(PEER_SIGNATURE_BYTES),
    "task": codec.raw_bytes(DIGEST_BYTES),
}


def signed_bytes(task: TaskId, sender: PeerId, seq: int, body: bytes) -> bytes:
    """What the sender signs. No other thing that a peer key signs begins with the same bytes."""
    return canonical.encode([_DOMAIN, VERSION, task, sender, seq, body])


def seal(message: Message, task: TaskId, seq: int, sender: PeerId, sign: Sign) -> bytes:
    """The bytes to publish; ValueError for what no peer would take."""
    body = codec.encode(message)
    if isinstance(message, Hello) and message.peer != sender:
        raise ValueError("a hello is sent by the peer it is about")
    held: dict[str, Plain] = {
        "body": body,
        "sender": sender,
        "seq": seq,
        "signature": sign(signed_bytes(task, sender, seq, body)),
        "task": task,
    }
    try:
        codec.check_fields(held, _CHECKS)
    except DecodeError as error:
        raise ValueError(f"envelope: {error.what}") from error
    return bytes([VERSION]) + canonical.encode(held)


def read(raw: bytes, task: TaskId) -> Sealed:
    """The first step: everything that can be known without a signature check, and without decoding the body.

    Raises NewerVersionError, OtherTaskError, or DecodeError for what is malformed.
    """
    if not raw or raw[0] == 0:
        raise DecodeError("no envelope begins so", f"the first byte is the version, {VERSION}")
    if raw[0] > VERSION:
        raise NewerVersionError(f"an envelope of version {raw[0]}", f"this release reads version {VERSION}")
    if len(raw) > MAX_ENVELOPE:
        raise DecodeError(f"an envelope of {len(raw)} bytes, at most {MAX_ENVELOPE} are taken")
    try:
        held = codec.check_fields(canonical.decode(raw[1:], limit=MAX_ENVELOPE), _CHECKS)
        if held["task"] != task:
            raise OtherTaskError(f"an envelope of task {held['task'].hex()}")
        codec.check_size(held["body"])
    except OtherTaskError:
        raise
    except DecodeError as error:
        raise DecodeError(f"envelope: {error.what}") from error
    return Sealed(
        task=TaskId(held["task"]),
        sender=PeerId(held["sender"]),
        seq=held["seq"],
        body=held["body"],
        signature=held["signature"],
    )


def check(sealed: Sealed, verify: Verify) -> Envelope:
    """The second step: the signature, then the body. SignatureError, or DecodeError for a body that means nothing."""
    signed = signed_bytes(sealed.task, sealed.sender, sealed.seq, sealed.body)
    if not verify(sealed.sender, signed, sealed.signature):
        raise SignatureError(f"the signature is not {sealed.sender}'s")
    message = codec.decode(sealed.body)
    if isinstance(message, Hello) and message.peer != sealed.sender:
        raise DecodeError(f"a hello about {message.peer} from {sealed.sender}")
    return Envelope(VERSION, sealed.task, sealed.sender, sealed.seq, message, sealed.signature)


def open_envelope(raw: bytes, verify: Verify, *, task: TaskId) -> Envelope:
    """Both steps. Whatever is wrong is a DecodeError, and `judge` says what it costs."""
    return check(read(raw, task), verify)


def judge(error: DecodeError) -> Reject | Ignore:
    """What a node answers to bytes that it could not open: what it cannot judge it ignores, the rest it rejects."""
    if isinstance(error, (NewerVersionError, OtherTaskError)):
        return Ignore(error.what)
    return Reject(error.what)

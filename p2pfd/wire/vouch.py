"""A peer id and an account vouch for each other: the two halves of a `Hello`.

Either half alone proves nothing. A peer could claim somebody else's account, to take the credit for its work; an
account could claim somebody else's peer id, to put the blame for its messages there. Both name the task, so that a
hello cannot be carried into another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from p2pfd.core import canonical
from p2pfd.core.ids import Account, PeerId, TaskId
from p2pfd.errors import DecodeError
from p2pfd.wire.envelope import Verify
from p2pfd.wire.messages import Hello

_DOMAIN = "p2pfd-hello"

Recover = Callable[[bytes, bytes], Account]
"""The account that signed a message; DecodeError when the signature is none."""


class AccountSigner(Protocol):
    """An account, and its signature."""

    @property
    def account(self) -> Account:
        """Which account signs."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The account's signature, 65 bytes."""
        ...


class Signer(Protocol):
    """A peer and its account, and the signatures of both."""

    @property
    def peer(self) -> PeerId:
        """Which peer signs."""
        ...

    @property
    def account(self) -> AccountSigner:
        """The account's half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The peer's signature, 64 bytes."""
        ...


def peer_statement(task: TaskId, who: Account) -> bytes:
    """What the peer key signs. The envelopes it also signs begin with another name."""
    return canonical.encode([_DOMAIN, 1, task, who])


def account_statement(task: TaskId, peer: PeerId) -> bytes:
    """What the account's key signs: plain text, so that a wallet can show its owner what is asked."""
    return f"p2pfd-hello 1\ntask {task.hex()}\nmy peer is {peer}".encode()


def vouch(task: TaskId, keys: Signer) -> Hello:
    """The hello of these keys in a task."""
    return Hello(
        peer=keys.peer,
        account=keys.account.account,
        by_peer=keys.sign(peer_statement(task, keys.account.account)),
        by_account=keys.account.sign(account_statement(task, keys.peer)),
    )


def check_vouch(hello: Hello, task: TaskId, verify_peer: Verify, recover_account: Recover) -> None:
    """Return when both halves hold in this task, and raise DecodeError with the half that does not.

    That the hello came from the peer it is about is checked where envelopes are opened.
    """
    if not verify_peer(hello.peer, peer_statement(task, hello.account), hello.by_peer):
        raise DecodeError(f"hello: {hello.peer} has not signed for {hello.account} in this task")
    try:
        signer = recover_account(account_statement(task, hello.peer), hello.by_account)
    except DecodeError as error:
        raise DecodeError(f"hello: {error.what}") from error
    if signer != hello.account:
        raise DecodeError(f"hello: {hello.account} has not signed for {hello.peer} in this task")

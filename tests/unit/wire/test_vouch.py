"""A hello holds only when the peer and the account both signed for each other, in this task."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pfd.core.ids import Account, TaskId
from p2pfd.errors import DecodeError
from p2pfd.node.keys import NodeKeys, throwaway, verify
from p2pfd.settlement.accounts import ORDER, recover
from p2pfd.wire import codec, envelope
from p2pfd.wire.messages import Hello
from p2pfd.wire.vouch import account_statement, check_vouch, peer_statement, vouch

TASK = TaskId(b"t" * 32)
OTHER = TaskId(b"u" * 32)
ALICE = throwaway(1, "alice")
MALLORY = throwaway(1, "mallory")
HELLO = vouch(TASK, ALICE)


def _refused(hello: Hello, reason: str, task: TaskId = TASK) -> None:
    with pytest.raises(DecodeError) as caught:
        check_vouch(hello, task, verify, recover)
    assert str(caught.value).startswith("hello: ")
    assert reason in str(caught.value)


def test_a_hello_holds_in_its_task() -> None:
    check_vouch(HELLO, TASK, verify, recover)
    check_vouch(codec.decode(codec.encode(HELLO)), TASK, verify, recover)  # type: ignore[arg-type]
    assert (HELLO.peer, HELLO.account) == (ALICE.peer, ALICE.account.account)


def test_what_is_signed_never_changes() -> None:
    account = Account("0x" + "1" * 40)
    assert peer_statement(TASK, account) == b"\x94\xabp2pfd-hello\1\xc4\x20" + TASK + b"\xd9\x2a" + account.encode()
    assert account_statement(TASK, ALICE.peer) == (
        b"p2pfd-hello 1\ntask " + b"74" * 32 + b"\nmy peer is 12D3KooWDaBG8xBmhKNJtSn78g9pq8fcubExgzJ6iGS9ranTLQ9Y"
    )


def test_it_does_not_hold_in_another_task() -> None:
    _refused(HELLO, "has not signed for", OTHER)


def test_each_half_must_be_of_this_task() -> None:
    other = vouch(OTHER, ALICE)
    _refused(replace(HELLO, by_peer=other.by_peer), f"{ALICE.peer} has not signed for {HELLO.account}")
    _refused(replace(HELLO, by_account=other.by_account), f"{HELLO.account} has not signed for {ALICE.peer}")


def test_nobody_can_take_somebody_else_s_account() -> None:
    thief = vouch(TASK, NodeKeys(MALLORY.peer_private, ALICE.account))  # what Mallory would need Alice's key for
    mallory = vouch(TASK, MALLORY)
    _refused(replace(thief, by_account=mallory.by_account), "has not signed for")
    _refused(replace(thief, by_account=HELLO.by_account), "has not signed for")


def test_nobody_can_blame_somebody_else_s_peer() -> None:
    blamed = vouch(TASK, NodeKeys(ALICE.peer_private, MALLORY.account))
    _refused(replace(blamed, by_peer=vouch(TASK, MALLORY).by_peer), "has not signed for")
    _refused(replace(blamed, by_peer=HELLO.by_peer), "has not signed for")


def test_the_halves_cannot_be_swapped_for_other_signatures_of_the_same_keys() -> None:
    _refused(replace(HELLO, by_peer=ALICE.sign(account_statement(TASK, ALICE.peer))), "has not signed")
    _refused(replace(HELLO, by_account=ALICE.account.sign(peer_statement(TASK, HELLO.account))), "has not signed")
    raw = envelope.seal(HELLO, TASK, 0, ALICE.peer, ALICE.sign)
    sealed = envelope.read(raw)
    _refused(replace(HELLO, by_peer=sealed.signature), "has not signed")


def test_the_twin_of_the_account_s_signature_is_refused() -> None:
    s = ORDER - int.from_bytes(HELLO.by_account[32:64], "big")
    twin = HELLO.by_account[:32] + s.to_bytes(32, "big") + bytes([55 - HELLO.by_account[64]])
    _refused(replace(HELLO, by_account=twin), "out of range")


@pytest.mark.parametrize("length", [0, 64, 66])
def test_malformed_signatures_are_refused(length: int) -> None:
    _refused(replace(HELLO, by_account=b"\x1b" * length), "65 bytes")
    _refused(replace(HELLO, by_peer=b"\x1b" * length), "has not signed")


def test_every_byte_of_both_signatures_counts() -> None:
    halves = HELLO.by_peer + HELLO.by_account
    for position in range(len(halves)):
        bad = bytearray(halves)
        bad[position] ^= 0x10
        hello = replace(HELLO, by_peer=bytes(bad[:64]), by_account=bytes(bad[64:]))
        with pytest.raises(DecodeError):
            check_vouch(hello, TASK, verify, recover)

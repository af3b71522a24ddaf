"""Where no chain enrols workers, nodes find out by hellos who takes part, and wait for one another a while."""

from __future__ import annotations

import pytest

from p2pfd.core.effects import Compute, Publish, SetTimer
from p2pfd.core.events import Heard, Restored, Started, TimerFired
from p2pfd.core.ids import Account, Digest, PeerId, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.core.verdict import Ignore
from p2pfd.roles.circle import MOST_KEPT, MOST_STRANGERS, Circle
from p2pfd.roles.distill import GossipDistill, Phase, Seat
from p2pfd.wire.messages import Commit, Hello, Reveal

PEERS = [PeerId(f"peer-{number}") for number in range(4)]
ACCOUNTS = [Account("0x" + f"{number:02x}" * 20) for number in range(4)]
HELLOS = [Hello(peer, account, b"", b"") for peer, account in zip(PEERS, ACCOUNTS, strict=True)]


def machine(seats: int) -> GossipDistill:
    return GossipDistill(
        Seat(
            task=TaskId(b"\1" * 32),
            peer=PEERS[0],
            account=ACCOUNTS[0],
            secret=b"s",
            samples=4,
            classes=2,
            rounds=1,
            quorum=2,
            seats=seats,
            enrol_ticks=9 * SECOND,
            commit_ticks=SECOND,
            reveal_ticks=SECOND,
            hello=HELLOS[0],
        )
    )


def greet(node: GossipDistill, other: int):
    return node.handle(Tick(5), Heard(other, PEERS[other], HELLOS[other]))


def test_the_first_round_waits_for_everyone():
    node = machine(seats=3)
    assert node.handle(Tick(0), Started()) == (Publish(HELLOS[0]), SetTimer("deadline", Tick(9 * SECOND)))
    assert node.phase is Phase.IDLE
    assert not any(isinstance(effect, Compute) for effect in greet(node, 1))
    assert any(isinstance(effect, Compute) for effect in greet(node, 2))
    assert node.workers == tuple(sorted(ACCOUNTS[:3]))


def test_it_waits_no_longer_than_the_deadline():
    node = machine(seats=3)
    node.handle(Tick(0), Started())
    greet(node, 1)
    assert any(isinstance(effect, Compute) for effect in node.handle(Tick(9 * SECOND), TimerFired("deadline")))
    assert node.workers == tuple(sorted(ACCOUNTS[:2]))


@pytest.mark.parametrize(("here", "seconds"), [(1, 1), (15, 1), (16, 2), (100, 12)])
def test_the_more_are_here_the_later_a_newcomer_is_greeted(here, seconds):
    circle = Circle({PeerId(str(n)): Account(f"0x{n:040x}") for n in range(here)}, 1)
    assert circle.greeting(Tick(5)) == SetTimer("greet", Tick(5 + seconds * SECOND))


def test_a_crowd_of_newcomers_is_greeted_once():
    node = machine(seats=9)
    node.handle(Tick(0), Started())
    timers = [effect for other in (1, 2, 3) for effect in greet(node, other) if isinstance(effect, SetTimer)]
    assert [timer.name for timer in timers] == ["greet"]
    assert node.handle(Tick(2 * SECOND), TimerFired("greet")) == (Publish(HELLOS[0]),)


@pytest.mark.parametrize(
    ("peer", "account", "reason"),
    [
        (PEERS[1], ACCOUNTS[2], "this peer is bound to another account"),
        (PEERS[2], ACCOUNTS[1], "this account is bound to another peer"),
    ],
)
def test_a_bond_of_peer_and_account_is_for_good(peer: PeerId, account: Account, reason: str):
    node = machine(seats=9)
    node.handle(Tick(0), Started())
    greet(node, 1)
    (answer,) = node.handle(Tick(9), Heard(7, peer, Hello(peer, account, b"", b"")))
    assert answer.verdict.reason == reason
    assert node.circle.accounts[PEERS[1]] == ACCOUNTS[1]


def test_what_a_stranger_said_counts_once_it_is_met():
    node = machine(seats=2)
    node.handle(Tick(0), Started())
    labels = b"\0\1\0\1"
    salt = b"\7" * 32
    bound = commitment(TaskId(b"\1" * 32), RoundId(0), ACCOUNTS[1], salt, pack(labels))
    for number, message in enumerate((Commit(RoundId(0), bound), Reveal(RoundId(0), salt, pack(labels)))):
        (answer,) = node.handle(Tick(1), Heard(number, PEERS[1], message, b"signed"))
        assert isinstance(answer.verdict, Ignore)
    greet(node, 1)
    assert node.ballot.present.labels == {ACCOUNTS[1]: labels}
    assert node.circle.strangers == {}


def test_strangers_cannot_fill_the_memory():
    node = machine(seats=2)
    node.handle(Tick(0), Started())
    for number in range(1000):
        for rnd in range(20):
            node.handle(Tick(1), Heard(number, PeerId(f"stranger-{number}"), Commit(RoundId(rnd), Digest(b"\0" * 32))))
    assert len(node.circle.strangers) == MOST_STRANGERS
    assert all(len(kept) == MOST_KEPT for kept in node.circle.strangers.values())
    again = machine(seats=2)
    again.restore(node.snapshot())
    assert again.circle.strangers == node.circle.strangers
    assert again.snapshot() == node.snapshot()


def test_who_hears_the_others_before_it_starts_opens_the_round_once():
    node = machine(2)
    opened = greet(node, 1)
    assert any(isinstance(effect, Compute) for effect in opened)
    started = node.handle(Tick(6), Started())
    assert not any(isinstance(effect, Compute) for effect in started)


@pytest.mark.parametrize("back", [3_600, 0, -30], ids=["an hour back", "as it was", "half a minute on"])
def test_a_clock_that_was_set_back_makes_no_phase_longer(back: int):
    before, after = machine(seats=2), machine(seats=2)
    noon = Tick(100 * 3_600 * SECOND)
    before.handle(noon, Started())
    effects = before.handle(noon, Heard(1, PEERS[1], HELLOS[1]))
    (opened,) = [each for each in effects if isinstance(each, SetTimer) and each.name == "deadline"]
    length = opened.at - noon
    assert length == SECOND
    after.restore(before.snapshot())
    now = Tick(noon - back * SECOND)
    effects = after.handle(now, Restored())
    (timer,) = [each for each in effects if isinstance(each, SetTimer) and each.name == "deadline"]
    assert timer.at == min(max(opened.at, now), now + length)

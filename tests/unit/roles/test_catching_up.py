"""Where no chain rules, each node does: when it leaves a round that the others have left, and what counts in one."""

from __future__ import annotations

import hashlib

import pytest

from p2pfd.core.effects import CancelTimer, Compute, Effect, Emit, Publish, SetTimer
from p2pfd.core.events import Computed, Heard, Restored, Started, TimerFired
from p2pfd.core.ids import Account, PeerId, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.roles.distill import GossipDistill, Phase, Seat
from p2pfd.roles.work import Absorb, Absorbed, Studied, Study
from p2pfd.wire.messages import Commit, Hello, Reveal

TASK, SALT, LABELS = TaskId(b"\1" * 32), b"\7" * 32, b"\0\1\0\1"
PEERS = [PeerId(f"peer-{number}") for number in range(6)]
ACCOUNTS = [Account("0x" + f"{number:02x}" * 20) for number in range(6)]


class Node:
    """Number 0 of so many, in its first round, at work."""

    def __init__(self, nodes: int = 5, rounds: int = 9, quorum: int = 2) -> None:
        self.machine = GossipDistill(
            Seat(
                task=TASK,
                peer=PEERS[0],
                account=ACCOUNTS[0],
                secret=b"s",
                samples=4,
                classes=2,
                rounds=rounds,
                quorum=quorum,
                seats=nodes,
                enrol_ticks=90,
                commit_ticks=50,
                reveal_ticks=30,
                members={PEERS[other]: ACCOUNTS[other] for other in range(1, nodes)},
            )
        )
        self.now = 0
        self.live(Started())

    def live(self, event: object, now: int | None = None) -> tuple[Effect, ...]:
        self.now = self.now + 1 if now is None else now
        return self.machine.handle(Tick(self.now), event)  # type: ignore[arg-type]

    def bound(self, who: int, rnd: int = 0) -> tuple[Effect, ...]:
        made = commitment(TASK, RoundId(rnd), ACCOUNTS[who], SALT, pack(LABELS))
        return self.live(Heard(1, PEERS[who], Commit(RoundId(rnd), made), b"signed"))

    def shows(self, who: int, rnd: int = 0) -> tuple[Effect, ...]:
        return self.live(Heard(1, PEERS[who], Reveal(RoundId(rnd), SALT, pack(LABELS)), b"signed"))

    def studied(self) -> tuple[Effect, ...]:
        return self.live(Computed(f"study/{self.machine.round}", Studied(LABELS)))

    def rings(self) -> tuple[Effect, ...]:
        return self.live(TimerFired("deadline"))


def names(effects: tuple[Effect, ...]) -> list[str]:
    return [each.name for each in effects if isinstance(each, Emit)]


def asked(effects: tuple[Effect, ...]) -> list[object]:
    return [each.work for each in effects if isinstance(each, Compute)]


def test_a_round_is_left_once_more_than_half_of_the_others_are_bound_in_a_later_one() -> None:
    node = Node()
    assert "round.outrun" not in names(node.bound(1, 1) + node.bound(2, 1)), "two of four are half"
    effects = node.bound(3, 1)
    assert "round.outrun" in names(effects)
    assert Study(RoundId(1)) in asked(effects)
    assert node.machine.round == 1


def test_of_those_ahead_the_slowest_of_the_majority_says_how_far_to_go() -> None:
    node = Node()
    node.bound(1, 2)
    node.bound(2, 2)
    node.bound(3, 1)
    assert node.machine.round == 1, "three are in the first or later, and only two in the second"
    node.bound(4, 2)
    assert node.machine.round == 2


def test_who_is_far_ahead_counts_as_well_though_its_commitment_is_not_kept() -> None:
    node = Node()
    for who in (1, 2):
        node.bound(who, 7)
    assert node.machine.round == 0
    node.bound(3, 5)
    assert node.machine.round == 5
    assert node.machine.ahead == {ACCOUNTS[1]: 7, ACCOUNTS[2]: 7, ACCOUNTS[3]: 5}


def test_a_round_that_there_is_not_is_nowhere_to_go() -> None:
    node = Node(rounds=3)
    for who in (1, 2, 3, 4):
        node.bound(who, 3)
    assert node.machine.round == 0


def test_who_shows_its_labels_stays_and_catches_up_when_the_round_is_over() -> None:
    node = Node()
    node.studied()
    node.bound(4)
    node.rings()
    assert node.machine.phase is Phase.REVEAL
    for who in (1, 2, 3):
        node.bound(who, 2)
    assert node.machine.round == 0
    node.rings()
    assert node.machine.round == 2, "alone it is short of the quorum, and goes on where the others are"


def test_two_nodes_follow_each_other() -> None:
    node = Node(nodes=2)
    node.bound(1, 1)
    assert node.machine.round == 1


def test_the_reveals_begin_when_all_are_bound_and_end_when_all_who_were_have_shown() -> None:
    node = Node(nodes=3)
    assert not any(isinstance(each, Publish) and isinstance(each.message, Reveal) for each in node.studied())
    node.bound(1)
    effects = node.bound(2)
    assert any(isinstance(each, Publish) and isinstance(each.message, Reveal) for each in effects)
    assert SetTimer("deadline", Tick(node.now + 30)) in effects
    assert asked(node.shows(1)) == []
    effects = node.shows(2)
    assert CancelTimer("deadline") in effects
    (work,) = asked(effects)
    assert isinstance(work, Absorb)
    assert [who for who, _ in work.votes] == ACCOUNTS[:3]


def test_who_is_bound_after_the_reveals_have_begun_does_not_count_for_it_may_have_copied() -> None:
    node = Node(nodes=4)
    node.studied()
    node.bound(1)
    node.rings()
    node.bound(2)
    node.shows(2)
    (work,) = asked(node.shows(1))
    assert isinstance(work, Absorb)
    assert [who for who, _ in work.votes] == ACCOUNTS[:2]


def test_who_still_studies_when_the_commitments_close_watches_and_learns_from_the_others() -> None:
    node = Node(nodes=3)
    node.bound(1)
    node.bound(2)
    effects = node.rings()
    assert names(effects) == ["round.committed", "round.late"]
    assert node.machine.phase is Phase.WATCH
    assert "compute.late" in names(node.studied())
    node.shows(1)
    (work,) = asked(node.shows(2))
    assert isinstance(work, Absorb)
    assert [who for who, _ in work.votes] == ACCOUNTS[1:3]


def test_short_of_the_quorum_the_next_round_begins_with_ones_own_model() -> None:
    node = Node(nodes=3, quorum=3)
    node.studied()
    node.bound(1)
    node.rings()
    node.shows(1)
    assert node.machine.round == 1, "two of three showed, and nobody else was bound"
    enough = Node(nodes=3, quorum=2)
    enough.studied()
    enough.bound(1)
    enough.rings()
    assert isinstance(asked(enough.shows(1))[0], Absorb)
    assert enough.machine.round == 0


def test_labels_that_are_not_one_of_the_classes_for_each_sample_are_a_failure() -> None:
    for labels in (b"\0\1\0", b"\0\1\0\1\0", b"\0\1\0\2", b""):
        node = Node()
        effects = node.live(Computed("study/0", Studied(labels)))
        assert names(effects) == ["compute.failed"]
        assert node.machine.phase is Phase.WATCH
    assert Node().live(Computed("study/0", Studied(b"\1\1\1\1")))[0] != ()


def test_what_another_round_asked_for_is_told_and_left() -> None:
    node = Node()
    assert names(node.live(Computed("study/7", Studied(LABELS)))) == ["compute.late"]
    assert node.machine.phase is Phase.STUDY
    assert names(node.live(Computed("study/0", None, "no memory"))) == ["compute.failed"]
    assert node.machine.phase is Phase.WATCH


def test_the_last_round_is_followed_by_the_last_figures() -> None:
    node = Node(nodes=1, rounds=2, quorum=1)
    for rnd in range(2):
        assert node.machine.round == rnd
        node.studied()
        assert node.machine.phase is Phase.ABSORB, "alone, nobody is waited for"
        effects = node.live(Computed(f"absorb/{rnd}", Absorbed(TASK)))  # type: ignore[arg-type]
        assert "round.absorbed" in names(effects)
    assert node.machine.phase is Phase.OVER
    again = Node(nodes=1, rounds=2, quorum=1)
    again.machine.restore(node.machine.snapshot())
    assert [each.job for each in again.live(Restored()) if isinstance(each, Compute)] == ["conclude"]
    assert again.rings() == ()


@pytest.mark.parametrize(("showing", "length"), [(False, 50), (True, 30)])
def test_after_a_restart_a_phase_ends_when_it_would_have_but_never_before_now(showing: bool, length: int) -> None:
    node = Node(nodes=3)
    node.studied()
    node.bound(1)
    if showing:
        node.rings()
    ends = node.machine.waits_until
    for now, due in ((5, ends), (ends - 1, ends), (ends, ends), (ends + 9, ends + 9)):
        again = Node(nodes=3)
        again.machine.restore(node.machine.snapshot())
        effects = again.live(Restored(), now)
        (timer,) = [each for each in effects if isinstance(each, SetTimer)]
        assert timer == SetTimer("deadline", Tick(min(due, now + length)))
        said = [type(each.message) for each in effects if isinstance(each, Publish)]
        assert said == [Commit, Reveal][: 1 + showing], "what was said may have been lost"


def test_who_is_new_is_greeted_a_second_later_and_a_round_that_misses_somebody_says_hello_again() -> None:
    hello = Hello(PEERS[0], ACCOUNTS[0], b"", b"")
    seat = Node().machine.seat
    fields = {name: getattr(seat, name) for name in seat.__slots__} | {"hello": hello, "members": {}, "seats": 3}
    machine = GossipDistill(Seat(**fields))
    assert Publish(hello) in machine.handle(Tick(0), Started())
    effects = machine.handle(Tick(7), Heard(1, PEERS[1], Hello(PEERS[1], ACCOUNTS[1], b"", b"")))
    assert SetTimer("greet", Tick(7 + SECOND)) in effects
    assert machine.handle(Tick(8), TimerFired("greet")) == (Publish(hello),)
    effects = machine.handle(Tick(9), Heard(1, PEERS[2], Hello(PEERS[2], ACCOUNTS[2], b"", b"")))
    assert SetTimer("greet", Tick(9 + SECOND)) in effects, "the next crowd is greeted again"
    assert machine.phase is Phase.STUDY


def test_a_round_s_salt_is_what_other_versions_of_this_program_would_take() -> None:
    """A round may outlast an update: what is shown must still be what was committed to."""
    node = Node(nodes=1, quorum=1)
    said = [each.message for each in node.studied() if isinstance(each, Publish)]
    (shown,) = [each for each in said if isinstance(each, Reveal)]
    seed = b"s" + TASK + bytes(8)
    assert shown.salt == hashlib.blake2b(seed, digest_size=32, person=b"p2pfd-salt").digest()
    assert shown.labels == pack(LABELS)
    (bound,) = [each for each in said if isinstance(each, Commit)]
    assert bound.commitment == commitment(TASK, RoundId(0), ACCOUNTS[0], shown.salt, shown.labels)

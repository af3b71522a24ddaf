"""A node whose student is another than that of most takes over theirs: before it studies, or before it learns."""

from __future__ import annotations

import pytest

from p2pfd.core.canonical import decode, encode
from p2pfd.core.effects import Compute, Effect, Emit, Persist, Publish
from p2pfd.core.events import Computed, Heard, Restored, Started, TimerFired
from p2pfd.core.ids import Account, Digest, PeerId, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.ticks import Tick
from p2pfd.errors import DecodeError
from p2pfd.roles.distill import GossipDistill, Phase, Seat
from p2pfd.roles.work import Absorb, Absorbed, Adopt, Adopted, Studied, Study
from p2pfd.wire.messages import Commit, Reveal

TASK = TaskId(b"\1" * 32)
PEERS = [PeerId(f"peer-{number}") for number in range(4)]
ACCOUNTS = [Account("0x" + f"{number:02x}" * 20) for number in range(4)]
LABELS, SALT = b"\0\1\0\1", b"\7" * 32
MINE, THEIRS = Digest(b"m" * 32), Digest(b"t" * 32)
OTHERS = (1, 2, 3)


def machine(announce: bool = True) -> GossipDistill:
    return GossipDistill(
        Seat(
            task=TASK,
            peer=PEERS[0],
            account=ACCOUNTS[0],
            secret=b"s",
            samples=4,
            classes=2,
            rounds=9,
            quorum=2,
            seats=4,
            commit_ticks=50,
            reveal_ticks=50,
            chatty=False,
            announce=announce,
            members={PEERS[other]: ACCOUNTS[other] for other in OTHERS},
        )
    )


class Node:
    """A machine, and what it wants computed."""

    def __init__(self, announce: bool = True) -> None:
        self.machine = machine(announce)
        self.jobs: list[Compute] = []
        self.said: list[Commit] = []
        self.told: list[str] = []
        self.kept = b""
        self.now = 0
        self.live(Started())

    def live(self, event) -> tuple[Effect, ...]:
        self.now += 1
        effects = self.machine.handle(Tick(self.now), event)
        self.jobs += [effect for effect in effects if isinstance(effect, Compute)]
        self.told += [effect.name for effect in effects if isinstance(effect, Emit)]
        self.said += [
            effect.message for effect in effects if isinstance(effect, Publish) and isinstance(effect.message, Commit)
        ]
        if any(isinstance(effect, Persist) for effect in effects):
            self.kept = self.machine.snapshot()
        return effects

    def hear(self, who: int, rnd: int, student: bytes, show: bool = False) -> None:
        bound = commitment(TASK, RoundId(rnd), ACCOUNTS[who], SALT, pack(LABELS))
        said = Reveal(RoundId(rnd), SALT, pack(LABELS)) if show else Commit(RoundId(rnd), bound, student)
        self.live(Heard(self.now, PEERS[who], said, b"signed"))

    def done(self, outcome, why: str = "") -> None:
        self.live(Computed(self.jobs.pop(0).job, outcome, why))

    def work(self):
        return self.jobs[0].work

    def round(self, rnd: int, students=(MINE,) * 3) -> None:
        """Study, and all labels."""
        self.done(Studied(LABELS))
        for who, student in zip(OTHERS, students, strict=True):
            self.hear(who, rnd, student)
        for who in OTHERS:
            self.hear(who, rnd, b"", show=True)


@pytest.fixture
def node() -> Node:
    """After its first round, with a student."""
    node = Node()
    node.round(0, (b"",) * 3)
    node.done(Absorbed(MINE))
    assert node.machine.round == 1
    assert node.work() == Study(RoundId(1))
    return node


def test_a_commitment_says_with_which_student_the_round_began(node: Node):
    node.round(1)
    assert [said.student for said in node.said] == [b"", MINE]
    assert isinstance(node.work(), Absorb)
    assert "student.astray" not in node.told


def test_nobody_says_it_where_no_student_is_common():
    node = Node(announce=False)
    for rnd in range(2):
        node.round(rnd, (b"",) * 3)
        node.done(Absorbed(MINE))
    assert [said.student for said in node.said] == [b"", b""]


@pytest.mark.parametrize("students", [(THEIRS, THEIRS, MINE), (THEIRS, THEIRS, b""), (b"",) * 3], ids=["2", "2-", "0"])
def test_half_of_the_workers_do_not_move_a_node(node: Node, students):
    node.round(1, students)
    assert isinstance(node.work(), Absorb)


def test_who_is_astray_takes_over_the_others_student_before_it_learns(node: Node):
    node.round(1, (THEIRS,) * 3)
    assert node.work() == Adopt(RoundId(0), THEIRS)
    assert node.machine.phase is Phase.ABSORB
    assert node.told[-1] == "student.astray"
    node.done(Adopted(THEIRS))
    assert decode(node.kept, limit=10**6)["student"] == THEIRS
    [absorb] = node.jobs
    assert len(absorb.work.votes) == 4
    node.done(Absorbed(Digest(b"n" * 32)))
    node.round(2, (Digest(b"n" * 32),) * 3)
    assert isinstance(node.work(), Absorb)


def test_what_cannot_be_fetched_is_done_without(node: Node):
    node.round(1, (THEIRS,) * 3)
    node.done(None, "nobody has it")
    assert isinstance(node.work(), Absorb)


def ahead(node: Node) -> None:
    """The others have learnt before this node has, and are bound in the next round."""
    node.round(1)
    for who in OTHERS:
        node.hear(who, 2, THEIRS)
    node.done(Absorbed(MINE))
    assert node.machine.round == 2


def test_who_hears_in_time_takes_it_over_before_it_studies(node: Node):
    ahead(node)
    assert node.work() == Adopt(RoundId(1), THEIRS)
    node.done(Adopted(THEIRS))
    assert node.work() == Study(RoundId(2))


def test_who_is_late_with_that_learns_from_the_right_student_all_the_same(node: Node):
    ahead(node)
    node.live(TimerFired("deadline"))  # the commitments are closed while the student is still being fetched
    for who in OTHERS:
        node.hear(who, 2, b"", show=True)
    assert [job.job for job in node.jobs] == ["adopt/2", "rejoin/2"]
    node.done(Adopted(THEIRS))
    assert [job.job for job in node.jobs] == ["rejoin/2"]
    node.done(Adopted(THEIRS))
    assert [job.job for job in node.jobs] == ["absorb/2"]


def test_a_node_that_was_killed_in_between_asks_again(node: Node):
    node.round(1, (THEIRS,) * 3)
    again = machine()
    again.restore(node.machine.snapshot())
    asked = [effect.work for effect in again.handle(Tick(900), Restored()) if isinstance(effect, Compute)]
    assert asked == [Adopt(RoundId(0), THEIRS)]
    node.done(Adopted(THEIRS))
    again.restore(node.kept)
    asked = [effect.work for effect in again.handle(Tick(900), Restored()) if isinstance(effect, Compute)]
    assert [type(work) for work in asked] == [Absorb]


def before(node: Node, reached) -> bytes:
    """The node's snapshot as the version before this one wrote it."""
    value = decode(node.machine.snapshot(), limit=10**6)
    ballot = {**value["ballot"], "books": [book[:-1] for book in value["ballot"]["books"]]}
    return encode({**value, "version": 2, "ballot": ballot, "reached": reached})


@pytest.mark.parametrize("book", [False, True], ids=["no book", "a book"])
def test_a_snapshot_of_the_version_before_goes_on(node: Node, book: bool):
    if book:
        node.hear(1, 2, b"")
    raw = before(node, [[ACCOUNTS[who], THEIRS] for who in OTHERS])
    node.machine = machine()
    node.machine.restore(raw)
    assert node.machine.student == MINE
    node.round(1)
    node.done(Absorbed(MINE))  # the others had said that they ended this round with another one
    assert node.work() == Adopt(RoundId(1), THEIRS)


@pytest.mark.parametrize("reached", [None, 7, [[1]], [7]], ids=repr)
def test_a_damaged_one_is_refused(node: Node, reached):
    with pytest.raises(DecodeError, match="damaged"):
        machine().restore(before(node, reached))

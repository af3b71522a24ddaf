"""What came of one mesh: plain numbers, as they are kept and written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

from p2pfd.experiment.course import Fate, Point

HONEST = "honest"
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Turn:
    """One node in one round; or one answer that it served, where nodes meet in encounters.

    ``own`` is how good the model behind its labels is on the test set, where it trained one; ``vote`` what became of
    its labels: 1 when they counted, 0 when they were below the serum's gate, None when they were not there; and of an
    answer: 1 when it was found valid, 0 when not.
    """

    paid: int = 0
    forfeited: int = 0
    own: float | None = None
    vote: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One node: what it is, how many private samples it has, each of its rounds, and its balance in the end."""

    kind: str
    samples: int
    turns: tuple[Turn, ...]
    gain: int = 0
    """What it has more than in the beginning: all pay, its part of what others forfeited, less what it forfeited."""
    parts: tuple[int, ...] = (0, 0, 0, 0)
    """Where nodes meet in encounters: gained as learner, as neighbor, as validator; and how many it judged."""

    @property
    def honest(self) -> bool:
        """Whether it does what it should."""
        return self.kind == HONEST

    @property
    def paid(self) -> int:
        """By the market, in all rounds."""
        return sum(turn.paid for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Result:
    """A whole mesh. ``accuracy`` is that of the honest nodes' student on the test set, before and after every round."""

    accuracy: tuple[float, ...]
    members: tuple[Member, ...]
    finished: int
    short: int
    refused: int
    virtual: float
    events: int
    deliveries: int
    seconds: float
    course: tuple[Point, ...] = ()
    """Where nodes meet in encounters: how they fared as time passed."""
    fates: tuple[Fate, ...] = ()
    """And what became of each node's stake."""
    changes: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    """What validators saw: `p2pfd.experiment.course.Recorder.changes`."""

    def to_plain(self) -> dict[str, object]:
        """As a line of the file of results has it; every turn is four numbers."""
        plain = asdict(self)
        plain["members"] = [
            [
                *(one.kind, one.samples, one.gain),
                [[turn.paid, turn.forfeited, turn.own, turn.vote] for turn in one.turns],
                list(one.parts),
            ]
            for one in self.members
        ]
        plain["course"] = [list(astuple(point)) for point in self.course]
        plain["fates"] = [list(astuple(fate)) for fate in self.fates]
        return plain


def result_of(plain: Mapping[str, Any]) -> Result:
    """The inverse of `to_plain`; KeyError, TypeError or ValueError for anything else."""
    members = tuple(
        Member(str(kind), int(samples), tuple(_turn(turn) for turn in turns), int(gain), tuple(map(int, parts)))
        for kind, samples, gain, turns, parts in plain["members"]
    )
    if not members:
        raise ValueError("a mesh without nodes")
    return Result(
        accuracy=tuple(float(value) for value in plain["accuracy"]),
        members=members,
        finished=int(plain["finished"]),
        short=int(plain["short"]),
        refused=int(plain["refused"]),
        virtual=float(plain["virtual"]),
        events=int(plain["events"]),
        deliveries=int(plain["deliveries"]),
        seconds=float(plain["seconds"]),
        course=tuple(Point(*point) for point in plain["course"]),
        fates=tuple(Fate(*fate) for fate in plain["fates"]),
        changes=(tuple(plain["changes"][0]), tuple(plain["changes"][1])),
    )


def _turn(plain: Sequence[Any]) -> Turn:
    paid, forfeited, own, vote = plain
    return Turn(int(paid), int(forfeited), None if own is None else float(own), None if vote is None else int(vote))

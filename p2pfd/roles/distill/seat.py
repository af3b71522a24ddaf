"""What a node knows of a task before it starts, and where in a round it can stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from p2pfd.core.ids import Account, PeerId, TaskId
from p2pfd.core.labels import Opener, opened
from p2pfd.wire.messages import Hello


class Phase(StrEnum):
    """Where a node stands in the round."""

    IDLE = "idle"
    """No round is open."""
    STUDY = "study"
    """Training and labelling."""
    COMMIT = "commit"
    """Bound; waiting until all are, or the deadline."""
    REVEAL = "reveal"
    """Labels shown; waiting until all are, or the deadline."""
    WATCH = "watch"
    """Too late, or not enrolled: the round goes on without this node, and it learns from it all the same."""
    ABSORB = "absorb"
    """Learning from the labels that count."""
    REST = "rest"
    """Done with this round; the next one is not open."""
    OVER = "over"
    """The task is closed and the last figures are taken."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What a node knows before the task starts: itself, the task's numbers, and whom it knows already.

    ``secret`` feeds the salts and leaves the node only as those. ``members`` is the roster known in advance; it grows
    by every Hello. Where no chain enrols workers, the first round waits until ``seats`` are known; ``enrol_ticks``,
    ``commit_ticks`` and ``reveal_ticks`` are the deadlines where no chain keeps them.
    """

    task: TaskId
    peer: PeerId
    account: Account
    secret: bytes = field(repr=False)
    samples: int
    classes: int
    rounds: int
    quorum: int
    seats: int = 1
    enrol_ticks: int = 0
    commit_ticks: int = 0
    reveal_ticks: int = 0
    bond: int = 0
    chatty: bool = True
    """Tell how far each phase is, not only what each round came to."""
    announce: bool = True
    """Tell the others which student this node reached. Where each node hears other peers there is no common student."""
    hello: Hello | None = None
    members: Mapping[PeerId, Account] = field(default_factory=dict)
    opener: Opener = opened
    """Opens the labels that are heard."""

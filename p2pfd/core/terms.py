"""What of a task the chain enforces: the node that opens it and the nodes that enrol must mean the same."""

from __future__ import annotations

from p2pfd.core.claims import MarketTerms
from p2pfd.core.spec import TaskSpec


def terms_of(task: TaskSpec) -> MarketTerms:
    """What the chain has to enforce of a task."""
    return MarketTerms(
        task=task.id,
        samples=task.data.public,
        classes=task.data.classes,
        rounds=task.rounds,
        pot=task.money.pot,
        rate=task.money.rate,
        bond=task.money.bond,
        forfeit=task.money.forfeit,
        quorum=task.quorum,
        seats=task.seats,
        enrol_seconds=task.phases.enrol_seconds,
        commit_seconds=task.phases.commit_seconds,
        reveal_seconds=task.phases.reveal_seconds,
    )

"""How a run went: the figures of its end, as a value, as JSON, and for the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from p2pfd.core.claims import Enrolled
from p2pfd.core.ids import Account
from p2pfd.errors import DeadlineError
from p2pfd.incentives.audit import Audit
from p2pfd.incentives.encounter_audit import End
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.view import Life, Meetings, MeshView, NodeView, mean


@dataclass(frozen=True, slots=True)
class Summary:
    """A finished run. `payouts` are what the accounts own more, or less, than before, read from the chain."""

    plan: Plan
    nodes: tuple[NodeView, ...]
    rounds: int
    seconds: float
    payouts: Mapping[Account, int]
    audit: Audit | None
    report: str
    curve: tuple[tuple[int, float], ...]
    """Round, counted from one, and the mean validation accuracy over the nodes; of encounters, each node's own."""
    meetings: Meetings = field(default_factory=Meetings)
    ends: tuple[End, ...] = ()
    """What each encounter paid that votes ended, recomputed."""

    @property
    def finished(self) -> tuple[NodeView, ...]:
        """The nodes that came to the end."""
        return tuple(node for node in self.nodes if node.life is Life.FINISHED)

    @property
    def lost(self) -> tuple[NodeView, ...]:
        """The nodes that did not."""
        return tuple(node for node in self.nodes if node.life is not Life.FINISHED)

    @property
    def machines_lost(self) -> tuple[str, ...]:
        """The machines of a cluster with which nodes were lost."""
        return tuple(dict.fromkeys(node.machine for node in self.nodes if node.stranded))

    @property
    def alone(self) -> float | None:
        """Mean test accuracy of what each node reaches on its own data only."""
        return mean(node.alone for node in self.finished if node.alone is not None)

    @property
    def together(self) -> float | None:
        """Mean test accuracy of what each node has in the end."""
        return mean(node.together for node in self.finished if node.together is not None)

    @property
    def sent(self) -> int:
        """Mean bytes that a node sent, everything included, as counted at its sockets."""
        return round(mean(node.sent for node in self.finished) or 0)

    @property
    def labels(self) -> int:
        """Mean bytes of these that are packed labels, each counted once."""
        return round(mean(node.label_bytes for node in self.finished) or 0)

    @property
    def fedavg(self) -> int:
        """Mean bytes that the weights alone would have taken, had a node sent them once a round."""
        return round(mean(node.fedavg_bytes for node in self.finished) or 0)

    def payout(self, node: NodeView) -> int:
        """What a node earned or lost."""
        return self.payouts.get(Account(node.account), 0)

    @property
    def bad(self) -> Mapping[str, str]:
        """Who misbehaved how, by the nodes' names."""
        return self.plan.dishonest()

    def mean_payout(self, *, bad: bool) -> float:
        """What a node that misbehaved, or one that did not, earned or lost on average."""
        kinds = self.bad
        return mean(float(self.payout(node)) for node in self.nodes if (node.name in kinds) is bad) or 0.0

    def _attack(self) -> dict[str, Any]:
        honest, bad = (round(self.mean_payout(bad=side)) for side in (False, True))
        return {"nodes": dict(self.bad), "mean_payout": {"honest": honest, "bad": bad}}

    def _machines(self) -> dict[str, dict[str, Any]]:
        """Who ran where, and which machine was lost."""
        names = dict.fromkeys(node.machine for node in self.nodes)
        return {
            name: {
                "nodes": [node.name for node in self.nodes if node.machine == name],
                "lost": name in self.machines_lost,
            }
            for name in names
        }

    def _encounters(self) -> dict[str, int]:
        met = self.meetings
        return {"over": met.over, "accepted": len(met.accepted), "refused": len(met.refused), "void": len(met.ended)}

    def to_plain(self) -> dict[str, Any]:
        """The object that `up --json` ends with."""
        return {
            "nodes": self.plan.nodes,
            "rounds": self.rounds,
            "seed": self.plan.seed,
            "plan": self.plan.name,
            "chain": self.plan.chain,
            "seconds": round(self.seconds, 3),
            "accuracy": {
                "alone": rounded(self.alone),
                "together": rounded(self.together),
                "by_node": {node.name: {"alone": node.alone, "together": node.together} for node in self.finished},
                "by_round": [rounded(value) for _, value in self.curve],
            },
            "bytes_per_node": self.sent,
            "label_bytes_per_node": self.labels,
            "fedavg_bytes_per_node": self.fedavg,
            **({"encounters": self._encounters()} if self.plan.meets else {}),
            **({"attack": self._attack()} if self.bad else {}),
            "payouts": dict(sorted(self.payouts.items())),
            "audit": None
            if self.audit is None
            else {"payments": self.audit.payments, "problems": list(self.audit.problems)},
            "weights_sha256": {node.name: node.weights for node in self.finished},
            "lost": {node.name: node.error for node in self.lost},
            **({"machines": self._machines()} if any(node.machine for node in self.nodes) else {}),
            "report": self.report,
        }


def in_vain(plan: Plan, view: MeshView, history: Iterable[object]) -> DeadlineError | None:
    """What to tell of a run that came to its end and in which nobody learnt anything; None of any other.

    ``history`` is what the chain told of the task.
    """
    if plan.meets:
        if view.meetings.over:
            return None
        return DeadlineError(
            "the mesh is over, and not one encounter came to an end",
            "look at localnet logs; [encounters] in a plan bounds how long their steps may take",
        )
    if any(node.accuracy for node in view.nodes.values()):
        return None
    phases = plan.phases
    if not view.phases:
        enrolled = len({event.worker for event in history if isinstance(event, Enrolled)})
        return DeadlineError(
            f"the mesh is over without a single round: {enrolled} of {len(view.nodes)} nodes were enrolled when "
            f"enrol_seconds = {phases.enrol_seconds} had passed",
            "allow more in a plan: [phases] enrol_seconds; localnet logs --match claim.refused says what came too late",
        )
    quorum = plan.quorum or len(view.nodes) // 2 + 1
    return DeadlineError(
        f"the mesh is over, and not one round counted: fewer than {quorum} nodes committed within "
        f"commit_seconds = {phases.commit_seconds} and revealed within reveal_seconds = {phases.reveal_seconds}",
        "allow more of them in a plan's [phases], or take fewer nodes; localnet logs --match 'late|failed|refused' "
        "says what went wrong",
    )


def rounded(fraction: float | None) -> float | None:
    """As exact as nodes report it: a mean of millionths has no more digits that mean anything."""
    return None if fraction is None else round(fraction, 6)


def summarise(
    plan: Plan,
    view: MeshView,
    seconds: float,
    payouts: Mapping[Account, int],
    audit: Audit | None,
    report: str,
    ends: tuple[End, ...] = (),
) -> Summary:
    """The figures of a run that is over."""
    rounds = sorted({rnd for node in view.nodes.values() for rnd in node.accuracy})
    curve = tuple((rnd + 1, value) for rnd in rounds if (value := view.accuracy(rnd)) is not None)
    return Summary(
        plan=plan,
        nodes=tuple(view.nodes.values()),
        rounds=len(rounds),
        seconds=seconds,
        payouts=payouts,
        audit=audit,
        report=report,
        curve=curve,
        meetings=view.meetings,
        ends=ends,
    )

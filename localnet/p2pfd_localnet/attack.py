"""Nodes of a local mesh that misbehave: how an option names them, and what came of it in the end."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from p2pfd import plugins
from p2pfd.behaviours import GROUP
from p2pfd.core.tables import did_you_mean
from p2pfd_localnet.summary import Summary
from p2pfd_localnet.view import NodeView, mean

_FORM = "write KIND:K, such as collude:4, collude:40% or copy:peer:2"


def wanted(text: str) -> tuple[str, int | str]:
    """A behaviour, with its argument if it has one, and for how many nodes: for ``--attack``."""
    kind, colon, many = text.rpartition(":")
    if not colon or not many.removesuffix("%").isascii() or not many.removesuffix("%").isdigit() or len(many) > 6:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} does not say how many: {_FORM}")
    name, known = kind.partition(":")[0], plugins.names(GROUP)
    if name not in known:
        raise argparse.ArgumentTypeError(f"there is no behaviour {name[:40]!r}: {did_you_mean(name, known)}")
    return kind, many if many.endswith("%") else int(many)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the honest and the others got out of a run, on average, in the token's smallest units."""

    bad: tuple[tuple[NodeView, str], ...]
    """The nodes that misbehaved, and how."""
    honest_pay: float
    bad_pay: float

    @property
    def honest_ahead(self) -> bool:
        """Whether honesty paid."""
        return self.honest_pay > self.bad_pay

    def lines(self, unit: int) -> list[str]:
        """Who was bad, and what the honest and the others got, in tokens of so many units each."""
        named = ", ".join(f"{node.name} {kind}" for node, kind in self.bad)
        pay = f"honest {self.honest_pay / unit:+,.2f} on average, the others {self.bad_pay / unit:+,.2f}"
        return [named, pay]


def outcome(summary: Summary) -> Outcome | None:
    """Who was bad, and how it went for both; None where all were honest."""
    kinds = summary.plan.dishonest()
    if not kinds:
        return None
    bad = tuple((node, kinds[node.name]) for node in summary.nodes if node.name in kinds)
    good = [node for node in summary.nodes if node.name not in kinds]
    return Outcome(
        bad,
        mean(float(summary.payout(node)) for node in good) or 0.0,
        mean(float(summary.payout(node)) for node, _ in bad) or 0.0,
    )

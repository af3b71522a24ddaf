"""What one mesh of an experiment is: who learns what how, over which network, for which pay, and who misbehaves."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from types import MappingProxyType

from p2pfd import behaviours, plugins
from p2pfd.behaviours import cast
from p2pfd.core.encounter_claims import MAX_SIZE, RULES
from p2pfd.core.ids import Amount
from p2pfd.core.spec import MAX_SEATS, DataSpec, MoneySpec, PhaseSpec, Setting, TaskSpec
from p2pfd.core.tables import did_you_mean
from p2pfd.errors import PlanError
from p2pfd.incentives.market import MAX_SAMPLES
from p2pfd.learning.data import classes_of_set, digest_of_set, partition
from p2pfd.sim import script
from p2pfd.sim.faults import Fault
from p2pfd.sim.graphs import CIRCLE, GRAPHS

CHAINS = ("reference", "none")
MARKET, ENCOUNTERS = "market", "encounters"
KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {MARKET: ("", "labels"), ENCOUNTERS: ("", "encounters", "payloads")}
)
"""What meshes there are, and which parts of them a behaviour can be about."""
ADAPTERS = "p2pfd.adapters"
MAX_ROUNDS = 10_000
OWN, COMMON = "own", "common"
UNIT = 10**6
"""The smallest units in a token."""


@dataclass(frozen=True, slots=True)
class DataPart:
    """Which data, and how much of it for what."""

    name: str = "digits"
    partition: str = "iid"
    public: int = 320
    validation: int = 150
    test: int = 300
    private: int = 0
    """How many samples the nodes share; 0 stands for all that are left."""


@dataclass(frozen=True, slots=True)
class Money:
    """The market's amounts, in millionths of a token."""

    pot: int = 1_000 * UNIT
    rate: int = 4 * UNIT
    bond: int = 100 * UNIT
    forfeit: int = 20 * UNIT


@dataclass(frozen=True, slots=True)
class Meetings:
    """How devices meet, where the kind is ``encounters``: everyone learns from others, and others judge the answers."""

    each: int = 2
    """How often each node learns from another."""
    rule: str = "serum"
    """By which validators are paid."""
    validators: int = 3
    tolerance: float = 0.05
    """How much worse on a validator's data an answer may be than what was asked with."""
    probe: str = OWN
    """By what a validator judges: its own private data, or the validation samples, which all have."""
    wallet: int = 40
    """What every node has at the start, in prepayments; ten of them are its validator's bond."""
    pause: int = 1
    """Seconds between two encounters in which a node learns."""


@dataclass(frozen=True)
class Plan:
    """One mesh, but for its seed."""

    kind: str = "market"
    nodes: int = 10
    rounds: int = 10
    chain: str = "reference"
    graph: str = CIRCLE
    degree: int = 3
    loss: float = 0.0
    latency_low: int = 20
    latency_high: int = 80
    """Milliseconds."""
    phase_seconds: int = 10
    """How long commitments, and how long labels, are waited for."""
    quorum: int = 0
    """How many must reveal for a round to count; 0 stands for more than half."""
    faults: str = ""
    """A script of what goes wrong, a file; nothing where it is empty."""
    adapter: str = "cfd"
    behaviours: Mapping[str, int | str] = field(default_factory=dict)
    """How many nodes misbehave how: a number, or a share of all such as "40%"."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    data: DataPart = field(default_factory=DataPart)
    money: Money = field(default_factory=Money)
    meetings: Meetings = field(default_factory=Meetings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "behaviours", MappingProxyType(dict(self.behaviours)))
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))

    def to_plain(self) -> dict[str, object]:
        """As tables, for files and hashes."""
        plain = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        for key in ("data", "money", "meetings"):
            plain[key] = dataclasses.asdict(plain[key])
        return {**plain, "behaviours": dict(self.behaviours), "settings": dict(self.settings)}

    def key(self, seed: int) -> str:
        """Everything that decides what comes of it, but for the code."""
        plain = self.to_plain() | {"seed": seed, "counts": self.counts(), "faults": script.write(self.script())}
        del plain["behaviours"]  # "40%" of ten nodes is 4 of them
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def script(self) -> tuple[Fault, ...]:
        """What goes wrong; PlanError says what is wrong with the file."""
        return script.read(Path(self.faults), self.nodes) if self.faults else ()

    def counts(self) -> dict[str, int]:
        """How many nodes misbehave, by behaviour, in the order of their names; those of nobody are left out."""
        return cast.counts(self.behaviours, self.nodes)

    def task(self, seed: int) -> TaskSpec:
        """The task that the mesh would be given."""
        data, money, phase = self.data, self.money, self.phase_seconds
        return TaskSpec(
            name=f"experiment-{seed}",
            data=DataSpec(
                name=data.name,
                sha256=digest_of_set(data.name),
                classes=classes_of_set(data.name),
                partition=data.partition,
                seed=seed,
                public=data.public,
                validation=data.validation,
                test=data.test,
                private=data.private,
            ),
            adapter=self.adapter,
            settings=self.settings,
            aggregator="serum",
            codecs=(),
            rounds=self.rounds,
            seats=self.nodes,
            quorum=self.quorum or self.nodes // 2 + 1,
            phases=PhaseSpec(phase, phase, phase),
            money=MoneySpec(Amount(money.pot), Amount(money.rate), Amount(money.bond), Amount(money.forfeit)),
        )


def check(plan: Plan) -> None:
    """PlanError names the first thing that cannot be, as far as that can be told without the data."""

    def within(key: str, value: float, low: float, high: float) -> None:
        if not isfinite(value) or not low <= value <= high:
            raise PlanError(f"{key} is {value:g}", f"it must lie between {low:,} and {high:,}")

    def among(key: str, value: str, legal: tuple[str, ...]) -> None:
        if value not in legal:
            raise PlanError(f"{key} is {value[:40]!r}", did_you_mean(value, legal))

    among("kind", plan.kind, tuple(KINDS))
    within("nodes", plan.nodes, 2, MAX_SEATS)
    within("rounds", plan.rounds, 1, MAX_ROUNDS)
    within("degree", plan.degree, 1, 32)
    within("loss", plan.loss, 0, 1)
    within("latency_low", plan.latency_low, 1, 60_000)
    within("latency_high", plan.latency_high, plan.latency_low, 60_000)
    within("phase_seconds", plan.phase_seconds, 1, 3600)
    within("quorum", plan.quorum, 0, plan.nodes)
    among("chain", plan.chain, CHAINS)
    among("graph", plan.graph, tuple(GRAPHS))
    among("adapter", plan.adapter, plugins.names(ADAPTERS))
    partition.check(plan.data.partition)
    plan.script()
    for key, setting in plan.settings.items():
        if isinstance(setting, float):
            raise PlanError(f"settings.{key} is {setting}", f'fractions are written as text: {key} = "{setting}"')
    if plan.kind == ENCOUNTERS:
        within("meetings.each", plan.meetings.each, 1, 1000)
        within("meetings.validators", plan.meetings.validators, 1, min(MAX_SIZE, plan.nodes - 2))
        within("meetings.tolerance", plan.meetings.tolerance, 0, 1)
        within("meetings.wallet", plan.meetings.wallet, 13, 10_000)
        within("meetings.pause", plan.meetings.pause, 1, 3600)
        among("meetings.rule", plan.meetings.rule, RULES)
        among("meetings.probe", plan.meetings.probe, (OWN, COMMON))
    elif plan.chain != "none":
        within("data.public", plan.data.public, 1, MAX_SAMPLES)
    counts, classes = plan.counts(), classes_of_set(plan.data.name)
    for name in plan.behaviours:
        behaviours.check(name, classes)
        kind, _ = behaviours.behaviour_class(name)
        if kind.part not in KINDS[plan.kind]:
            raise PlanError(
                f"behaviours.{name} is about {kind.part}",
                f'where the kind is "{plan.kind}" there are none: p2pfd experiment --list shows what is about what',
            )
    if sum(counts.values()) >= plan.nodes:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise PlanError(f"{plan.nodes} nodes, and behaviours for all of them ({told})", "leave one honest at least")
    plan.task(0)

"""What a mesh will be, as a value: everything that a file or an option can say of it."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from p2pfd.behaviours.cast import Cast, cast, counts
from p2pfd.core.encounter_spec import NO_ENCOUNTERS, EncounterSpec
from p2pfd.core.ids import Amount
from p2pfd.core.rng import Rng
from p2pfd.core.spec import NO_CHAIN, ChainSpec, DataSpec, MoneySpec, PhaseSpec, Setting, TaskSpec
from p2pfd.core.tables import Text
from p2pfd_localnet.chaos import Act

CHAINS = ("embedded", "anvil", "ganache", "amoy-like", "none")
DEFAULT_ADAPTER = "cfd"
UNIT = 10**6
"""The smallest units in a token, for people to read."""
_OPTIONS = {"nodes": "-n"}
"""The options whose name is not the key's."""


@dataclass(frozen=True, slots=True)
class DataPlan:
    """Which data, and how much of it for what; the nodes share the rest among themselves."""

    name: str = "digits"
    partition: str = "dirichlet:0.5"
    public: int = 320
    validation: int = 150
    test: int = 300
    private: int = 0
    """How many samples the nodes share; 0 stands for all that are left."""
    public_from: str = ""
    """Where public samples come from, if not out of the same set."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a task says of its data and only the data knows."""

    sha256: bytes
    classes: int = 10
    public_sha256: bytes = b""


@dataclass(frozen=True, slots=True)
class Plan:
    """A mesh. Every field can stand in a file; the same plan gives the same accounts, data, network and results."""

    name: str
    summary: str = ""
    source: str = ""
    """The preset or the file that it was read from."""
    written: Text = field(default=Text(""), repr=False, compare=False)
    """What the file says, to tell where in it something stands."""
    nodes: int = 10
    rounds: int = 10
    seed: int = 7
    chain: str = "embedded"
    adapter: str = DEFAULT_ADAPTER
    partners: int = 0
    """With how many others a node merges in a round, where there is no common student; 0 stands for all."""
    aggregator: str = "serum"
    codecs: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()
    """What the nodes learn with, in turns, where the adapter leaves that to each node; empty, the task's net."""
    metrics: str = ""
    """Where each node serves its metrics: an address and port 0, for one of its own each; empty, nowhere."""
    quorum: int = 0
    """How many must reveal for a round to count; 0 stands for more than half."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    attack: Mapping[str, int | str] = field(default_factory=dict)
    """How many nodes misbehave how: a number, or a share of all such as "40%"."""
    spare: int = 0
    """Seats that are kept free for nodes that join late."""
    chaos: tuple[Act, ...] = ()
    """What is done to the mesh while it runs, and when."""
    data: DataPlan = field(default_factory=DataPlan)
    phases: PhaseSpec = field(default_factory=lambda: PhaseSpec(60, 60, 30))
    money: MoneySpec = field(default_factory=lambda: MoneySpec(*(Amount(n * UNIT) for n in (400, 4, 100, 20))))
    encounters: EncounterSpec = NO_ENCOUNTERS
    """The terms by which nodes learn from one another, where they meet and do not vote in rounds: as often as there
    would be rounds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))
        object.__setattr__(self, "attack", MappingProxyType(dict(self.attack)))
        if self.encounters.own:  # how often is said in one place, for rounds and for encounters alike
            object.__setattr__(self, "encounters", dataclasses.replace(self.encounters, own=self.rounds))

    def names(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(f"node-{place}" for place in range(self.nodes))

    @property
    def seats(self) -> int:
        """How many nodes there is room for, and money and data."""
        return self.nodes + self.spare

    def everybody(self) -> tuple[str, ...]:
        """The names of the nodes and of those that may join late."""
        return tuple(f"node-{place}" for place in range(self.seats))

    @property
    def meets(self) -> bool:
        """Whether the nodes learn in encounters."""
        return self.encounters.own > 0

    def stake(self) -> int:
        """What each node comes with, and risks."""
        terms = self.encounters
        return terms.stake + terms.bond + terms.own * terms.prepayment if self.meets else self.money.bond

    def budget(self) -> int:
        """What the requester sets aside; in encounters nodes pay one another."""
        return 0 if self.meets else self.money.pot * self.rounds

    def cast(self) -> Cast:
        """Which node misbehaves how: drawn from the seed, so that nobody chooses its shard or its neighbours."""
        return cast(counts(self.attack, self.nodes, "attack"), self.nodes, Rng(self.seed).split("attack"))

    def dishonest(self) -> dict[str, str]:
        """The behaviours of the nodes that have one, by the nodes' names."""
        kinds = self.cast().kinds
        return {name: kind for name, kind in zip(self.names(), kinds, strict=True) if kind}

    def task(self, facts: DataFacts, chain: ChainSpec = NO_CHAIN) -> TaskSpec:
        """The task of this mesh; PlanError names what cannot be."""
        data = self.data
        return TaskSpec(
            name=f"{self.name}-{self.seed}",
            data=DataSpec(
                name=data.name,
                sha256=facts.sha256,
                classes=facts.classes,
                partition=data.partition,
                seed=self.seed,
                public=data.public,
                validation=data.validation,
                test=data.test,
                private=data.private,
                public_from=data.public_from,
                public_sha256=facts.public_sha256,
            ),
            adapter=self.adapter,
            settings=self.settings,
            aggregator=self.aggregator,
            codecs=self.codecs,
            rounds=self.rounds,
            seats=self.seats,
            quorum=self.quorum or self.nodes // 2 + 1,
            phases=self.phases,
            money=self.money,
            chain=chain,
            partners=self.partners,
            encounters=NO_ENCOUNTERS if chain == NO_CHAIN else self.encounters,
        )

    def command(self) -> str:
        """What to type for this very plan: its source, and what options made of it."""
        from p2pfd_localnet.presets import DEFAULT, PRESETS  # which are plans

        base = next((preset for preset in PRESETS if preset.name == self.source), None)  # a file may change meanwhile
        words = ["localnet up"] if base is not None and base.name == DEFAULT else ["localnet up", _typed(self.source)]
        for key in ("nodes", "rounds", "seed", "adapter", "partners", "chain", *(["spare"] if self.spare else [])):
            if base is None or getattr(self, key) != getattr(base, key):
                words += [_OPTIONS.get(key, f"--{key}"), str(getattr(self, key))]
        if base is None or self.data.name != base.data.name:
            words += ["--data", _typed(self.data.name)]
        if base is None or self.attack != base.attack:
            words += [word for kind, many in self.attack.items() for word in ("--attack", _typed(f"{kind}:{many}"))]
        return " ".join(words)

    def to_plain(self) -> dict[str, Any]:
        """The plan as a file would have it."""
        plain = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        del plain["written"]
        for key in ("data", "phases", "money", "encounters"):
            plain[key] = dataclasses.asdict(plain[key])
        plain |= {"settings": dict(self.settings), "attack": dict(self.attack)}
        plain |= {"learners": list(self.learners), "codecs": list(self.codecs)}
        return {**plain, "chaos": [act.to_plain() for act in self.chaos]}


def change(plan: Plan, **values: Any) -> Plan:
    """The plan with the options that were given."""
    return dataclasses.replace(plan, **{key: value for key, value in values.items() if value is not None})


def is_url(chain: str) -> bool:
    """Whether a plan means a chain that runs already, by its address."""
    return chain.startswith(("http://", "https://"))


def _typed(text: str) -> str:
    return shlex.quote(text)

"""What a mesh will be: a preset or a file, changed by options, and checked as a whole before anything starts."""

from __future__ import annotations

import dataclasses
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from p2pfd import plugins
from p2pfd.core.encounter_spec import NO_ENCOUNTERS, EncounterSpec, check_encounters
from p2pfd.core.ids import Amount
from p2pfd.core.spec import MAX_SEATS, NO_CHAIN, ChainSpec, DataSpec, MoneySpec, PhaseSpec, Setting, TaskSpec
from p2pfd.core.tables import Text, changed, did_you_mean
from p2pfd.errors import PlanError
from p2pfd.incentives.market import MAX_SAMPLES
from p2pfd.node.scrape import parse_endpoint

CHAINS = ("embedded", "anvil", "ganache", "none")
AGGREGATORS = ("serum",)
DEFAULT_ADAPTER = "cfd"
MAX_HELD = 1_000_000
MAX_ROUNDS = 10_000
UNIT = 10**6
"""The smallest units in a token, for people to read."""


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
    nodes: int = 10
    rounds: int = 10
    seed: int = 7
    chain: str = "embedded"
    adapter: str = DEFAULT_ADAPTER
    partners: int = 0
    """With how many others a node merges in a round, where there is no common student; 0 stands for all."""
    aggregator: str = "serum"
    codecs: tuple[str, ...] = ()
    metrics: str = ""
    """Where each node serves its metrics: an address and port 0, for one of its own each; empty, nowhere."""
    quorum: int = 0
    """How many must reveal for a round to count; 0 stands for more than half."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    data: DataPlan = field(default_factory=DataPlan)
    phases: PhaseSpec = field(default_factory=lambda: PhaseSpec(60, 60, 30))
    money: MoneySpec = field(default_factory=lambda: MoneySpec(*(Amount(n * UNIT) for n in (400, 4, 100, 20))))
    encounters: EncounterSpec = NO_ENCOUNTERS
    """The terms by which nodes learn from one another, where they meet and do not vote in rounds: as often as there
    would be rounds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))
        if self.encounters.own:  # how often is said in one place, for rounds and for encounters alike
            object.__setattr__(self, "encounters", dataclasses.replace(self.encounters, own=self.rounds))

    def names(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(f"node-{place}" for place in range(self.nodes))

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
            seats=self.nodes,
            quorum=self.quorum or self.nodes // 2 + 1,
            phases=self.phases,
            money=self.money,
            chain=chain,
            partners=self.partners,
            encounters=NO_ENCOUNTERS if chain == NO_CHAIN else self.encounters,
        )

    def command(self) -> str:
        """What to type for this very plan: its source, and what options made of it."""
        base = next((preset for preset in PRESETS if preset.name == self.source), None)  # a file may change meanwhile
        words = ["localnet up"] if base is PRESETS[0] else ["localnet up", shlex.quote(self.source)]
        flags = {"nodes": "-n", "adapter": "--adapter", "partners": "--partners"}
        for key in ("nodes", "rounds", "seed", "adapter", "partners", "chain"):
            flag = flags.get(key, f"--{key}")
            if base is None or getattr(self, key) != getattr(base, key):
                words += [flag, str(getattr(self, key))]
        return " ".join(words)

    def to_plain(self) -> dict[str, Any]:
        """The plan as a file would have it."""
        plain = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        for key in ("data", "phases", "money", "encounters"):
            plain[key] = dataclasses.asdict(plain[key])
        return {**plain, "settings": dict(self.settings), "codecs": list(self.codecs)}


PRESETS: tuple[Plan, ...] = (
    Plan(name="digits-1bit", summary="ten nodes, ten rounds, unequal shares of scikit-learn's digits"),
    Plan(name="small", summary="four nodes, three rounds of the same: a first look", nodes=4, rounds=3),
    Plan(
        name="equal",
        summary="as digits-1bit, but every node has the same mix of classes",
        data=DataPlan(partition="iid"),
    ),
    Plan(
        name="gossip",
        summary="ten nodes that merge models with four others a round, and settle nowhere",
        adapter="gossip",
        partners=4,
        chain="none",
    ),
    Plan(
        name="encounters",
        summary="ten nodes that pay one another for what they learn, judged by validators that are drawn by lot",
        adapter="gossip",
        rounds=3,
        encounters=EncounterSpec(
            own=3,
            prepayment=Amount(10 * UNIT),
            stake=Amount(60 * UNIT),
            bond=Amount(100 * UNIT),
            threshold=Amount(20 * UNIT),
            longest=1_200,
            unbond_seconds=1_200,
        ),
    ),
)


def find(text: str) -> Plan:
    """The preset of this name, or the plan in this file."""
    for preset in PRESETS:
        if preset.name == text:
            return dataclasses.replace(preset, source=preset.name)
    path = Path(text)
    if path.suffix == ".toml" or "/" in text or path.exists():
        return from_file(path)
    names = [preset.name for preset in PRESETS]
    raise PlanError(f"there is no preset {text!r}", f"{did_you_mean(text, names)}; or name a .toml file")


def from_file(path: Path) -> Plan:
    """The plan that a TOML file describes: a preset's values where it says nothing."""
    try:
        text = Text(str(path), path.read_text(encoding="utf-8"))
        value = tomllib.loads(text.text)
    except FileNotFoundError as error:
        raise PlanError(f"there is no file {path}", "name a preset (localnet presets) or a .toml file") from error
    except IsADirectoryError as error:
        raise PlanError(f"{path} is a directory", "name a preset (localnet presets) or a .toml file") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, or numbers and brackets beyond all measure
        raise PlanError(f"{path} is not TOML: {error}", "docs/reference/commands.md has an example") from error
    base_name = value.pop("preset", PRESETS[0].name)
    base = next((preset for preset in PRESETS if preset.name == base_name), None)
    if base is None:
        raise PlanError(
            f"{path}: there is no preset {base_name!r}", did_you_mean(str(base_name), [p.name for p in PRESETS])
        )
    named = dataclasses.replace(base, name=path.stem, summary="", source=str(path))
    plan: Plan = changed(named, value, text, skip=("summary", "source"))
    return plan


def change(plan: Plan, **values: Any) -> Plan:
    """The plan with the options that were given."""
    return dataclasses.replace(plan, **{key: value for key, value in values.items() if value is not None})


@contextmanager
def blaming(plan: Plan) -> Iterator[None]:
    """What is wrong with a plan from a file is said with the file's name."""
    try:
        yield
    except PlanError as error:
        if plan.source in ("", *(preset.name for preset in PRESETS)):
            raise
        raise PlanError(f"{plan.source}: {error.what}", error.fix) from error


def is_url(chain: str) -> bool:
    """Whether a plan means a chain that runs already, by its address."""
    return chain.startswith(("http://", "https://"))


def check(plan: Plan) -> None:
    """Whether the plan's own numbers make sense; PlanError names the first that does not."""

    def within(key: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            raise PlanError(f"{key} is {value}", f"it must lie between {low} and {high}")

    within("nodes", plan.nodes, 1, MAX_SEATS)
    within("rounds", plan.rounds, 1, MAX_ROUNDS)
    within("seed", plan.seed, 0, 2**63 - 1)
    within("quorum", plan.quorum, 0, plan.nodes)
    within("data.validation", plan.data.validation, 1, MAX_HELD)
    within("data.test", plan.data.test, 1, MAX_HELD)
    for key, value, legal in (("chain", plan.chain, CHAINS), ("aggregator", plan.aggregator, AGGREGATORS)):
        if value not in legal and not (key == "chain" and is_url(value)):
            raise PlanError(f"{key} is {value!r}", did_you_mean(value, legal))
    if plan.metrics and parse_endpoint(plan.metrics)[1]:
        raise PlanError(f"metrics is {plan.metrics!r}", "every node needs a port of its own: write 127.0.0.1:0")
    if not plan.name:
        raise PlanError("name is empty", "leave it out: the file's own name stands for it")
    within("partners", plan.partners, 0, MAX_SEATS)
    if plan.encounters != NO_ENCOUNTERS:
        check_encounters(plan.encounters)
        _need(plan.chain != "none", "encounters are settled, and chain is 'none'", "take one: --chain embedded")
        least = plan.encounters.size + 2
        _need(
            plan.nodes >= least,
            f"nodes is {plan.nodes}, and an encounter takes a learner, a neighbor and {plan.encounters.size} others",
            f"take {least} nodes or more, or a smaller encounters.size",
        )
    _need(
        plan.chain == NO_CHAIN.profile or plan.data.public <= MAX_SAMPLES,
        f"data.public is {plan.data.public}, and a chain takes labels for at most {MAX_SAMPLES} samples",
        f"take {MAX_SAMPLES} public samples, or settle on no chain (--chain none)",
    )


def _need(holds: bool, what: str, fix: str) -> None:
    if not holds:
        raise PlanError(what, fix)


def check_data(plan: Plan) -> DataFacts:
    """What there is to know of the plan's data, once data and adapter are here and fit together."""
    from p2pfd.core.rng import Rng
    from p2pfd.learning import data  # scikit-learn takes its time, and no other command needs it
    from p2pfd.learning.adapter import Task

    adapters = plugins.names("p2pfd.adapters")
    if plan.adapter not in adapters:
        raise PlanError(f"there is no adapter {plan.adapter!r}", did_you_mean(plan.adapter, adapters))
    elsewhere = plan.data.public_from
    facts = DataFacts(
        data.digest_of_set(plan.data.name),
        data.classes_of_set(plan.data.name),
        data.digest_of_set(elsewhere) if elsewhere and not elsewhere.startswith("synthetic") else b"",
    )
    task = plan.task(facts)
    dealt = data.deal(task.data, plan.nodes)
    if plan.meets:
        _check_meets(plan)
    elif (plan.adapter, plan.settings, plan.codecs, plan.partners) != (DEFAULT_ADAPTER, {}, (), 0):
        # The adapter knows what they may be; the defaults need no check, and torch takes its time.
        from p2pfd.node.workbench import votes

        adapter: Any = plugins.load("p2pfd.adapters", plan.adapter)
        made, there = adapter(), Task(task, dealt.public)
        made.init(there, Rng(0))
        _check_kind(plan, common=votes(made, there))
    return facts


def _check_meets(plan: Plan) -> None:
    """Not every adapter can serve another node, and be judged."""
    adapter: Any = plugins.load("p2pfd.adapters", plan.adapter)
    _need(
        hasattr(adapter, "serve"),
        f"the adapter {plan.adapter} does not learn in encounters",
        "gossip and oppcl do: p2pfd adapters list",
    )
    _need(not plan.partners, f"partners is {plan.partners}", "who meets whom is up to the nodes: leave it 0")


def _check_kind(plan: Plan, *, common: bool) -> None:
    """An adapter with a common student votes with labels, which can be settled; any other exchanges contributions."""
    from p2pfd.learning.codecs import parse

    if common:
        _need(
            not plan.codecs,
            f"codecs is {plan.codecs[0]!r}" if plan.codecs else "",
            f"the labels of {plan.adapter} are packed as they are: leave codecs empty",
        )
        _need(
            not plan.partners,
            f"partners is {plan.partners}",
            f"all hear all with {plan.adapter}: leave it 0",
        )
        return
    _need(
        plan.chain == "none",
        f"what the adapter {plan.adapter} shares cannot be settled: they are no labels of a common student",
        "run it without a chain (--chain none)",
    )
    if plan.codecs:
        parse("+".join(plan.codecs))

"""Whether a plan can be carried out: its numbers, its data, its adapter, and who is to misbehave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from p2pfd import behaviours, plugins
from p2pfd.core.encounter_spec import NO_ENCOUNTERS, check_encounters
from p2pfd.core.spec import MOST_NODES, NO_CHAIN
from p2pfd.core.tables import did_you_mean, shown
from p2pfd.errors import EnvironmentProblem, PlanError
from p2pfd.incentives import market
from p2pfd.node.scrape import parse_endpoint
from p2pfd_localnet.plan import CHAINS, DEFAULT_ADAPTER, DataFacts, Plan, is_url

if TYPE_CHECKING:
    from p2pfd.learning.adapter import Task

AGGREGATORS = ("serum",)
MAX_HELD = 1_000_000
MAX_ROUNDS = 10_000
_SAMPLES = market.MAX_SAMPLES


def check(plan: Plan) -> None:
    """Whether the plan's own numbers make sense; PlanError names the first that does not."""

    def within(key: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            raise PlanError(f"{key} is {shown(value)}", f"it must lie between {low} and {high}")

    within("nodes", plan.nodes, 1, MOST_NODES)
    within("rounds", plan.rounds, 1, MAX_ROUNDS)
    within("seed", plan.seed, 0, 2**63 - 1)
    within("spare", plan.spare, 0, MOST_NODES - plan.nodes)
    within("quorum", plan.quorum, 0, plan.nodes)
    within("data.validation", plan.data.validation, 1, MAX_HELD)
    within("data.test", plan.data.test, 1, MAX_HELD)
    for key, value, legal in (("chain", plan.chain, CHAINS), ("aggregator", plan.aggregator, AGGREGATORS)):
        if value not in legal and not (key == "chain" and is_url(value)):
            raise PlanError(f"{key} is {shown(value)}", did_you_mean(value, legal))
    if plan.metrics:
        _check_metrics(plan.metrics)
    if not plan.name:
        raise PlanError("name is empty", "leave it out: the file's own name stands for it")
    within("partners", plan.partners, 0, MOST_NODES)
    if plan.encounters != NO_ENCOUNTERS:
        check_encounters(plan.encounters)
        _need(plan.chain != "none", "encounters are settled, and chain is 'none'", "take one: --chain embedded")
        least = plan.encounters.size + 2
        _need(
            plan.nodes >= least,
            f"nodes is {plan.nodes}, and an encounter takes a learner, a neighbor and {plan.encounters.size} others",
            f"take {least} nodes or more, or a smaller encounters.size",
        )
    elif plan.chain != NO_CHAIN.profile:
        _need(
            plan.seats <= market.MAX_SEATS,
            f"there are to be {plan.seats} nodes, and a label market on a chain has {market.MAX_SEATS} seats",
            f"take {market.MAX_SEATS} nodes, or settle on no chain (--chain none)",
        )
        _need(
            plan.data.public <= _SAMPLES,
            f"data.public is {shown(plan.data.public)}, and a chain takes labels for at most {_SAMPLES} samples",
            f"take {_SAMPLES} public samples, or settle on no chain (--chain none)",
        )
    plan.task(_ANY)  # which has bounds of its own


_ANY = DataFacts(bytes(32))


def _check_metrics(endpoint: str) -> None:
    try:
        _, port = parse_endpoint(endpoint)
    except PlanError as error:
        raise PlanError(f"metrics is {shown(endpoint)}, {error.what}", error.fix) from error
    _need(not port, f"metrics is {shown(endpoint)}", "every node needs a port of its own: write 127.0.0.1:0")


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
        raise PlanError(f"there is no adapter {shown(plan.adapter)}", did_you_mean(plan.adapter, adapters))
    elsewhere = plan.data.public_from
    synthetic = elsewhere.startswith("synthetic")
    with naming("data.name"):
        sha256, classes = data.digest_of_set(plan.data.name), data.classes_of_set(plan.data.name)
    with naming("data.public_from"):
        facts = DataFacts(sha256, classes, data.digest_of_set(elsewhere) if elsewhere and not synthetic else b"")
    task = plan.task(facts)
    for name in {plan.data.name, *([elsewhere] if facts.public_sha256 else [])}:
        check_here(name)
    dealt = data.deal(task.data, plan.seats)
    common = True
    if plan.meets:
        _check_meets(plan)
    elif (plan.adapter, plan.settings, plan.codecs, plan.partners, plan.learners) != (DEFAULT_ADAPTER, {}, (), 0, ()):
        # The adapter knows what they may be; the defaults need no check, and torch takes its time.
        from p2pfd.node.workbench import adapter_of, votes

        made, there = adapter_of(plan.adapter), Task(task, dealt.public)
        made.init(there, Rng(0))
        for learner in sorted(set(plan.learners)):
            _check_learner(plan.adapter, learner, there)
        common = votes(made, there)
        _check_kind(plan, common=common)
    _check_attack(plan, facts.classes, labels=common and not plan.meets)
    return facts


@contextmanager
def naming(key: str) -> Iterator[None]:
    """What is wrong with what a key says is told with the key."""
    try:
        yield
    except PlanError as error:
        if key in error.what:
            raise
        raise PlanError(f"{key}: {error.what}", error.fix) from error


def check_here(name: str) -> None:
    """EnvironmentProblem for a known set of which no copy lies here: nobody downloads without being asked to."""
    from p2pfd.learning.data.own import is_own
    from p2pfd.learning.data.places import VARIABLE, folders
    from p2pfd.learning.data.sets import source_of

    if is_own(name):
        return
    source = source_of(name)
    there = [files for folder in folders() for files in source.places if all((folder / f).is_file() for f in files)]
    if source.places and not there:
        get = f"p2pfd data fetch {name} gets it" if source.home else "it has no home to download it from"
        raise EnvironmentProblem(
            f"the data set {name} is not here ({', '.join(str(folder) for folder in folders())})",
            f"{get}; or set {VARIABLE} to a folder that has it",
        )


def _check_attack(plan: Plan, classes: int, *, labels: bool) -> None:
    """Whether such nodes can be bad in this way."""
    parts = {"", "encounters" if plan.meets else "labels" if labels else "payloads", "payloads"}
    for name in plan.attack:
        try:
            behaviours.check(name, classes)
        except PlanError as error:
            raise PlanError(f'attack."{name[:40]}": {error.what}', error.fix) from error
        kind, _ = behaviours.behaviour_class(name)
        legal = [
            known for known in plugins.names(behaviours.GROUP) if behaviours.behaviour_class(known)[0].part in parts
        ]
        _need(
            kind.part in parts,
            f"attack.{name} is about {kind.part}, and there are none in this mesh",
            f"the choice is {', '.join(legal)}",
        )
    try:
        plan.cast()
    except PlanError as error:
        named = error.what if error.what.startswith("attack") else f"attack: {error.what}"
        raise PlanError(named, error.fix) from error


def _check_learner(adapter: str, learner: str, task: Task) -> None:
    """Whether a node can learn with this."""
    from p2pfd.core.rng import Rng
    from p2pfd.node.workbench import adapter_of

    try:
        adapter_of(adapter, learner).init(task, Rng(0))
    except PlanError as error:
        raise PlanError(f"learners has {shown(learner)}: {error.what}", error.fix) from error


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

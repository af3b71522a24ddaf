"""Ten nodes on the digits: alone, together, FedAvg and central. `--choose` compares settings on validation data.

The last line is one JSON object. Test data is only looked at with the adapter's default settings. `--told` is about
`--data`, Fashion-MNIST unless said: what the net of its recipe learns from as many samples as are public there, if
somebody tells it their true classes. With the name of a table (`headline`, `skew`, …) first, this is
`p2pfd bench learning` with all that follows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
from p2pfd_adapters.cfd import Cfd, CfdState

from p2pfd.cli.program import PROGRAM
from p2pfd.core.ids import Amount, RoundId
from p2pfd.core.labels import packed_size
from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, Setting, TaskSpec
from p2pfd.learning.adapter import Contribution, Split, Task
from p2pfd.learning.baseline import accuracy_alone, federated_average, train_alone
from p2pfd.learning.bench import Cell
from p2pfd.learning.data import deal, digest_of_set
from p2pfd.learning.local import local_fit, local_model, log_shares
from p2pfd.learning.recipes import RECIPES, recipe_for
from p2pfd.learning.rehearsal import rehearse

PUBLIC, VALIDATION, TEST = 320, 177, 300
SEEDS = (1, 2, 3, 4, 5)
CHOOSING_SEEDS = (101, 102, 103, 104, 105, 106)
VARIANTS: tuple[Mapping[str, Setting], ...] = (
    {},
    {"epochs": 6},
    {"weigh": False},
    {"gate": False},
    {"target": "squared"},
    {"adjust": False},
    {"replay": "0"},
    {"replay": "1"},
    {"warm": False},
    {"distil_epochs": 10},
    {"distil_batch": 64},
    {"noise": "0"},
    {"distil_noise": "0"},
)


class Once(Cfd):
    """Distils once for all nodes, which would all get the same: for comparing settings, not for timing."""

    def __init__(self) -> None:
        self._rnd = -1
        self._taken: CfdState | None = None

    def absorb(self, state: CfdState, heard: Sequence[Contribution], rnd: RoundId, rng: Rng) -> CfdState:
        """What the first node of the round got, with this node's own model."""
        if self._taken is None or self._rnd != rnd:
            self._rnd, self._taken = rnd, super().absorb(state, heard, rnd, rng)
        return replace(self._taken, own=state.own)


def task_of(seed: int, nodes: int, rounds: int, partition: str, settings: Mapping[str, Setting]) -> TaskSpec:
    """The task that is measured."""
    data = DataSpec("digits", digest_of_set("digits"), 10, partition, seed, PUBLIC, VALIDATION, TEST)
    money = MoneySpec(Amount(0), Amount(0), Amount(0), Amount(0))
    return TaskSpec(
        f"bench-{seed}", data, "cfd", settings, "votes", (), rounds, nodes, 1, PhaseSpec(1, 1, 1), money
    )  # fmt: skip


def epochs_of(settings: Mapping[str, Setting]) -> int:
    """The epochs of a round."""
    epochs = settings.get("epochs", Cfd.defaults["epochs"])
    assert isinstance(epochs, int)
    return epochs


def together(adapter: Cfd, spec: TaskSpec, part: str) -> dict[str, float]:
    """Accuracy of the student and of the nodes' own models, and the processor time of all nodes."""
    started = time.process_time()
    done = rehearse(adapter, spec, epochs_of(spec.settings), Rng(spec.data.seed))
    spent = time.process_time() - started
    split = getattr(done.dealt, part)
    figures = [adapter.evaluate(state, split) for state in done.states]
    return {
        "together": fmean(f["accuracy"] for f in figures),
        "own": fmean(f["own_accuracy"] for f in figures),
        "seconds": spent,
    }


def alone(spec: TaskSpec, part: str) -> dict[str, float]:
    """Every shard's owner by itself."""
    dealt, rng = deal(spec.data, spec.seats), Rng(spec.data.seed)
    split = getattr(dealt, part)
    task = Task(spec, dealt.public)
    figures = [accuracy_alone(task, shard, split, rng) for shard in dealt.shards]
    return {"alone": fmean(figures), "alone_best": max(figures)}


def rivals(spec: TaskSpec, part: str) -> dict[str, float]:
    """FedAvg without and with logit adjustment, and one model trained on all shards together."""
    dealt, rng = deal(spec.data, spec.seats), Rng(spec.data.seed)
    split = getattr(dealt, part)
    model, epochs = local_model(spec.settings, 10), epochs_of(spec.settings)
    everything = Split(np.concatenate([s.x for s in dealt.shards]), np.concatenate([s.y for s in dealt.shards]))
    plan = local_fit(spec.settings, epochs)
    shares = [log_shares(spec.settings, shard, 10) for shard in dealt.shards]
    priors = [prior for prior in shares if prior is not None]
    weights = {
        "fedavg": federated_average(model, dealt.shards, spec.rounds, plan, rng),
        "fedavg_adjusted": federated_average(model, dealt.shards, spec.rounds, plan, rng, priors),
        "central": train_alone(model, everything, local_fit(spec.settings, epochs * spec.rounds), rng),
    }
    return {name: model.accuracy(w, split.x, split.y) for name, w in weights.items()}


def final(seeds: Sequence[int], nodes: int, rounds: int, partition: str) -> dict[str, object]:
    """The table on test data."""
    print(f"{nodes} nodes, {rounds} rounds, {partition}, {PUBLIC} public samples; accuracy on {TEST} test samples")
    columns = ("alone", "alone_best", "together", "own", "fedavg", "fedavg_adjusted", "central", "seconds")
    print("seed  " + "  ".join(f"{column:>15}" for column in columns))
    rows = []
    for seed in seeds:
        spec = task_of(seed, nodes, rounds, partition, {})
        row = {**together(Cfd(), spec, "test"), **alone(spec, "test"), **rivals(spec, "test")}
        rows.append(row)
        print(f"{seed:>4}  " + "  ".join(f"{row[column]:>15.3f}" for column in columns), flush=True)
    means = {column: fmean(row[column] for row in rows) for column in columns}
    print("mean  " + "  ".join(f"{means[column]:>15.3f}" for column in columns))
    parameters = local_model({}, 10).parameters
    return {
        "seeds": list(seeds),
        "nodes": nodes,
        "rounds": rounds,
        "partition": partition,
        **{column: round(value, 4) for column, value in means.items()},
        "smallest_gain": round(min(row["together"] - row["alone"] for row in rows), 4),
        "label_bytes": packed_size(PUBLIC) * rounds,
        "fedavg_bytes": 4 * parameters * rounds,
        "parameters": parameters,
    }


def choose(seeds: Sequence[int], nodes: int, rounds: int, partition: str, replay: str) -> dict[str, object]:
    """The table on validation data, one line a variant of the defaults with this weight of the replay."""
    print(
        f"{nodes} nodes, {rounds} rounds, {partition}; accuracy on {VALIDATION} validation samples, {len(seeds)} seeds"
    )
    print(f"{'changed settings':<28}{'together':>9}{'worst':>8}{'own':>8}{'alone':>8}")
    out = {}
    for settings in VARIANTS:
        specs = [task_of(seed, nodes, rounds, partition, {"replay": replay, **settings}) for seed in seeds]
        rows = [{**together(Once(), spec, "validation"), **alone(spec, "validation")} for spec in specs]
        name = ", ".join(f"{key}={value}" for key, value in settings.items()) or "none"
        mean = {key: fmean(row[key] for row in rows) for key in rows[0]}
        worst = min(row["together"] for row in rows)
        print(
            f"{name:<28}{mean['together']:>9.3f}{worst:>8.3f}{mean['own']:>8.3f}{mean['alone']:>8.3f}",
            flush=True,
        )
        out[name] = round(mean["together"], 4)
    return {"seeds": list(seeds), "together": out}


def told(data: str, seeds: Sequence[int], epochs: int, other: Mapping[str, Setting]) -> dict[str, object]:
    """One net and the validation part, which has labels and in this recipe as many samples as the public part."""
    found = []
    for seed in seeds:
        spec = Cell(recipe_for(data), seed).task()
        dealt, rng, settings = deal(spec.data, spec.seats), Rng(seed), {**spec.settings, **other}
        model = local_model(settings, spec.data.classes)
        plan = local_fit(settings, epochs)
        weights = model.fit(model.init(rng.split("init")), dealt.validation.x, dealt.validation.y, plan, rng)
        found.append(model.accuracy(weights, dealt.test.x, dealt.test.y))
        print(f"seed {seed}: {found[-1]:.3f}, told {len(dealt.validation)} samples", flush=True)
    return {"data": data, "seeds": list(seeds), "epochs": epochs, "told": round(fmean(found), 4)}


def main() -> None:
    """Measure and print."""
    if sys.argv[1:] and not sys.argv[1].startswith("-"):
        sys.exit(PROGRAM.main(["bench", "learning", *sys.argv[1:]]))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choose", action="store_true", help="compare settings on validation data")
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--partition", default="dirichlet:0.5")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument(
        "--replay", default=Cfd.defaults["replay"], help="the setting that --choose varies others around"
    )
    parser.add_argument("--told", type=int, metavar="EPOCHS", help="one net told true classes, for so long")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=TEXT", help="net, noise or another text, for --told"
    )
    parser.add_argument("--data", choices=sorted(RECIPES), default="fashion", help="the set of --told")
    args = parser.parse_args()
    if args.told:
        other: dict[str, Setting] = dict(text.split("=", 1) for text in args.set)
        result = told(args.data, args.seeds or (1, 2, 3), args.told, other)
    elif args.choose:
        result = choose(args.seeds or CHOOSING_SEEDS, args.nodes, args.rounds, args.partition, args.replay)
    else:
        result = final(args.seeds or SEEDS, args.nodes, args.rounds, args.partition)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

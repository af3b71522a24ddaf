"""Ten nodes on the digits: alone, together, FedAvg and central. `--choose` compares settings on validation data.

The last line is one JSON object. Test data is only looked at with the adapter's default settings.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from p2pfd_adapters.cfd import Cfd

from p2pfd.core.ids import Amount
from p2pfd.core.labels import packed_size
from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, Setting, TaskSpec
from p2pfd.learning.adapter import Split, Task
from p2pfd.learning.baseline import accuracy_alone, federated_average, train_alone
from p2pfd.learning.data import deal, digest_of_set
from p2pfd.learning.local import local_fit, local_model
from p2pfd.learning.rehearsal import rehearse

PUBLIC, VALIDATION, TEST = 320, 177, 300
SEEDS = (1, 2, 3, 4, 5)
CHOOSING_SEEDS = (101, 102, 103, 104, 105, 106)
VARIANTS: tuple[Mapping[str, Setting], ...] = (
    {},
    {"epochs": 6},
    {"net": "conv8"},
    {"weigh": False},
    {"gate": False},
    {"target": "squared"},
    {"adjust": False},
    {"replay": "0"},
    {"replay": "1"},
    {"warm": False},
    {"distil_epochs": 5},
    {"noise": "0"},
    {"distil_noise": "0"},
)


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


def log_shares(shard: Split) -> np.ndarray:
    """What logit adjustment adds."""
    return np.log(np.bincount(shard.y, minlength=10) / len(shard) + 0.1).astype(np.float32)


def together(spec: TaskSpec, part: str) -> dict[str, float]:
    """Accuracy of the student and of the nodes' own models, and the processor time of all nodes."""
    adapter, started = Cfd(), time.process_time()
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
    priors = [log_shares(shard) for shard in dealt.shards]
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
        row = {**together(spec, "test"), **alone(spec, "test"), **rivals(spec, "test")}
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


def choose(seeds: Sequence[int], nodes: int, rounds: int, partition: str) -> dict[str, object]:
    """The table on validation data, one line a variant of the defaults."""
    print(
        f"{nodes} nodes, {rounds} rounds, {partition}; accuracy on {VALIDATION} validation samples, {len(seeds)} seeds"
    )
    print(f"{'settings':<28}{'together':>9}{'worst':>8}{'own':>8}{'alone':>8}{'seconds':>9}")
    out = {}
    for settings in VARIANTS:
        specs = [task_of(seed, nodes, rounds, partition, settings) for seed in seeds]
        rows = [{**together(spec, "validation"), **alone(spec, "validation")} for spec in specs]
        name = ", ".join(f"{key}={value}" for key, value in settings.items()) or "the defaults"
        mean = {key: fmean(row[key] for row in rows) for key in rows[0]}
        worst = min(row["together"] for row in rows)
        print(
            f"{name:<28}{mean['together']:>9.3f}{worst:>8.3f}{mean['own']:>8.3f}{mean['alone']:>8.3f}"
            f"{mean['seconds']:>9.1f}",
            flush=True,
        )
        out[name] = round(mean["together"], 4)
    return {"seeds": list(seeds), "together": out}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choose", action="store_true", help="compare settings on validation data")
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--partition", default="dirichlet:0.5")
    parser.add_argument("--seeds", type=int, nargs="+")
    args = parser.parse_args()
    work, seeds = (choose, CHOOSING_SEEDS) if args.choose else (final, SEEDS)
    print(json.dumps(work(args.seeds or seeds, args.nodes, args.rounds, args.partition)))


if __name__ == "__main__":
    main()

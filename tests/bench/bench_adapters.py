"""An adapter over a topology, through a codec: mean and worst accuracy of the nodes, and the bytes of a node.

Accuracy is on validation data; `--test` looks at test data instead, and is for settings that were chosen before. The
last line is one JSON object. `--codec own` stands for the one that the adapter fedkd names for its task. With `--meet`
nodes meet two by two, as in encounters, and every node is compared with one that has the same shard and epochs and
meets nobody: on the classes of its goal, where the adapter has goals.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from p2pfd_adapters.fedkd import codec_of

from p2pfd import plugins
from p2pfd.core.ids import Amount, RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, Setting, TaskSpec
from p2pfd.learning.data import deal, digest_of_set
from p2pfd.learning.meetings import meet, of_classes
from p2pfd.learning.rehearsal import rehearse
from p2pfd.learning.topology import topology_of

SETTINGS: dict[str, dict[str, Setting]] = {
    "digits": {},
    "fashion": {"net": "fast28", "batch": 64, "epochs": 3, "noise": "0"},
}
SPLITS = {"digits": (320, 177, 300, 0), "fashion": (2000, 2000, 10_000, 20_000)}
"""Public, validation, test and private samples; no number of private ones stands for all that are left."""


def task_of(choice: argparse.Namespace, seed: int, defaults: Mapping[str, Setting]) -> TaskSpec:
    """The task that is measured."""
    public, validation, test, private = SPLITS[choice.data]
    data = DataSpec(
        choice.data, digest_of_set(choice.data), 10, choice.partition, seed, public, validation, test, private
    )
    settings = {**SETTINGS[choice.data], **dict(_setting(text, defaults) for text in choice.set)}
    money = MoneySpec(Amount(0), Amount(0), Amount(0), Amount(0))
    phases = PhaseSpec(1, 1, 1)
    return TaskSpec("bench", data, choice.adapter, settings, "mean", (), choice.rounds, choice.nodes, 1, phases, money)


def measure(choice: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One rehearsal's row; accuracy of each round goes to stderr."""
    adapter = plugins.load("p2pfd.adapters", choice.adapter)()
    spec = task_of(choice, seed, adapter.defaults)
    dealt = deal(spec.data, spec.seats)
    split = dealt.test if choice.test else dealt.validation
    graph = topology_of(choice.topology, choice.nodes, Rng(seed).split("graph"))
    epochs = {**adapter.defaults, **spec.settings}["epochs"]
    start = time.process_time()

    def watch(rnd: RoundId, states: Sequence[Any]) -> None:
        found = fmean(adapter.evaluate(state, dealt.validation)["accuracy"] for state in states)
        print(f"seed {seed} round {rnd + 1}: {found:.4f} {time.process_time() - start:.0f} s", file=sys.stderr)

    codec = codec_of(spec) if choice.codec == "own" else choice.codec
    done = rehearse(adapter, spec, epochs, Rng(seed), topology=graph, codec=codec, watch=watch, dealt=dealt)
    metrics = [adapter.evaluate(state, split) for state in done.states]
    assert done.traffic is not None
    return {
        "seed": seed,
        **{name: round(fmean(one[name] for one in metrics), 4) for name in metrics[0]},
        "worst": round(min(one["accuracy"] for one in metrics), 4),
        "sent": round(fmean(done.traffic.sent)),
        "heard": round(fmean(done.traffic.heard)),
        "seconds": round(time.process_time() - start, 1),
    }


def measure_meetings(choice: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Every node after its last encounter, and what it would be without: on the classes that it wants to know."""
    adapter, local = (plugins.load("p2pfd.adapters", name)() for name in (choice.adapter, "local"))
    spec = task_of(choice, seed, adapter.defaults)
    dealt = deal(spec.data, spec.seats)
    split = dealt.test if choice.test else dealt.validation
    graph = topology_of(choice.topology, choice.nodes, Rng(seed).split("graph"))
    epochs = {**adapter.defaults, **spec.settings}["epochs"]
    start = time.process_time()
    met = meet(adapter, spec, epochs, Rng(seed), tolerance=choice.tolerance, topology=graph, dealt=dealt)
    spent = time.process_time() - start
    shared = {name: value for name, value in spec.settings.items() if name in local.defaults}
    alone = rehearse(local, replace(spec, adapter="local", settings=shared), epochs, Rng(seed), dealt=dealt)
    pairs = []
    for state, apart in zip(met.states, alone.states, strict=True):
        wanted = [kind for kind, share in enumerate(state.extra.get("goal", ())) if share] or range(spec.data.classes)
        of_goal = of_classes(split, wanted)
        pairs.append((adapter.evaluate(state, of_goal)["accuracy"], local.evaluate(apart, of_goal)["accuracy"]))
    return {
        "seed": seed,
        "accuracy": round(fmean(one for one, _ in pairs), 4),
        "worst": round(min(one for one, _ in pairs), 4),
        "alone": round(fmean(apart for _, apart in pairs), 4),
        "least_gain": round(min(one - apart for one, apart in pairs), 4),
        "good": round(met.good / max(1, met.met), 3),
        "sent": round(met.sent / choice.nodes),
        "seconds": round(spent, 1),
    }


def _setting(text: str, defaults: Mapping[str, Setting]) -> tuple[str, Setting]:
    """A setting as the adapter wants it: of the type that its default has."""
    name, _, value = text.partition("=")
    default = defaults.get(name)
    if isinstance(default, bool):
        return name, value == "true"
    return name, int(value) if isinstance(default, int) else value


def main() -> None:
    """A table of seeds, and their means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter")
    parser.add_argument("--data", choices=sorted(SPLITS), default="fashion")
    parser.add_argument("--partition", default="dirichlet:0.1")
    parser.add_argument("--topology", default="regular:4")
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101])
    parser.add_argument("--codec", default="raw")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--meet", action="store_true", help="encounters instead of rounds")
    parser.add_argument("--tolerance", type=float, default=0.05, help="how much worse an encounter may leave a learner")
    choice = parser.parse_args()
    rows = [(measure_meetings if choice.meet else measure)(choice, seed) for seed in choice.seeds]
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    means = {name: round(fmean(row[name] for row in rows), 4) for name in rows[0] if name != "seed"}
    print(json.dumps({"adapter": choice.adapter, "rows": rows, "means": means}))


if __name__ == "__main__":
    main()

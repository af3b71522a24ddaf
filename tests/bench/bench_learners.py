"""What unequal learners teach one another: eight nodes of four kinds vote on public digits, round by round, as a table.

Each node fits its own shard and, from the second round on, the targets that all votes made of the public samples.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from statistics import fmean

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec
from p2pfd.learning.data import deal, digest_of_set
from p2pfd.learning.learner import Fit, Replay
from p2pfd.learning.learners import learner_of
from p2pfd.learning.votes import targets

KINDS = ("mlp8", "conv8", "forest", "logistic")
PLAN = Fit(epochs=20, batch=16, rate=0.05)


def mesh(seed: int, partition: str, nodes: int, rounds: int, weight: float) -> dict[str, list[tuple[float, float]]]:
    """By kind of learner, each node's test accuracy from its shard alone, and after the last round."""
    data = DataSpec("digits", digest_of_set("digits"), 10, partition, seed, public=320, validation=177, test=300)
    dealt, root = deal(data, nodes), Rng(seed)
    kinds = [KINDS[place % len(KINDS)] for place in range(nodes)]
    learners = [learner_of(kind, 10) for kind in kinds]
    alone: list[float] = []
    together: list[float] = []
    wanted = None
    for rnd in range(rounds):
        replay = None if wanted is None else Replay(dealt.public, wanted, weight)
        own = []
        for place, (learner, shard) in enumerate(zip(learners, dealt.shards, strict=True)):
            rng = root.split(rnd, place)
            own.append(learner.fit(learner.init(rng), shard.x, shard.y, PLAN, rng, replay=replay))
        votes = [learner.classes(weights, dealt.public) for learner, weights in zip(learners, own, strict=True)]
        wanted = targets(np.array(votes), 10, weigh=True, gated=True, squared=False)
        right = [n.accuracy(weights, dealt.test.x, dealt.test.y) for n, weights in zip(learners, own, strict=True)]
        alone, together = alone or right, right
    out: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for kind, before, after in zip(kinds, alone, together, strict=True):
        out[kind].append((before, after))
    return out


def main() -> None:
    """Measure so many seeds, and write the mean of each kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--partition", default="dirichlet:0.5")
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weight", type=float, default=2.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    args = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for seed in args.seeds:
        for kind, pairs in mesh(seed, args.partition, args.nodes, args.rounds, args.weight).items():
            found[kind] += pairs
    print("| learner | alone | together |\n|---|--:|--:|")
    for kind in KINDS:
        print(f"| `{kind}` | {fmean(b for b, _ in found[kind]):.3f} | {fmean(a for _, a in found[kind]):.3f} |")


if __name__ == "__main__":
    main()

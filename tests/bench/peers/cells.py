"""Which runs there are: a system, how many nodes, how the data lies, what goes wrong, and the seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

P2PFD, OFF_CHAIN = "p2pfd", "p2pfd, no chain"
GRPC, MEMORY, FLOWER = "p2pfl, gRPC", "p2pfl, in memory", "Flower, simulation"
OURS = (P2PFD, OFF_CHAIN)
SYSTEMS = (P2PFD, OFF_CHAIN, GRPC, MEMORY, FLOWER)
CLEAN, ATTACK, CHURN = "clean", "attack", "churn"
IID, UNEVEN, BETWEEN = "iid", "dirichlet:0.1", "dirichlet:1"
SPOKEN = {IID: "IID", UNEVEN: "α = 0.1", BETWEEN: "α = 1"}
ROUNDS = {10: 10, 20: 4}
"""For so many nodes: with ten rounds of twenty nodes, p2pfl's would not end within half an hour of all runs."""
ATTACKERS, DYING = 0.2, 0.3
DIES_AFTER = 3
"""Rounds; those that die do so in the next one."""
LIMITS = {10: 180.0, 20: 200.0}
"""Seconds after which a run is cut off, for so many nodes."""
PLAIN = "fedavg"


@dataclass(frozen=True, order=True)
class Cell:
    """One run."""

    system: str
    nodes: int
    partition: str
    trouble: str = CLEAN
    aggregator: str = ""
    seed: int = 1
    rounds: int = ROUNDS[10]
    slow: float = 1.0
    """By how much longer a run may take, and a node that is dead is waited for: for a machine with other work."""

    @property
    def name(self) -> str:
        """As a file can be called."""
        words = (self.system, self.aggregator, f"{self.nodes}", self.partition, self.trouble, f"{self.rounds}r")
        text = " ".join(words).lower().replace("α", "alpha")
        plain = "".join(letter if letter.isalnum() or letter == "." else "-" for letter in text)
        return "-".join(part for part in plain.split("-") if part) + f"-s{self.seed}"

    @property
    def row(self) -> str:
        """What it is called in a table: the system, and its aggregator if it has one by choice."""
        return f"{self.system}, {self.aggregator}" if self.aggregator not in ("", PLAIN) else self.system

    @property
    def group(self) -> tuple[int, str, str]:
        """Which table it stands in."""
        return self.nodes, self.partition, self.trouble

    @property
    def limit(self) -> float:
        """Seconds after which it is cut off."""
        return self.slow * LIMITS.get(self.nodes, LIMITS[10])

    def to_plain(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def matrix(seed: int) -> list[Cell]:
    """All runs of one seed, in the order in which they are wanted."""
    cells = []
    for nodes in (10, 20):
        for partition in (IID, UNEVEN):
            cells += [_of(system, nodes, partition, seed) for system in SYSTEMS]
            if (nodes, partition) == (10, UNEVEN):
                cells.append(_of(FLOWER, nodes, partition, seed, aggregator="fedprox"))
    for system, aggregator in (
        (P2PFD, ""),
        (GRPC, PLAIN),
        (GRPC, "median"),
        (FLOWER, PLAIN),
        (FLOWER, "median"),
        (FLOWER, "multikrum"),
    ):
        cells.append(_of(system, 10, BETWEEN, seed, ATTACK, aggregator))
    cells += [_of(system, 10, BETWEEN, seed, CHURN) for system in (P2PFD, GRPC, MEMORY, FLOWER)]
    return cells


def plan(seeds: int) -> list[Cell]:
    """The runs of so many seeds, seed after seed: what is there first is the whole matrix of one seed."""
    return [cell for seed in range(1, seeds + 1) for cell in matrix(seed)]


def tiny(cell: Cell) -> Cell:
    """The same kind of run in a few seconds, to see that it works at all."""
    rounds = DIES_AFTER + 2 if cell.trouble == CHURN else 2
    return replace(cell, nodes=5, rounds=rounds)


def _of(system: str, nodes: int, partition: str, seed: int, trouble: str = CLEAN, aggregator: str = "") -> Cell:
    chosen = aggregator or ("" if system in OURS else PLAIN)
    return Cell(system, nodes, partition, trouble, chosen, seed, ROUNDS[nodes])

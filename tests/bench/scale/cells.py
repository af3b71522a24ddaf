"""Which runs there are: real meshes, meshes that meet in twos, simulated ones; each against one thing that grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tests.bench.processes import PATIENT

MESH, MEETINGS, SIM = "mesh", "meetings", "sim"
EMBEDDED, OFF_CHAIN = "embedded", "none"
DIGITS, FASHION = "digits", "fashion"
SHARD = 10
"""Private samples of a node, however many nodes there are: more of them must not mean that each learns less."""
VALIDATION, TEST = 150, 300
SEED = 7
TINY_NODES, TINY_SIM = 4, 50


@dataclass(frozen=True, order=True)
class Cell:
    """One run."""

    kind: str
    nodes: int
    rounds: int
    chain: str = EMBEDDED
    data: str = DIGITS
    net: str = "mlp8"
    public: int = 320
    validators: int = 0
    learn: str = ""

    @property
    def name(self) -> str:
        """As a file can be called."""
        words = [self.kind, f"{self.nodes}n", f"{self.rounds}r"]
        if self.kind == SIM:
            words.append(self.learn)
        else:
            words += [self.chain, self.data, self.net, f"{self.public}p"]
        if self.kind == MEETINGS:
            words.append(f"{self.validators}v")
        return "-".join(words)

    @property
    def plan(self) -> str:
        """A mesh's plan, as a file; a simulated one has none."""
        lines = [
            f'preset = "{"encounters" if self.kind == MEETINGS else "digits"}"',
            f"nodes = {self.nodes}",
            f"rounds = {self.rounds}",
            f"seed = {SEED}",
            f'chain = "{self.chain}"',
            "",
            "[data]",
            f'name = "{self.data}"',
            'partition = "iid"',
            f"private = {SHARD * self.nodes}",
            f"public = {self.public}",
            f"validation = {VALIDATION}",
            f"test = {TEST}",
            "",
            PATIENT,
            "[settings]",
            f'net = "{self.net}"',
        ]
        if self.kind == MEETINGS:
            lines += ["", "[encounters]", f"size = {self.validators}"]
        return "\n".join(lines) + "\n"

    def command(self, rounds: int) -> tuple[str, ...]:
        """What `p2pfd sim` is told. One process: its memory is then that of all nodes."""
        words = ("-n", f"{self.nodes}", "--rounds", f"{rounds}", "--seed", f"{SEED}", "--processes", "1")
        return (*words, "--learn", self.learn)

    def to_plain(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


ROUNDS: Mapping[int, int] = {10: 6, 20: 6, 50: 5, 100: 4}
"""Of a mesh of so many nodes. The first round and the last are not in the figures: three are the least."""


def _mesh(nodes: int, **more: Any) -> Cell:
    return Cell(MESH, nodes, ROUNDS[nodes], **more)


def _meetings(validators: int) -> Cell:
    return Cell(MEETINGS, 10, 3, validators=validators)


def _sim(nodes: int, rounds: int, learn: str) -> Cell:
    return Cell(SIM, nodes, rounds, learn=learn)


SERIES: Mapping[str, Sequence[Cell]] = {
    "nodes": [_mesh(nodes) for nodes in (10, 20, 50)],
    "nodes off chain": [_mesh(nodes, chain=OFF_CHAIN) for nodes in (10, 20, 50, 100)],
    "simulated": [
        *(_sim(nodes, rounds, "toy") for nodes, rounds in ((100, 1_000), (1_000, 100), (10_000, 20))),
        *(_sim(nodes, rounds, "digits") for nodes, rounds in ((100, 40), (1_000, 10))),
    ],
    "samples": [
        *(_mesh(10, public=public) for public in (80, 320, 1_000)),
        *(_mesh(10, chain=OFF_CHAIN, data=FASHION, net="mlp28", public=public) for public in (320, 1_000, 4_000)),
    ],
    "nets": [
        *(_mesh(10, net=net) for net in ("linear8", "mlp8", "conv8")),
        *(_mesh(10, data=FASHION, net=net) for net in ("linear28", "fast28", "mlp28")),
    ],
    "validators": [_meetings(validators) for validators in (1, 3, 5, 7)],
}
"""Against what cost is measured. A run may stand in more than one of them."""
LAST = ("mesh-100n", "sim-10000n")
"""What takes longest is measured last."""


def plan() -> list[Cell]:
    """All runs, in the order in which they are measured."""
    order = ("nodes", "simulated", "samples", "nets", "validators", "nodes off chain")
    cells = list(dict.fromkeys(cell for series in order for cell in SERIES[series]))
    return sorted(cells, key=lambda cell: cell.name.startswith(LAST))


def tiny(cell: Cell) -> Cell:
    """The same kind of run in some seconds, to see that it works at all."""
    if cell.kind == SIM:
        return replace(cell, nodes=TINY_SIM, rounds=4)
    nodes = TINY_NODES if cell.kind == MESH else cell.validators + 2
    return replace(cell, nodes=nodes, rounds=3 if cell.kind == MESH else 1, public=min(cell.public, 40))


def tiny_plan() -> list[Cell]:
    """One run of each kind, and each chain."""
    chosen = (SERIES["nodes"][0], SERIES["nodes off chain"][0], SERIES["validators"][0], SERIES["simulated"][0])
    return [tiny(cell) for cell in chosen]

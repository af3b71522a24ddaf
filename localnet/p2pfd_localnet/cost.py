"""What a mesh will take of this machine, estimated before it starts: time, memory, disk, open files.

The constants are between what the presets took on two machines of two cores (`make bench-presets`), of which one was
twice as fast, and are good to a factor of two; a machine that does other work takes longer. What a mesh waits for, as
chains with slow blocks, counts as time and not as work.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from p2pfd_localnet.plan import Plan

START_CPU = 5.5
"""Seconds of work until the supervisor, the chain and the process that forks the nodes are there."""
NODE_CPU = 0.3
"""Of each node until it is ready, and for its last figures."""
ROUND_CPU = 0.1
"""Of each node in a round, but for learning and for hearing others."""
PAIR_CPU = 0.004
"""Of each node in a round for each other node."""
MEETING_CPU = 0.75
"""Of each encounter, all that take part together, but for learning."""
STEP_CPU = 0.00014
"""Of one step of a descent, whatever the net."""
NETS: Mapping[str, tuple[float, int]] = MappingProxyType(
    {
        "linear8": (3e-6, 650),
        "mlp8": (4e-6, 7_210),
        "tiny8": (4e-6, 610),
        "conv8": (16e-6, 9_930),
        "linear28": (4e-6, 7_850),
        "mlp28": (8e-6, 101_770),
        "tiny28": (21e-6, 5_270),
        "small28": (27e-6, 14_154),
        "fast28": (39e-6, 55_690),
        "edges28": (55e-6, 108_362),
        "midedges28": (53e-6, 62_458),
        "smalledges28": (41e-6, 29_098),
        "linear32": (7e-6, 30_730),
        "mlp32": (21e-6, 394_634),
        "fast32": (100e-6, 209_706),
    }
)
"""By its name, what a net takes of the processor for one sample in a step, and how many numbers it has."""
_ANY_NET = (13e-6, 60_000)
_SHAPES: Mapping[str, int] = MappingProxyType({"8": 64, "28": 784, "32": 3072})
FOREST_CPU = 0.22
"""Of growing one forest."""
BASE_MB, NODE_MB, CHAIN_MB = 280, 46, 90
"""Memory of the supervisor with the process that forks nodes, of a node, and of a chain."""
FOREST_MB = 70
COPIES = 4
"""Of its samples, that a node holds at the same time."""
SETTLED_DISK_MB, PAIR_DISK_MB, ROUND_DISK_MB = 0.08, 0.002, 0.008
"""Disk of a node beside its nets: where it settles, for each other node, and for each round."""
KEPT = 3
"""Of its net, that a node keeps on disk."""
CHAIN_DISK_MB = 0.003
"""Of a node in a round, on the chain."""
NODE_FILES = 24
SLOW = MappingProxyType({"amoy-like": 14.0})
"""Seconds that a round takes longer on a chain that makes a mesh wait."""


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate. ``work`` is processor time; ``seconds`` is how long that takes on so many free cores."""

    work: float
    seconds: float
    cores: int
    memory_mb: int
    disk_mb: float
    files: int

    def to_plain(self) -> dict[str, Any]:
        """As the plan's own result has it."""
        return {
            "processor_seconds": round(self.work, 1),
            "seconds": round(self.seconds, 1),
            "cores": self.cores,
            "memory_mb": self.memory_mb,
            "disk_mb": self.disk_mb,
            "open_files": self.files,
        }


def estimate(plan: Plan, samples: int = 0, cores: int = 0) -> Cost:
    """What a plan will take. ``samples`` is how many its data set has; 0 where nobody knows: digits has 1,797."""
    free = cores or _cores()
    data, n, rounds = plan.data, plan.nodes, plan.rounds
    held = data.private or max(0, (samples or 1_797) - data.public - data.validation - data.test)
    shard = held / n
    honest = n - len(plan.dishonest())
    learning = honest * rounds * _learning(plan, shard) + n * _alone(plan, shard)
    talk = n * rounds * ((MEETING_CPU if plan.meets else ROUND_CPU) + PAIR_CPU * n)
    work = START_CPU + n * NODE_CPU + learning + talk
    wide = _width(plan)
    sample_mb = 4 * wide / 1e6
    forests = sum(plan.learners[place % len(plan.learners)] == "forest" for place in range(n)) if plan.learners else 0
    memory = BASE_MB + n * NODE_MB + (CHAIN_MB if plan.chain != "none" else 0) + forests * FOREST_MB
    memory += round(n * sample_mb * (data.public + data.validation + data.test + shard) * COPIES)
    disk = n * (KEPT * 4e-6 * _net(plan)[1] + PAIR_DISK_MB * n + ROUND_DISK_MB * rounds)
    disk += n * (SETTLED_DISK_MB + CHAIN_DISK_MB * rounds) if plan.chain != "none" else 0.0
    return Cost(
        work=work,
        seconds=work / min(free, n + 1) + rounds * SLOW.get(plan.chain, 0.0),
        cores=free,
        memory_mb=memory,
        disk_mb=round(disk, 1),
        files=n * NODE_FILES,
    )


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _learning(plan: Plan, shard: float) -> float:
    """Processor time of a node's learning in a round."""
    whole = plan.settings.get
    epochs, batch = _number(whole("epochs"), 10), _number(whole("batch"), 16)
    private = 2 * epochs * _passes(plan, shard, batch)  # public samples are replayed beside the private ones
    public = _number(whole("distil_epochs"), 20 if plan.adapter in ("cfd", "mixed") else 0)
    return private + public * _passes(plan, plan.data.public, _number(whole("distil_batch"), 32)) + _forests(plan)


def _alone(plan: Plan, shard: float) -> float:
    """Processor time of what a node does in the end to tell what it would have reached alone."""
    whole = plan.settings.get
    return plan.rounds * _number(whole("epochs"), 10) * _passes(plan, shard, _number(whole("batch"), 16))


def _passes(plan: Plan, samples: float, batch: int) -> float:
    """Once through so many samples."""
    return math.ceil(samples / batch) * STEP_CPU + samples * _net(plan)[0]


def _net(plan: Plan) -> tuple[float, int]:
    """What `NETS` says of the plan's net."""
    return NETS.get(str(plan.settings.get("net", "mlp8")), _ANY_NET)


def _forests(plan: Plan) -> float:
    share = plan.learners.count("forest") / len(plan.learners) if plan.learners else 0.0
    return share * FOREST_CPU


def _width(plan: Plan) -> int:
    """How many numbers a sample has."""
    net = str(plan.settings.get("net", "mlp8"))
    kind, _, width = net.partition(":")
    if width.isdigit():
        return int(width)
    return next((wide for side, wide in _SHAPES.items() if kind.endswith(side)), _SHAPES["8"])


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise

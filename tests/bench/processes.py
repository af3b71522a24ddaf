"""What the processes of a local mesh use, from /proc, and when its rounds were opened: for the benches that run one."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

PROGRAM = "import sys; from p2pfd_localnet.main import main; sys.exit(main())"
PATIENT = "[phases]\nenrol_seconds = 900\ncommit_seconds = 900\nreveal_seconds = 900\n"
"""A phase ends when all have acted: a machine that does other things, too, must not cut it short."""
LOOK = 0.5
"""Seconds from one look to the next."""
TICKS = os.sysconf("SC_CLK_TCK")


def processes() -> Iterator[tuple[int, int, float]]:
    """Each process that is there: its number, who started it, and the processor's seconds that it has used."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            yield int(entry.name), int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS


def busy(stat: str) -> float:
    """Seconds in which the processors had something to do since the machine was started, from a /proc/stat."""
    fields = [int(field) for field in stat.split("\n", 1)[0].split()[1:9]]
    idle, waiting = fields[3:5]
    return (sum(fields) - idle - waiting) / TICKS


def below(root: int) -> list[int]:
    """A process and all that it started, as far as they are there."""
    children: dict[int, list[int]] = {}
    for pid, parent, _ in processes():
        children.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def proportional_kb(pid: int) -> int:
    """The memory that a process would free if it ended and its sharers stayed, shared pages counted in parts."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


@dataclass
class Looks:
    """What the processes of a mesh have used by when, by their part in it."""

    root: int
    parts: dict[int, str] = field(default_factory=dict)
    used: dict[int, float] = field(default_factory=dict)
    history: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    weights: list[tuple[float, int]] = field(default_factory=list)
    """The memory of all of them together, in bytes, as often as they were weighed."""
    machine: list[float] = field(default_factory=list)
    """What the processors had done at each look, for whomever."""

    def take(self) -> None:
        """Look once."""
        for pid, parent, used in processes():
            if pid == self.root or parent in self.parts:
                if pid not in self.parts:
                    self.parts[pid] = self._part(pid, parent)
                self.used[pid] = used
        sums: Counter[str] = Counter()
        for pid, seconds in self.used.items():
            sums[self.parts[pid]] += seconds
        self.history.append((time.time(), dict(sums)))
        self.machine.append(busy(Path("/proc/stat").read_text()))

    def weigh(self) -> None:
        """Add up the memory of all that are there: dearer than a look, and the kernel does it at their cost."""
        self.weights.append((time.time(), 1024 * sum(proportional_kb(pid) for pid in self.parts)))

    def _part(self, pid: int, parent: int) -> str:
        if pid == self.root:
            return "supervisor"
        if self.parts.get(parent) == "zygote":
            return "nodes"
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            words = b""
        return "zygote" if b"zygote" in words else "chain"

    def at(self, when: float) -> dict[str, float]:
        """What had been used by then: between two looks, as if evenly."""
        for (before, less), (after, more) in pairwise(self.history):
            if before <= when < after:
                share = (when - before) / (after - before)
                return {part: less.get(part, 0.0) + share * (used - less.get(part, 0.0)) for part, used in more.items()}
        return dict(self.history[-1 if when >= self.history[-1][0] else 0][1])

    def between(self, first: float, last: float) -> dict[str, float]:
        """What was used from one time to the other."""
        before, after = self.at(first), self.at(last)
        return {part: used - before.get(part, 0.0) for part, used in after.items()}

    def others(self, first: float, last: float) -> float:
        """How many processors other processes kept busy, as far as looks tell that lie between the two times."""
        inside = [place for place, (when, _) in enumerate(self.history) if first <= when <= last]
        if len(inside) < 2:
            return 0.0
        (begun, less), (ended, more) = self.history[inside[0]], self.history[inside[-1]]
        whole = self.machine[inside[-1]] - self.machine[inside[0]]
        return max(0.0, whole - sum(more.values()) + sum(less.values())) / (ended - begun)

    def heaviest(self, first: float, last: float) -> int | None:
        """The most memory at any weighing from one time to the other; None where there was none between."""
        return max((weight for when, weight in self.weights if first <= when <= last), default=None)

    def nodes(self) -> list[int]:
        """The nodes' processes."""
        return [pid for pid, part in self.parts.items() if part == "nodes"]


def opened(mesh: Path) -> list[float]:
    """When the rounds were opened, as the first node saw it."""
    found: dict[int, float] = {}
    for line in (mesh / "nodes" / "node-0" / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "round.opened":
            found.setdefault(event["round"], event["t"] / 1e6)
    return [found[rnd] for rnd in sorted(found)]

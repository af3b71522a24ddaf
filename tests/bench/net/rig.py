"""Several `worker`s as one mesh."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from p2pfd.core.rng import Rng
from p2pfd.sim.graphs import circle_with_chords

SETTLING = 3.0


class Process:
    """One worker."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.bench.net.worker"]
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **order: Any) -> dict[str, Any]:
        """One order, one answer."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps(order) + "\n")
        self._popen.stdin.flush()
        return self.hear(order["do"])

    def hear(self, what: str) -> dict[str, Any]:
        """One more answer."""
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended at {what}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()

    def end(self) -> None:
        """Close its input and wait."""
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()
        self._popen.wait(30)


@dataclass(frozen=True)
class Load:
    """What became of a load."""

    delivery: float
    twice: int
    cpu_ms: float
    """CPU per delivery, all processes, everything included."""
    late: list[float]
    drops: dict[str, int]
    """Why ours dropped something, since the start."""
    seconds: float
    """From the first word to the last delivery."""


class Mesh:
    """So many nodes of one kind in so many processes."""

    def __init__(self, kind: str, nodes: int, processes: int, degree: int = 4) -> None:
        self.kind, self.nodes = kind, nodes
        self._pool = ThreadPoolExecutor(processes)
        self._processes = [Process() for _ in range(processes)]
        edges = [nodes * place // processes for place in range(processes + 1)]
        self._spans = [range(low, high) for low, high in itertools.pairwise(edges)]
        self.graph = circle_with_chords(Rng(1), nodes, degree)
        self.one_mb = self.all_mb = self.up_seconds = 0.0

    def __enter__(self) -> Mesh:
        return self

    def __exit__(self, *_: object) -> None:
        list(self._pool.map(Process.end, self._processes))
        self._pool.shutdown()

    def _all(self, do: str, each: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
        orders = each or [{} for _ in self._processes]
        pairs = zip(self._processes, orders, strict=True)
        return list(self._pool.map(lambda pair: pair[0].ask(do=do, **pair[1]), pairs))

    def up(self) -> None:
        """Open, dial along the graph, and wait until all know all their neighbours."""
        spans = self._spans
        common = {"kind": self.kind, "mesh": self.nodes}
        first = self._all("open", [{**common, "first": span[0], "count": 1} for span in spans])
        begun = time.monotonic()
        rest = self._all("open", [{**common, "first": span[0] + 1, "count": len(span) - 1} for span in spans])
        addresses = [address for answer in rest for address in answer["addresses"]]
        links = [
            [(one, addresses[other]) for one in span for other in self.graph[one] if other > one] for span in spans
        ]
        degree = min(len(neighbours) for neighbours in self.graph)
        said = self._all("connect", [{"links": mine, "degree": degree} for mine in links])
        self.up_seconds = time.monotonic() - begun
        self.one_mb = sum(answer["rss"] for answer in first)
        self.all_mb = sum(answer["rss"] for answer in said)

    @property
    def mb_per_node(self) -> float:
        """Memory of each node after a process's first."""
        return (self.all_mb - self.one_mb) / (self.nodes - len(self._processes))

    def tally(self) -> dict[str, float]:
        """What all processes hold now: MB, and tasks."""
        answers = self._all("tally")
        return {what: sum(answer[what] for answer in answers) for what in ("rss", "tasks")}

    def idle(self, seconds: float) -> float:
        """CPU in ms per second and node while nothing is said, once what comes with starting is done."""
        time.sleep(SETTLING)
        self._all("tally")
        time.sleep(seconds)
        return 1e3 * sum(answer["cpu"] for answer in self._all("tally")) / seconds / self.nodes

    def load(self, rate: float, seconds: float, size: int) -> Load:
        """So many messages a second, from all nodes in turn; a rate of 0 is one message of each node at once."""
        count = int(rate * seconds) if rate else self.nodes
        order = list(range(self.nodes))
        Rng(2).shuffle(order)
        said = [(order[number % self.nodes], number / rate if rate else 0.0) for number in range(count)]
        begin = time.monotonic() + 0.5
        self._all("tally")
        self._all(
            "say",
            [{"what": [w for w in said if w[0] in span], "size": size, "begin": begin} for span in self._spans],
        )
        expected = [sum(sum(speaker != node for speaker, _ in said) for node in span) for span in self._spans]
        ends = self._all("wait", [{"count": want, "seconds": 60.0} for want in expected])
        tallies = self._all("tally")
        heard = sum(answer["heard"] for answer in tallies)
        return Load(
            delivery=heard / sum(expected),
            twice=sum(answer["twice"] for answer in tallies),
            cpu_ms=1e3 * sum(answer["cpu"] for answer in tallies) / max(1, heard),
            late=sorted(ms for answer in tallies for ms in answer["late"]),
            drops=dict(sum((Counter(answer["drops"]) for answer in tallies), Counter())),
            seconds=max(answer["at"] for answer in ends) - begin,
        )

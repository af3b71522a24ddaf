"""Blobs between processes: ours, the library's, and what gRPC and plain TCP make of the same bytes."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench.net.rig import Process

TURNS = 4
MESH = 8


class Blobs:
    """One node that fetches, and so many that provide, each in a process of its own."""

    def __init__(self, kind: str, providers: int) -> None:
        self._processes = [Process() for _ in range(providers + 1)]
        opened = [
            process.ask(do="open", kind=kind, first=number, count=1, mesh=MESH)
            for number, process in enumerate(self._processes)
        ]
        self.getter, *self.providers = self._processes
        links = [(0, answer["addresses"][0]) for answer in opened[1:]]
        self.getter.ask(do="connect", links=links, degree=providers)

    def __enter__(self) -> Blobs:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.end()

    def fetch(self, size: int, half: bool = False) -> float:
        """Seconds; with `half`, the first provider is killed when half of it is here."""
        with ThreadPoolExecutor(len(self.providers)) as pool:
            names = {answer["name"] for answer in pool.map(lambda each: each.ask(do="put", size=size), self.providers)}
        (name,) = names
        answer = self.getter.ask(do="get", name=name, size=size, half=half)
        if half:
            self.providers[0].kill()
            answer = self.getter.hear("get")
        if not answer["whole"]:
            raise SystemExit("a blob came, and is not what was asked for")
        return float(answer["seconds"])

    def while_fetching(self, size: int, count: int, rate: float) -> list[float]:
        """How late messages came, in ms, that both ends of a connection said while blobs were fetched over it."""
        (provider,) = self.providers
        names = [provider.ask(do="put", size=size + number)["name"] for number in range(count)]
        for each in self._processes:
            each.ask(do="tally")
        self.getter.ask(do="pull", names=names, size=size)
        late: list[float] = []
        while True:
            pulled, heard = self._chat(rate)
            if pulled == count:
                return late  # what was said in this turn was said while nothing was fetched, at least at its end
            late += heard

    def _chat(self, rate: float) -> tuple[int, list[float]]:
        """Both ends say ten things: how many blobs the first has fetched, and how late the things came."""
        begin = time.monotonic() + 0.05

        def say(number: int) -> None:
            what = [(number, step / rate) for step in range(10)]
            self._processes[number].ask(do="say", what=what, size=1024, begin=begin)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(say, range(2)))
            list(pool.map(lambda each: each.ask(do="wait", count=10, seconds=30.0), self._processes))
            tallies = list(pool.map(lambda each: each.ask(do="tally"), self._processes))
        return tallies[0]["pulled"], [ms for answer in tallies for ms in answer["late"]]


def ours(size: int, providers: int) -> float:
    """The best of some fetches, in MB/s."""
    with Blobs("ours", providers) as blobs:
        return max(each / 1e6 / blobs.fetch(each) for each in range(size, size + TURNS))


def stock(size: int) -> float:
    """The same bytes over a stream of the library's, written in the pieces that suit it best."""
    with Blobs("stock", 1) as blobs:
        return max(each / 1e6 / blobs.fetch(each) for each in range(size, size + 2))


def killed(size: int) -> float:
    """Seconds of a fetch from two, one of which is killed half-way."""
    with Blobs("ours", 2) as blobs:
        return blobs.fetch(size, half=True)


def rival(name: str, size: int) -> float:
    """Of gRPC or plain TCP, the best of some fetches, in MB/s."""
    command = [sys.executable, "-m", "tests.bench.net.rivals", name, str(size), str(TURNS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return size / 1e6 / min(map(float, done.stdout.split()))

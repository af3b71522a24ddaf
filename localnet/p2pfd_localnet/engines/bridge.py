"""Between a supervisor and the hosts on a Ray cluster: ``python -m p2pfd_localnet.engines.bridge CLUSTER.json …``.

It takes orders on stdin and tells on stdout as a zygote does (`p2pfd_localnet.zygote`), so that the supervisor need not
know the difference. What nodes write on their machines it writes into the mesh's directory here, before it passes on
what they say. When stdin ends, the nodes on all machines are ended.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p2pfd.cluster import Machine, connected, here
from p2pfd.core.ticks import SECOND
from p2pfd.errors import EnvironmentProblem, P2pfdError, StorageError
from p2pfd.node.telemetry import FILE as EVENTS_FILE
from p2pfd_localnet.engines.host import LEASE, OUTPUT_FILE, Host, News
from p2pfd_localnet.engines.placement import Placement, load
from p2pfd_localnet.engines.ray import END_SECONDS
from p2pfd_localnet.engines.register import Entry, enter
from p2pfd_localnet.zygote import ENTRY, ISOLATE, LINE, say

WAIT = 2.0
"""How long a host may have nothing to tell before it says so."""
AGAIN = 0.5
Order = Mapping[str, Any]
FAILED = 9


class Link:
    """One machine: orders go there in their order, and news come from there until there are none any more."""

    def __init__(self, ray: Any, machine: Machine, host: Any) -> None:
        self.machine = machine
        self.host = host
        self.orders: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | None] = queue.SimpleQueue()
        self.lost = ""
        """Why the machine is taken for gone."""
        self._ray = ray

    def ask(self, method: str, *words: Any) -> None:
        """Have the host do something, after all that it was asked to do before."""
        self.orders.put((method, words))

    def give_orders(self) -> None:
        """Pass orders on until there will be no more; to a machine that is gone, none."""
        while (order := self.orders.get()) is not None:
            method, words = order
            try:
                self._ray.get(getattr(self.host, method).remote(*words), timeout=LEASE)
            except self._ray.exceptions.RayError as error:
                if not self.lost:
                    sys.stderr.write(f"{self.machine.label}: {method}: {error}\n")

    def news(self) -> Any:
        """What came, news by news; ends when there will be no more, or nothing came for too long: then it is `lost`."""
        seen, heard = 0, time.monotonic()
        asked = self.host.news.remote(seen, WAIT)
        while True:
            try:
                done, _ = self._ray.wait([asked], timeout=1.0)
                if done:
                    news: News = self._ray.get(asked)
                    seen, heard = news.number, time.monotonic()
                    yield news
                    if news.over:
                        return
                    asked = self.host.news.remote(seen, WAIT)
            except self._ray.exceptions.RayError as error:
                if not self._may_be_back(error) or time.monotonic() - heard > LEASE:
                    self.lost = f"its machine {self.machine.label} is gone"
                    return
                time.sleep(AGAIN)
                asked = self.host.news.remote(seen, WAIT)
            if time.monotonic() - heard > LEASE:
                self.lost = f"its machine {self.machine.label} has not answered for {LEASE:g} s"
                return

    def _may_be_back(self, error: Exception) -> bool:
        """Whether the host is only out of reach, as far as the cluster knows."""
        if not isinstance(error, self._ray.exceptions.ActorUnavailableError):
            return False
        return any(node["NodeID"] == self.machine.id and node["Alive"] for node in self._ray.nodes())


class Bridge:
    """All machines of a mesh."""

    def __init__(self, ray: Any, placement: Placement, home: Path) -> None:
        self._ray = ray
        self._placement = placement
        self._home = home
        self._links: dict[str, Link] = {}
        self._threads: list[threading.Thread] = []
        self._out = threading.Lock()
        self._task = ""
        self._ended: set[str] = set()
        self._cold: set[str] = set()
        """The machines that are not ready to start nodes."""
        self.ending = False

    def open(self, entry: str, *, isolate: bool, warm: bool) -> None:
        """A host on each machine that has a node, and on the supervisor's, each with a zygote."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        placement = self._placement
        remote = self._ray.remote(Host)
        for machine in placement.machines:
            if placement.on(machine) or machine.id == placement.here:
                there = NodeAffinitySchedulingStrategy(machine.id, soft=False)
                options = {"num_cpus": 0, "max_concurrency": 4, "scheduling_strategy": there}
                link = Link(self._ray, machine, remote.options(**options).remote(placement.folder))
                self._links[machine.id] = link
                self._cold.add(machine.id)
        self._task = (self._home / "task.json").read_text(encoding="utf-8") if warm else ""
        opened = [link.host.open.remote(self._task, entry, isolate=isolate, warm=warm) for link in self._links.values()]
        self._ray.get(opened)
        for link in self._links.values():
            for work in (link.give_orders, lambda link=link: self._follow(link)):
                thread = threading.Thread(target=work, daemon=True)
                thread.start()
                self._threads.append(thread)

    def serve(self) -> None:
        """Carry out orders until stdin ends."""
        for line in sys.stdin.buffer:
            self._carry_out(json.loads(line))

    def close(self) -> None:
        """End the nodes everywhere, and take what they wrote until then."""
        self.ending = True
        for link in self._links.values():
            link.ask("close")
            link.orders.put(None)
        deadline = time.monotonic() + END_SECONDS - 2
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for link in self._links.values():
            self._ray.kill(link.host)

    def tell(self, value: Mapping[str, object]) -> None:
        """A line to the supervisor."""
        with self._out:
            say(dict(value))

    # -- orders --------------------------------------------------------------------------------------------------------

    def _carry_out(self, order: Order) -> None:
        match order:
            case {"spawn": str(name), "config": str(config)}:
                self._spawn(name, Path(config))
            case {"to": str(name)} | {"kill": str(name)} | {"signal": str(name)}:
                self._link(name).ask("order", dict(order))
            case {"hold": int(), "down": bool()}:
                self._links[self._placement.here].ask("order", dict(order))
            case _:
                raise ValueError(f"not an order: {order}")

    def _spawn(self, name: str, config: Path) -> None:
        link = self._link(name)
        if link.lost:
            self._bury(name, link.lost)
            return
        settings = json.loads(config.read_text(encoding="utf-8"))
        task = Path(settings["task"]).read_text(encoding="utf-8")
        if task != self._task:
            self._task = task
            for other in self._links.values():
                other.ask("task", task)
        self._ended.discard(name)
        link.ask("spawn", name, settings, self._placement.seed)

    def _link(self, name: str) -> Link:
        return self._links[self._placement.nodes[name]]

    # -- news ----------------------------------------------------------------------------------------------------------

    def _follow(self, link: Link) -> None:
        try:
            self._take(link)
        except OSError as error:  # a disk that is full, of whatever kind: nobody else would tell
            problem = EnvironmentProblem(
                f"{error.filename or self._home}: {error.strerror}", "check space and permissions"
            )
            self.tell({"event": "zygote.failed", **problem.to_plain()})
        except P2pfdError as error:
            self.tell({"event": "zygote.failed", **error.to_plain()})

    def _take(self, link: Link) -> None:
        for news in link.news():
            for node, file, raw in news.files:
                self._write(node, file, raw)
            for line in news.lines:
                self._pass_on(link, line)
        if link.lost and not self.ending:
            for name in self._placement.on(link.machine):
                if name not in self._ended and (self._home / "nodes" / name).exists():
                    self._bury(name, link.lost)

    def _write(self, node: str, file: str, raw: bytes) -> None:
        if node not in self._placement.nodes or file not in (EVENTS_FILE, OUTPUT_FILE):
            raise StorageError(f"a machine sent a file {file!r} of a node {node!r}")
        with (self._home / "nodes" / node / file).open("ab") as out:
            out.write(raw)

    def _pass_on(self, link: Link, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return  # a node that died could not finish it
        event = said.get("event")
        if event == "zygote.ready":
            self._cold.discard(link.machine.id)
            if not self._cold:
                self.tell({"event": "zygote.ready", "pid": os.getpid()})
            return
        if event == "zygote.ended":
            if not self.ending:
                link.lost = f"the process that holds the nodes of {link.machine.label} ended ({said.get('code')})"
            return
        if event == "zygote.failed":
            said["error"] = f"{link.machine.label}: {said.get('error')}"
        if event == "exited":
            self._ended.add(str(said.get("node")))
        with self._out:
            os.write(1, json.dumps(said).encode()[: LINE - 1] + b"\n")

    def _bury(self, name: str, why: str) -> None:
        """A node whose machine is gone can say nothing of its end: it is said for it, and stands among its events."""
        self._ended.add(name)
        event = {"t": int(time.time() * SECOND), "node": name, "event": "node.lost", "error": why}
        self._write(name, EVENTS_FILE, json.dumps(event).encode() + b"\n")
        self.tell({**event, "event": "lost"})


def main() -> int:
    """Connect, place the hosts, serve: ``bridge CLUSTER.json ENTRY [TASK]``, or with ``--isolate`` before them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's business
    path, *words = sys.argv[1:]
    isolate = words[:1] == [ISOLATE]
    entry, *warm = words[isolate:] or [ENTRY]
    home = Path(path).parent
    try:
        placement = load(home)
        if placement is None:
            raise StorageError(f"{path} is missing", "start the mesh with localnet up --engine ray")
        with connected(placement.address) as ray:
            if here(ray) != placement.here:
                raise EnvironmentProblem("this machine has joined the cluster anew in between", "try again")
            enter(ray, Entry(placement.mesh, placement.here, str(home), placement.folder))
            bridge = Bridge(ray, placement, home)
            bridge.open(entry, isolate=isolate, warm=bool(warm))
            bridge.serve()
            bridge.close()
    except P2pfdError as error:
        say({"event": "zygote.failed", **error.to_plain()})
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A task for strangers, settled on a chain, and nodes that join it from their homes: commands as people type them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio

from p2pfd.core.ids import Account
from p2pfd.core.spec import ChainSpec
from p2pfd.node import keys
from p2pfd.settlement import deployments
from p2pfd.settlement.deploy import transfer
from p2pfd.settlement.profiles import open_settlement
from p2pfd.settlement.rpc import Rpc

from .namespaces_homes import Home, Neighbourhood

ROOT = Path(__file__).parents[2]
CHAIN_PORT, GATE_PORT, PORT = 8545, 80, 4001
REQUESTER = keys.throwaway(5, "requester")
SUPPLY, BOND, POT = 100_000 * 10**6, 100 * 10**6, 400 * 10**6
METRICS = "127.0.0.1:9464"


class Cradle:
    """The process that commands are forked from."""

    def __init__(self, homes: Neighbourhood, home: Path) -> None:
        self._homes = homes
        self._home = home
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.homes_node"],
            cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._born: queue.Queue[int] = queue.Queue()
        self._codes: dict[int, int] = {}
        self._all: list[int] = []
        self._count = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "pid" in told:
                self._all.append(told["pid"])
                self._born.put(told["pid"])
            else:
                self._codes[told["ended"]] = told["code"]
        for pid in self._all:
            self._codes.setdefault(pid, -signal.SIGKILL)  # when it has ended, so have they

    def start(self, place: str, *words: str) -> Told:
        """A command, at one place."""
        self._count += 1
        said, result = (self._home / f"{self._count:03}-{place}-{words[0]}.{kind}" for kind in ("said", "result"))
        order = {"namespace": self._homes.namespace(place), "home": str(self._home), "said": str(said)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**order, "result": str(result), "words": [*words, "--json"]}) + "\n")
        self._process.stdin.flush()
        return Told(place, self._born.get(timeout=120), self._codes, said, result)

    def end(self) -> None:
        """Nobody that was started here is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Told:
    """A command that runs: what it says, line by line, and its result."""

    def __init__(self, place: str, pid: int, codes: dict[int, int], said: Path, result: Path) -> None:
        self.place = place
        self.pid = pid
        self._codes = codes
        self._said = said
        self._result = result

    @property
    def lines(self) -> list[str]:
        """What it has said."""
        return self._said.read_text(encoding="utf-8").split("\n")[:-1] if self._said.exists() else []

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.pid in self._codes

    def over(self) -> bool:
        """Whether it has ended, and well; a bad end fails the test."""
        assert self._codes.get(self.pid, 0) == 0, (self.place, self._codes[self.pid], self.lines)
        return self.ended

    def line(self, start: str, patience: float) -> str:
        """The first line that begins so, as soon as there is one."""
        until(lambda: self.ended or any(line.startswith(start) for line in self.lines), patience)
        found = [line for line in self.lines if line.startswith(start)]
        assert found, (self.place, self.lines)
        return found[0]

    def result(self, patience: float = 180) -> dict[str, Any]:
        """What it printed at its end, which was a good one."""
        until(lambda: self.ended, patience)
        text = self._result.read_text(encoding="utf-8")
        assert self._codes[self.pid] == 0, (self.place, self._codes[self.pid], text, self.lines)
        told: dict[str, Any] = json.loads(text)
        return told

    def kill(self) -> None:
        """Without a word."""
        os.kill(self.pid, signal.SIGKILL)
        until(lambda: self.ended, 60)


def environment() -> dict[str, str]:
    """That of every command: one thread for each model, for there are more nodes than cores."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def until(holds: Callable[[], bool], patience: float) -> float:
    """Wait until it is so; how long that took."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() < begin + patience, f"not so after {patience} s"
        time.sleep(0.2)
    return time.monotonic() - begin


class Village:
    """A chain and a relay on the street, a requester, and whoever joins."""

    def __init__(self, homes: Neighbourhood, home: Path, chain: str, relay: str) -> None:
        """``chain`` and ``relay`` are the addresses of the places of these names."""
        self.homes = homes
        self.home = home
        self.cradle = Cradle(homes, home)
        self._family = "ip6" if ":" in relay else "ip4"
        self._relay_address = relay
        self.rpc = f"http://[{chain}]:{GATE_PORT}" if ":" in chain else f"http://{chain}:{GATE_PORT}"
        self.nodes: dict[str, Told] = {}
        self.keys = {place: keys.throwaway(9, place) for place in homes.places}
        self.spec: ChainSpec | None = None
        self.relay: Told | None = None
        self.way = ""
        self.division = ("--partition", "dirichlet:0.5")
        self._gate: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._doorman: threading.Thread | None = None
        self._chain: subprocess.Popen[str] | None = None

    # -- the chain, and the task on it -----------------------------------------------------------------------------

    def open_chain(self) -> None:
        """An embedded chain, which listens to its own machine alone, and a gate before it that the street can dial."""
        funds = [word for who in (REQUESTER, *self.keys.values()) for word in ("--fund", who.account.account)]
        command = [sys.executable, "-m", "p2pfd.settlement.embedded", "--parent-pipe"]
        command += ["--state", str(self.home / "chain"), "--port", str(CHAIN_PORT), *funds]
        self._chain = subprocess.Popen(
            self.homes.command("chain", *command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._chain.stdout is not None
        assert json.loads(self._chain.stdout.readline())["url"].endswith(f":{CHAIN_PORT}")
        ready = threading.Event()
        self._doorman = threading.Thread(
            target=partial(self.homes.inside, "chain", lambda: trio.run(self._keep_gate, ready)), daemon=True
        )
        self._doorman.start()
        assert ready.wait(30)

    async def _keep_gate(self, ready: threading.Event) -> None:
        async def pass_on(near: trio.SocketStream) -> None:
            async with near, await trio.open_tcp_stream("127.0.0.1", CHAIN_PORT) as far, trio.open_nursery() as both:

                async def one_way(source: trio.SocketStream, sink: trio.SocketStream) -> None:
                    try:
                        async for part in source:
                            await sink.send_all(part)
                    except trio.BrokenResourceError:
                        pass  # a client whose address changed does not say goodbye
                    both.cancel_scope.cancel()

                both.start_soon(one_way, near, far)
                both.start_soon(one_way, far, near)

        with self._scope:
            self._gate = trio.lowlevel.current_trio_token()
            async with trio.open_nursery() as nursery:
                for host in ("0.0.0.0", "::"):
                    (listener,) = await trio.open_tcp_listeners(GATE_PORT, host=host)
                    nursery.start_soon(trio.serve_listeners, pass_on, [listener])
                ready.set()

    def say(self, place: str, *words: str) -> dict[str, Any]:
        """A command, and its answer."""
        return self.cradle.start(place, *words).result()

    def publish(self, rounds: int, public: int) -> None:
        """Contracts, a task for as many as there are, its pots, and the invitation; tokens for the strangers."""
        keys.save(REQUESTER, self.home / "requester" / "keys")
        at = ("--chain-url", self.rpc, "--home", "requester", "--yes")
        supply = ("--supply", str(SUPPLY // 10**6), "--unbond-seconds", "20", "--deployments", "d.json")
        self.say("chain", "contracts", "deploy", *at, *supply)
        shape = ("--rounds", str(rounds), "--seats", str(len(self.keys)), "--public", str(public), *self.division)
        self.say("chain", "task", "new", "digits.toml", *shape, "--deployments", "d.json")
        self.say("chain", "task", "publish", "digits.toml", *at, "--rpc", self.rpc, "--bootstrap", self.way)
        held = deployments.load(self.home / "d.json")
        assert held is not None
        at_of = {name: Account(entry.address) for name, entry in held.contracts.items()}
        self.spec = spec = ChainSpec(held.profile, held.chain_id, at_of["Token"], at_of["LabelMarket"])
        accounts = {who.account.account: BOND for who in self.keys.values()}

        async def pay() -> None:
            rpc = Rpc(self.rpc)
            await transfer(rpc, REQUESTER.account, spec, accounts)
            await rpc.aclose()

        self.homes.inside("chain", partial(trio.run, pay))

    def held(self) -> dict[str, int]:
        """What each node's account has on the chain, wherever it is."""
        assert self.spec is not None
        spec, found = self.spec, dict[str, int]()

        async def look() -> None:
            async with open_settlement(spec, self.rpc, REQUESTER.account) as settlement:
                for place, who in self.keys.items():
                    found[place] = (await settlement.account(who.account.account)).total

        self.homes.inside("chain", partial(trio.run, look))
        return found

    # -- who takes part --------------------------------------------------------------------------------------------

    def open_relay(self) -> None:
        """`p2pfd relay` on the street, with its default settings; again, it is the same peer at the same address."""
        everywhere = "/ip6/::" if self._family == "ip6" else "/ip4/0.0.0.0"
        listen = f"{everywhere}/tcp/{PORT}"
        self.relay = self.cradle.start("relay", "relay", "--listen", listen, "--metrics", METRICS)
        way = self.relay.line(f"address /{self._family}/{self._relay_address}/", 120).split()[1]
        assert self.way in ("", way)
        self.way = way

    def close_relay(self) -> dict[str, Any]:
        """Tell it to end; what it says then."""
        assert self.relay is not None
        os.kill(self.relay.pid, signal.SIGTERM)
        return self.relay.result()

    def kill_relay(self) -> None:
        """Without a word."""
        assert self.relay is not None
        self.relay.kill()

    def page(self, place: str) -> dict[str, float]:
        """The metrics of whoever serves them there."""
        with_page = partial(urllib.request.urlopen, f"http://{METRICS}/metrics", timeout=20)
        text = self.homes.inside(place, lambda: with_page().read().decode())
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def join(self, place: str, *more: str) -> None:
        """A stranger with keys and a bond, and nothing else but the invitation."""
        home = self.home / place
        if not (home / "keys").exists():
            keys.save(self.keys[place], home / "keys")
        everywhere = "/ip6/::" if self._family == "ip6" else "/ip4/0.0.0.0"
        words = ["join", "digits.p2pfd", "--home", place, "--yes", "--listen", f"{everywhere}/tcp/{PORT}", *more]
        self.nodes[place] = self.cradle.start(place, *words)

    def signal(self, place: str, number: int) -> None:
        """Have a node stop, or go on."""
        os.kill(self.nodes[place].pid, number)

    def finish(self, patience: float) -> dict[str, dict[str, Any]]:
        """What each node says at its end; the first that ends badly fails the test."""
        until(lambda: all(node.over() for node in self.nodes.values()), patience)
        return {place: node.result() for place, node in self.nodes.items()}

    def events(self, place: str) -> list[dict[str, Any]]:
        """What a node has written down."""
        path = self.home / place / "events.jsonl"
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []

    def rounds(self, place: str) -> int:
        """How many rounds a node has behind it."""
        return sum(event["event"] == "round.absorbed" for event in self.events(place))

    def least_rounds(self) -> int:
        """How many rounds all nodes have behind them."""
        return min(self.rounds(place) for place in self.nodes)

    def connected(self, place: str, end: str, address: str) -> int:
        """How many of a node's connections have this address at their near (src) or far (dst) end, says the kernel."""
        nodes = f"( sport = :{PORT} or dport = :{PORT} )"
        words = ["ss", "-Htn", "state", "established", end, address, "and", nodes]
        told = subprocess.run(self.homes.command(place, *words), check=True, capture_output=True, text=True)
        return len(told.stdout.splitlines())

    def talks_within(self, place: str, home: Home) -> bool:
        """Whether a node has a connection of its own to another one of its home."""
        return any(self.connected(place, "dst", machine) for machine in home.machines)

    def peers(self, place: str) -> set[str]:
        """Whom a node is connected to, as places; "relay" for the relay."""
        told = [event["peers"] for event in self.events(place) if event["event"] == "node.network" and "peers" in event]
        names = {who.peer: name for name, who in self.keys.items()}
        return {names.get(peer, "relay") for peer in told[-1]} if told else set()

    def end(self) -> None:
        """Nothing runs any more."""
        self.cradle.end()
        if self._gate is not None and self._doorman is not None:
            self._gate.run_sync_soon(self._scope.cancel)
            self._doorman.join()
        if self._chain is not None:
            self._chain.kill()
            self._chain.communicate()

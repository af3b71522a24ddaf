"""`p2pfd doctor` before a real peer and a real chain: when all is well, and with everything wrong that can be."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from p2pfd.cli.program import PROGRAM
from p2pfd.core.claims import Deposit, OpenTask
from p2pfd.core.ids import Amount
from p2pfd.core.spec import TaskSpec
from p2pfd.core.terms import terms_of
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.network.libp2p import open_transport
from p2pfd.node import config, doctor, keys
from p2pfd.node.doctor import within
from p2pfd.node.findings import State
from p2pfd.settlement.deploy import deploy
from p2pfd.settlement.profiles import embedded_chain, open_chain
from p2pfd.settlement.rpc import Rpc
from tests.unit.node.test_config import CONFIG, SPEC

pytestmark = pytest.mark.network
REQUESTER = keys.throwaway(1, "requester")
MINE = keys.throwaway(1, "doctor")
NOBODY = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDaBG8xBmhKNJtSn78g9pq8fcubExgzJ6iGS9ranTLQ9Y"


@dataclass(frozen=True)
class World:
    """A peer that listens, and a chain on which a task is open."""

    peer: str
    address: str
    url: str
    task: TaskSpec


class Running:
    """It, in a thread of its own: commands run trio themselves."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._up = threading.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._over: trio.Event | None = None
        self._thread = threading.Thread(target=trio.run, args=(self._run,))
        self.world: World | None = None

    async def _run(self) -> None:
        self._over = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        try:
            async with embedded_chain(self._state, [REQUESTER.account.account]) as on:
                rpc = Rpc(on.url)
                spec = await deploy(rpc, REQUESTER.account, 10**9, 60)
                await rpc.aclose()
                task = dataclasses.replace(SPEC, chain=spec)
                async with open_chain(spec, on.url) as chain, open_transport(bytes(31) + b"d") as node:
                    settlement = chain.settlement(REQUESTER.account)
                    for claim in (Deposit(Amount(1000)), OpenTask(terms_of(task))):
                        await settlement.final(await settlement.submit(claim))
                    self.world = World(node.peer, node.addresses[0], on.url, task)
                    self._up.set()
                    await self._over.wait()
        finally:
            self._up.set()

    def start(self) -> World:
        self._thread.start()
        self._up.wait()
        assert self.world is not None
        return self.world

    def stop(self) -> None:
        if self._token is not None and self._over is not None and self._thread.is_alive():
            self._token.run_sync_soon(self._over.set)
        self._thread.join()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    running = Running(tmp_path_factory.mktemp("chain"))
    try:
        yield running.start()
    finally:
        running.stop()


def furnish(home: Path, task: TaskSpec, **changes: Any) -> Path:
    home.mkdir()
    keys.save(MINE, home / "keys")
    config.save_task(task, home / "task.json")
    settings = dataclasses.replace(CONFIG, home=str(home), task="task.json", **changes)
    settings.save(home / config.FILE)
    return home


def examine(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> dict[str, dict[str, str]]:
    assert PROGRAM.main(["doctor", *words, "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    checks = {each["check"]: each for each in told["checks"]}
    assert [each["check"] for each in told["checks"]] == list(checks), "one line a check"
    assert told["wrong"] == sum(each["state"] == "wrong" for each in checks.values())
    assert all(bool(each["fix"]) == (each["state"] == "wrong") for each in checks.values())
    return checks


@contextmanager
def taken() -> Iterator[int]:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_a_node_with_which_all_is_well(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = furnish(
        tmp_path / "node", world.task, bootstrap=(world.address,), chain_url=world.url, metrics="127.0.0.1:0"
    )
    checks = examine(capsys, str(home), code=0)
    assert {name for name, each in checks.items() if each["state"] != "well"} <= {"packages", "mdns", "known"}
    place = world.address.split("/p2p/")[0]
    assert checks[f"peer {place}"]["what"].startswith(f"{world.peer} answered within")
    assert MINE.peer in checks["keys"]["what"]
    assert world.url in checks["chain"]["what"]
    assert checks[f"dial-back {place}"]["what"].startswith("it has dialled this node")
    assert {
        "python",
        "torch",
        "disk",
        "config",
        "task",
        "listen",
        "address",
        "metrics",
        "discovery",
        "terms",
        "clock",
    } <= set(checks)
    assert any(name.startswith("reach /ip4/127.0.0.1/tcp/") for name in checks)


def test_a_node_with_which_much_is_wrong(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = dataclasses.replace(world.task, rounds=world.task.rounds + 1)
    with taken() as port, taken() as page:
        home = furnish(
            tmp_path / "node",
            other,
            bootstrap=(NOBODY,),
            chain_url=world.url,
            listen=f"/ip4/127.0.0.1/tcp/{port}",
            metrics=f"127.0.0.1:{page}",
        )
        (home / "keys" / keys.FILE).chmod(0o644)
        checks = examine(capsys, str(home), code=5)
    wrong = {name for name, each in checks.items() if each["state"] == "wrong"}
    assert wrong == {"keys", "listen", "peer /ip4/127.0.0.1/tcp/1", "discovery", "metrics", "terms"}
    assert checks["keys"]["fix"] == f"run: chmod 600 {home / 'keys' / keys.FILE}"
    assert "in use" in checks["listen"]["what"]


def test_a_chain_that_is_another_one_and_one_that_is_none(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = dataclasses.replace(world.task.chain, chain_id=1337, profile="ganache")
    home = furnish(
        tmp_path / "node", dataclasses.replace(world.task, chain=elsewhere), bootstrap=(), chain_url=world.url
    )
    assert "the task settles on 1337" in examine(capsys, str(home), code=5)["chain"]["what"]
    with taken() as port:
        pass
    found = examine(capsys, str(home), "--chain-url", f"http://127.0.0.1:{port}", code=5)
    assert found["chain"]["state"] == "wrong"
    assert found["discovery"]["state"] == "skipped"


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = examine(capsys, str(tmp_path / "nothing"), code=5)
    assert missing["config"]["state"] == missing["keys"]["state"] == "wrong"
    assert missing["chain"]["state"] == "skipped"
    home = furnish(tmp_path / "node", SPEC, bootstrap=(), chain_url="")
    (home / "task.json").write_text("{")
    broken = examine(capsys, str(home), code=5)
    assert broken["task"]["state"] == "wrong"
    assert broken["config"]["state"] == "well"


def test_without_a_node_the_machine_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert examine(capsys, code=0)["config"]["state"] == "skipped"
    assert list(tmp_path.iterdir()) == []
    assert PROGRAM.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ok    python")
    assert out.endswith("all is well\n")


class Late:
    """A clock that is wrong by so many seconds from the chain's last block."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> Tick:
        return Tick(round((1_000_000 + self._seconds) * SECOND))


@pytest.mark.parametrize(
    ("seconds", "live", "state"),
    [
        (0, True, State.WELL),
        (-29, True, State.WELL),
        (-31, False, State.WRONG),
        (119, True, State.WELL),
        (121, True, State.WRONG),
        (10_000, False, State.WELL),
    ],
)
async def test_a_clock_that_is_wrong_is_found(seconds: float, live: bool, state: State) -> None:
    class Answers:
        async def call(self, method: str, *params: Any) -> Any:
            assert (method, *params) == ("eth_getBlockByNumber", "latest", False)
            return {"timestamp": hex(1_000_000)}

    class Chain:
        rpc = Answers()
        caps = dataclasses.make_dataclass("Caps", ["live"])(live)

    assert (await doctor.timed(Chain(), Late(seconds))).state is state  # type: ignore[arg-type]


def test_a_torch_that_cannot_be_loaded_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.torch().state is State.WELL

    def refuse(_name: str) -> None:
        raise ImportError("libtorch_cpu.so: cannot open shared object file")

    monkeypatch.setattr(doctor.importlib, "import_module", refuse)
    found = doctor.torch()
    assert found.state is State.WRONG
    assert "libtorch_cpu.so" in found.what


def test_a_peer_that_is_none_is_refused_before_anything_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main(["doctor", "--peer", "192.0.2.1:4001"]) == 8
    assert "is no address" in capsys.readouterr().err


def test_little_disk_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.disk(tmp_path / "not" / "there" / "yet").state is State.WELL
    monkeypatch.setattr(doctor, "DISK_BYTES", 2**80)
    found = doctor.disk(tmp_path)
    assert found.state is State.WRONG
    assert str(tmp_path) in found.what


@pytest.mark.parametrize(
    ("version", "bounds", "fits"),
    [
        ("1.2.3", ">=1.2,<2", True),
        ("1.2", ">=1.2.0", True),
        ("2.0", ">=1.2,<2", False),
        ("0.12.1b1", ">=0.12.1b1,<0.13", True),
        ("0.8.2", ">=0.8.1,<0.8.2", False),
        ("2.12.1+cpu", ">=2.6,<3", True),
        ("0.4.3", "==0.4.3", True),
        ("1", "", True),
    ],
)
def test_versions_lie_within_bounds_or_not(version: str, bounds: str, fits: bool) -> None:
    assert within(version, bounds) is fits

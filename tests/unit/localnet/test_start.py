"""How a mesh comes up: in which order a zygote, a chain and the nodes hear of what."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing
from p2pfd_localnet import hatch
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.spawner import Spawner
from p2pfd_localnet.start import start_nodes
from p2pfd_localnet.state import State
from p2pfd_localnet.watch import Watch
from p2pfd_localnet.words import Words

from p2pfd.cli.screen import Screen


class Nodes(Spawner):
    """Nodes that do as they are told, and a diary of what they were told."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self._say, self._heard = trio.open_memory_channel[NodeEvent](100)

    async def events(self) -> AsyncIterator[NodeEvent]:
        async for event in self._heard:
            yield event

    def say(self, name: str, event: str, **fields: object) -> None:
        self._say.send_nowait(NodeEvent(0, name, event, fields))

    async def spawn(self, name: str, config: Path) -> None:
        self.diary.append(f"spawn {name}")

    async def tell(self, name: str, line: object) -> None:
        self.diary.append(f"tell {name}")
        self.say(name, "ready")


@pytest.mark.parametrize("nodes", [1, 3])
async def test_a_task_is_opened_when_all_nodes_listen_and_before_they_are_told_whom_to_dial(
    nodes: int, tmp_path: Path
) -> None:
    plan = Plan(name="small", nodes=nodes, rounds=1)
    diary: list[str] = []
    spawner = Nodes(diary)
    watch = Watch(plan, State(tmp_path), Words(Screen(out=io.StringIO(), plain=True, env={}), tmp_path))

    async def open_task() -> None:
        diary.append("open")

    async def listening() -> None:
        for name in plan.names():
            await trio.testing.wait_all_tasks_blocked()
            diary.append(f"{name} listens")
            spawner.say(name, "listening", addresses=[f"/{name}"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.listen, spawner)
        nursery.start_soon(listening)
        await start_nodes(watch, spawner, lambda name: tmp_path / name, open_task)
        nursery.cancel_scope.cancel()
    if nodes == 1:  # it asks the chain at once: nobody needs to introduce it to others
        assert diary == ["open", "spawn node-0", "node-0 listens", "tell node-0"]
    else:
        each = plan.names()
        listens = [f"{name} listens" for name in each]
        assert diary == [*(f"spawn {name}" for name in each), *listens, "open", *(f"tell {name}" for name in each)]


# -- a zygote that was started early -----------------------------------------------------------------------------------

ENTRY = "test_start_nodes:none"


def hatched(tmp_path: Path) -> subprocess.Popen[bytes]:
    (tmp_path / "test_start_nodes.py").write_text("def none(config, control, status):\n    return 0\n")
    return hatch.hatch(tmp_path / "zygote.log", hatch.words_of(ENTRY, (), isolate=False))


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("importable")
async def test_a_spawner_takes_over_what_was_started_before_there_was_an_event_loop(tmp_path: Path) -> None:
    early = hatched(tmp_path)
    with hatch.hatching(early), trio.fail_after(60):
        async with Spawner(tmp_path / "zygote.log", entry=ENTRY, early=early) as spawner:
            assert spawner.pid == early.pid
            events = spawner.events()
            assert (await anext(events)).name == "zygote.ready"
            (tmp_path / "node").mkdir()
            await spawner.spawn("node-0", tmp_path / "node" / "node.json")
            gone = await anext(events)
            assert (gone.name, gone.node, gone.whole("code")) == ("exited", "node-0", 0)
            await spawner.close()
            await spawner.ended()
            assert [event async for event in events] == []
        assert early.returncode == 0


@pytest.mark.usefixtures("importable")
def test_what_was_started_early_ends_at_once_where_nobody_takes_it_over(tmp_path: Path) -> None:
    early = hatched(tmp_path)

    def refuse() -> None:
        with hatch.hatching(early):
            raise ValueError("the plan is no good")

    with pytest.raises(ValueError, match="no good"):
        refuse()
    assert early.returncode == -signal.SIGKILL
    assert not os.path.exists(f"/proc/{early.pid}")


def test_the_zygote_of_a_mesh_that_goes_on_is_started_before_anything_large_is_imported() -> None:
    large = ("trio", "numpy", "p2pfd.core.spec", "p2pfd_localnet.plan", "p2pfd_localnet.launch")
    asked = f"""import sys, p2pfd_localnet.life as life
life.START.parser("localnet").read(["--detach"])
print([name for name in {large!r} if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

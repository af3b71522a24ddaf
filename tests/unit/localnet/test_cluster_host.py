"""One machine's part of a mesh, without Ray: what its nodes write and say, its lease, and its end."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from p2pfd_localnet.engines.host import ROOT, Host, wipe
from p2pfd_localnet.homes import settings_of
from p2pfd_localnet.life import lives
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import PRESETS
from p2pfd_localnet.state import State

from p2pfd.node import keys

PLAN = change(PRESETS[0], nodes=1, chain="none")
ENTRY = "tests.unit.localnet.cluster_node:run"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Host]]:
    monkeypatch.setenv(ROOT, str(tmp_path / "meshes"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    made: list[Host] = []

    def make(**settings: float) -> Host:
        one = Host("home-1", **settings)
        one.open("{}", ENTRY, isolate=False, warm=False)
        settings_here = settings_of(PLAN, State(tmp_path / "supervisor"), "node-0", 0, "")
        plain = {**settings_here.__dict__} if hasattr(settings_here, "__dict__") else {}
        plain = plain or {name: getattr(settings_here, name) for name in settings_here.__dataclass_fields__}
        one.spawn("node-0", plain, PLAN.seed)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def hear(host: Host, seen: int, wanted: str) -> tuple[int, dict[tuple[str, str], bytes], list[dict[str, object]]]:
    """All news until a line with that event, or the end."""
    files: dict[tuple[str, str], bytes] = {}
    lines: list[dict[str, object]] = []
    while True:
        news = host.news(seen, 30.0)
        assert news.number == seen + 1
        assert news.files or news.lines or news.over, "nothing came for long"
        seen = news.number
        for node, file, raw in news.files:
            files[node, file] = files.get((node, file), b"") + raw
        lines += [json.loads(line) for line in news.lines]
        if news.over or any(line.get("event") == wanted for line in lines):
            return seen, files, lines


def test_what_a_node_wrote_comes_before_it_says_so_and_its_keys_are_those_of_the_seed(
    host: Callable[..., Host], tmp_path: Path
) -> None:
    one = host()
    seen, files, lines = hear(one, 0, "ready")
    home = one.state.node("node-0")
    assert files["node-0", "events.jsonl"] == b'{"t":1,"node":"node-0","event":"node.ready"}\n'
    assert keys.load(home / "keys").peer == keys.throwaway(PLAN.seed, "node-0").peer
    assert (home / "keys").stat().st_mode & 0o077 == 0
    one.order({"to": "node-0", "line": {"say": "hello"}})
    seen, _, lines = hear(one, seen, "heard")
    assert lines[-1]["line"] == {"say": "hello"}
    one.close()
    _, files, lines = hear(one, seen, "never")
    assert files["node-0", "output.log"] == b"the end\n"
    assert [line["event"] for line in lines] == ["exited", "zygote.ended"]


def test_news_that_were_lost_on_the_way_come_again(host: Callable[..., Host]) -> None:
    one = host()
    first = one.news(0, 30.0)
    assert one.news(0, 30.0) is first
    assert one.news(first.number, 30.0).number == first.number + 1


def test_nodes_end_when_nobody_asks_any_more(host: Callable[..., Host]) -> None:
    one = host(lease=0.2)
    assert one._process is not None
    one._process.wait(30)
    _, _, lines = hear(one, 0, "never")
    assert lines[-1]["event"] == "zygote.ended"


def ends(pid: int) -> bool:
    """Whether it is gone, or will be in a moment: a kill is carried out when the process gets its turn."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 30)[0])
    finally:
        os.close(process)


def test_what_is_left_is_deleted_with_what_still_runs_of_it(host: Callable[..., Host]) -> None:
    one = host()
    seen, _, lines = hear(one, 0, "ready")
    pid = next(line["pid"] for line in lines if line.get("event") == "ready")
    assert isinstance(pid, int)
    assert lives(pid)
    os.kill(pid, 19)  # one that stands still hears of nothing
    assert wipe("home-1")
    assert one._process is not None
    one._process.wait(30)
    hear(one, seen, "never")
    assert not one.state.home.exists()
    assert ends(pid)
    assert not wipe("home-1")


@pytest.mark.parametrize("folder", ["", ".", "..", "../home-1", "/tmp", ".hidden"])
def test_nothing_else_is_deleted(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT, str(tmp_path / "meshes"))
    (tmp_path / "home-1").mkdir()
    (tmp_path / "meshes" / ".hidden").mkdir(parents=True)
    assert not wipe(folder)
    assert (tmp_path / "home-1").is_dir()
    assert (tmp_path / "meshes" / ".hidden").is_dir()

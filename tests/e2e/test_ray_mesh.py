"""A mesh on two machines of a Ray cluster: it learns and is paid as on one, and outlives one of them.

``P2PFD_RAY_NODES=100`` takes so many nodes, without a chain. All of it runs on this machine, and takes minutes.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.experiment.small import SMALL

from .ray_cluster import HEAD, OTHER, SIDES, Cluster, cluster, last, until

pytestmark = [pytest.mark.long, pytest.mark.network]
NODES = int(os.environ.get("P2PFD_RAY_NODES", "8"))
START = 600 + 6 * NODES
END = 900 + 20 * NODES
PLAN = """
name = "spread"
nodes = {nodes}
rounds = {rounds}
chain = "{chain}"
quorum = {quorum}
[data]
name = "digits"
[phases]
enrol_seconds = {enrol}
commit_seconds = {wait}
reveal_seconds = {wait}
"""

GRID = f"""
nodes = 4
rounds = 2
{SMALL}[grid]
"behaviours.constant" = [0, 1]
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("ray"), 77, {HEAD: 6, OTHER: 2}) as made:
        yield made


def written(folder: Path, rounds: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "spread.toml"
    few = NODES <= 16
    kind = {"chain": "embedded" if few else "none", "enrol": 120 + NODES, "wait": 30 if few else NODES}
    path.write_text(PLAN.format(nodes=NODES, rounds=rounds, quorum=NODES // 2, **kind))
    return path


def words(machines: Cluster, plan: Path, name: str) -> list[str]:
    found = [str(plan), "--engine", "ray", "--address", machines.address, "--name", name, "--json", "--plain"]
    return [*found, "--start-timeout", str(START)]


def status(machines: Cluster, side: str, where: Path, name: str) -> dict:
    told = machines.localnet(side, where, "status", name, "--address", machines.address, "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    return last(told.stdout)


def nodes_of(machines: Cluster, side: str) -> list[int]:
    return machines.pids(side, "p2pfd_localnet.zygote")


def test_what_is_left_of_a_killed_supervisor_goes_from_any_machine(machines: Cluster, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()
    plan = written(here, rounds=1000)
    left = machines.localnet(HEAD, here, "up", *words(machines, plan, "left"), "--detach")
    assert left.returncode == 0, left.stdout + left.stderr
    pid = last(left.stdout)["pid"]
    told = status(machines, OTHER, there, "left")
    assert told["running"]
    on = {name: node["machine"] for name, node in told["nodes"].items()}
    assert sorted(on.values()).count(machines.addresses[HEAD]) == 3 * NODES // 4
    assert all(node["addresses"][0].split("/")[2] == node["machine"] for node in told["nodes"].values())
    again = machines.localnet(HEAD, there, "up", *words(machines, plan, "left"))
    assert again.returncode == 3, again.stdout + again.stderr
    assert "a mesh 'left' already" in last(again.stdout)["error"]["what"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not any(nodes_of(machines, side) for side in SIDES), 60)
    assert status(machines, OTHER, there, "left")["status"] == "killed"
    down = machines.localnet(OTHER, there, "down", "left", "--address", machines.address, "--json")
    assert down.returncode == 0, down.stdout + down.stderr
    assert last(down.stdout)["machines"] == 2
    assert not (here / ".localnet").exists()
    assert not any(list((machines.folder / f"home-{side}" / "meshes").glob("*")) for side in SIDES)
    gone = machines.localnet(OTHER, there, "status", "--address", machines.address, "--json")
    assert gone.returncode == 6


def test_a_grid_has_the_results_of_one_machine_and_goes_on_where_it_was(machines: Cluster, tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text(GRID)
    found = {}
    for engine, words in (("local", []), ("ray", ["--engine", "ray", "--address", machines.address])):
        folder = tmp_path / engine
        for seeds in (["1"], ["1", "2"]):
            told = machines.p2pfd(
                HEAD, tmp_path, "experiment", "quick.toml", "--out", str(folder), "--json", *words, "--seeds", *seeds
            )
            assert told.returncode == 0, told.stdout + told.stderr
        kept = [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]
        found[engine] = {line["key"]: {**line, "seconds": 0} for line in kept}
        assert len(kept) == 4, "what is there is not done again"
    assert found["ray"] == found["local"]


def test_the_others_finish_when_a_machine_is_killed_in_a_round(machines: Cluster, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()
    plan = written(here, rounds=3)
    log = tmp_path / "up.json"
    up = machines.up(HEAD, here, log, *words(machines, plan, "crowd"))
    state = here / ".localnet/default"

    def opened() -> bool:
        assert up.poll() is None, log.read_text() + log.with_suffix(".err").read_text()
        return any('"round":1,' in path.read_text() for path in state.glob("nodes/*/events.jsonl"))

    until(opened, START + END)
    machines.kill(OTHER)
    assert up.wait(END) == 8, log.read_text() + log.with_suffix(".err").read_text()
    told = last(log.read_text())
    placed = json.loads((state / "cluster.json").read_text())
    far = next(one["id"] for one in placed["machines"] if one["address"] == machines.addresses[OTHER])
    lost = {name for name, machine in placed["nodes"].items() if machine == far}
    assert len(lost) == NODES // 4
    assert set(told["lost"]) == lost
    assert all(f"its machine {machines.addresses[OTHER]}" in why for why in told["lost"].values())
    assert {name: one["lost"] for name, one in told["machines"].items()} == {
        machines.addresses[HEAD]: False,
        machines.addresses[OTHER]: True,
    }
    assert set(told["accuracy"]["by_node"]) == set(placed["nodes"]) - lost
    assert told["rounds"] == 3
    assert told["accuracy"]["together"] > told["accuracy"]["alone"]
    if NODES <= 16:
        assert told["audit"]["payments"] > 0
        assert told["audit"]["problems"] == []
    report = (state / "report.html").read_text()
    assert f"nodes lost, with the machine {machines.addresses[OTHER]}" in report
    shown = machines.localnet(HEAD, there, "status", "--address", machines.address, "--json")
    nodes = last(shown.stdout)["nodes"]
    assert {name for name, node in nodes.items() if node["life"] == "lost"} == lost
    assert {node["life"] for name, node in nodes.items() if name not in lost} == {"finished"}
    assert machines.localnet(HEAD, here, "down").returncode == 0
    assert not nodes_of(machines, HEAD)
    assert not list((machines.folder / f"home-{HEAD}" / "meshes").glob("*"))

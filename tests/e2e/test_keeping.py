"""Commands that look into a mesh and keep what is in it, on a mesh of nodes that learn nothing."""

from __future__ import annotations

import csv
import json
import os

import pytest

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_what_there_is_of_a_run_is_shown_dumped_copied_and_put_back(bench, answer):
    assert bench.fakes("-n", "2", "--rounds", "3").returncode == 0
    known = answer("inspect", "node-1")
    assert (known["life"], known["round"], known["peers"]) == ("finished", 3, ["node-0"])
    assert not any("keys" in name for name in known["files"])
    assert "node-1" in answer("inspect", "nod-1", code=2)["error"]["fix"]

    bench.state.joinpath("report.html").unlink()
    assert answer("report")["written"] is True
    assert "<html" in (bench.state / "report.html").read_text()

    dumped = answer("dump", "run")
    folder = bench.home / "run"
    assert {"README.txt", "events.jsonl", "rounds.csv", "nodes.csv", "versions.json", "task.json", "mesh.json",
            "nodes/node-0.json", "nodes/node-0.log"} <= set(dumped["files"])  # fmt: skip
    assert [(row["name"], row["rounds"]) for row in rows(folder / "nodes.csv")] == [("node-0", "3"), ("node-1", "3")]
    assert [row["learnt"] for row in rows(folder / "rounds.csv")] == ["2", "2", "2"]
    times = [json.loads(line)["t"] for line in (folder / "events.jsonl").read_text().splitlines()]
    assert times == sorted(times)
    assert answer("dump", "run", code=3)["error"]["fix"]

    kept = answer("snapshot", "one")
    assert kept["status"] == "done"
    assert answer("snapshot", "one", code=3)["error"]["what"]
    assert answer("snapshot", "../one", code=2)["error"]["what"]
    before = (bench.state / "nodes/node-0/events.jsonl").read_bytes()
    assert bench.fakes("-n", "1", "--rounds", "1", "--fresh").returncode == 0
    back = answer("restore", "one")
    assert (back["status"], back["replaced"]) == ("done", "replaced")
    assert (bench.state / "nodes/node-0/events.jsonl").read_bytes() == before
    assert [each["name"] for each in answer("snapshots")["snapshots"]] == ["one", "replaced"]
    assert answer("restore", "on", code=2)["error"]["fix"].startswith("did you mean one")
    assert answer("down")["deleted"] is True
    assert answer("restore", "replaced")["replaced"] == "", "a mesh that was deleted comes back"
    for name in ("one", "replaced"):
        answer("snapshots", "--delete", name)
    assert answer("down")["deleted"] is True
    assert not (bench.home / ".localnet").exists()


def test_a_mesh_that_runs_is_not_replaced_and_no_dump_holds_a_key(bench, answer):
    bench.start("fakes", "up", "--chain", "none", "-n", "2", "--rounds", "2", FAKE_FAULTS="node-0:endless")
    bench.wait_status("running")
    assert answer("wait", "round>=2 && nodes==2", "--timeout", "30")["status"] == "running"
    never = answer("wait", "round>=3", code=5)
    assert "can no longer" in never["error"]["what"]
    held = json.loads((bench.state / "nodes/node-0/keys/keys.json").read_text())["peer_private"]
    with (bench.state / "nodes/node-0/output.log").open("a") as log:
        log.write(f"a careless library: {held}\n")
    refused = answer("dump", "run", code=9)
    assert "node-0.log holds a key" in refused["error"]["what"]
    assert held not in json.dumps(refused)
    assert not (bench.home / "run").exists()
    assert not list(bench.home.glob(".run*"))
    assert answer("stop")["status"] == "stopped"
    answer("snapshot", "two")
    bench.start("fakes", "start", FAKE_FAULTS="node-0:endless")
    bench.wait_status("running")
    assert "runs" in answer("restore", "two", code=3)["error"]["what"]
    assert sorted(path.name for path in bench.state.parent.iterdir()) == ["default", "default.snapshots"]
    assert answer("down")["stopped"] is True

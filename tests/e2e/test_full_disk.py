"""A disk that is full, or a file that may not grow: a reason, a way out, and nothing left running."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys

import pytest
from p2pfd_localnet import plan as plans

from p2pfd.core.spec import PhaseSpec
from p2pfd.learning.data import digest_of_set
from p2pfd.node.config import save_task

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, where this user may make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "none", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user cannot mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(path):
    def write_for_ever():
        while True:
            ballast.write(bytes(1 << 16))

    with open(path, "wb", buffering=0) as ballast, pytest.raises(OSError, match="No space left"):
        write_for_ever()


def test_a_disk_that_fills_up_ends_the_mesh_with_a_reason(bench, small_disk):
    words = ("--chain", "none", "-n", "2", "--rounds", "1", "--json", "--state", str(small_disk / "mesh"))
    process = bench.start("fakes", "up", *words, FAKE_FAULTS="node-0:endless")
    mesh = small_disk / "mesh" / "mesh.json"
    bench.wait_for(lambda: mesh.exists() and json.loads(mesh.read_text())["status"] == "running")
    fill(small_disk / "ballast")
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 9
    error = json.loads(out)["error"]
    assert "No space left on device" in error["what"]
    assert "free some space" in error["fix"]
    assert not bench.processes()


def test_a_disk_that_is_too_small_is_found_before_anything_starts(bench, small_disk):
    (small_disk / "ballast").write_bytes(bytes(30_000_000))
    done = bench.fakes("--state", str(small_disk / "mesh"))
    assert done.returncode == 9
    assert "MB are free on the disk" in done.stderr
    assert not (small_disk / "mesh").exists()


def test_a_file_that_may_not_grow(bench):
    limit = "import resource, sys, fakes; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)); sys.exit(fakes.main())"
    words = ["up", "--chain", "none", "-n", "2", "--json"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", limit, *words], cwd=bench.home, env=bench.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 9, done.stderr
    assert "ulimit -f" in json.loads(done.stdout)["error"]["fix"]
    assert not bench.processes()


@pytest.mark.long
def test_a_node_whose_disk_is_full_says_so_and_goes_on_when_there_is_room_again(bench, small_disk):
    plan = plans.Plan("lone", nodes=1, rounds=6, quorum=1, chain="none", phases=PhaseSpec(60, 60, 60))
    save_task(plan.task(plans.DataFacts(digest_of_set("digits"))), bench.home / "task.json")
    home = small_disk / "home"
    lines = home / "events.jsonl"

    def rounds():
        told = [json.loads(line) for line in lines.read_text().split("\n") if line] if lines.exists() else []
        return [event["round"] for event in told if event["event"] == "round.absorbed"]

    words = ["--task", "task.json", "--home", str(home), "--listen", "/ip4/127.0.0.1/tcp/0", "--json"]
    node = bench.start("p2pfd_command", "join", *words)
    bench.wait_for(rounds)
    fill(small_disk / "ballast")
    out, _ = node.communicate(timeout=60)
    assert node.returncode == 9
    assert json.loads(out)["error"] == {
        "code": 9,
        "name": "machine",
        "what": f"no room to write {home / 'node.db'}",
        "fix": "free some disk space and start again",
    }
    before = rounds()
    (small_disk / "ballast").unlink()
    again = bench.run("p2pfd_command", "run", str(home), "--json")
    assert again.returncode == 0, again.stderr
    assert rounds()[: len(before)] == before
    assert rounds()[-1] == 5
    assert sorted(set(rounds())) == list(range(6)), "no round was left out"
    assert len(rounds()) <= 7, "and one at most was learnt anew"

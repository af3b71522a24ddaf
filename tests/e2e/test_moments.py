"""A mesh is interrupted, or its supervisor killed, at moments that a seed chooses: nothing stays, and it goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from p2pfd.core.rng import Rng

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc"),
]
PLAN = (
    'preset = "small"\nnodes = 3\nrounds = 3\n'
    "[phases]\nenrol_seconds = 900\ncommit_seconds = 900\nreveal_seconds = 900\n"  # however busy the machine is
)
WORDS = ("up", "plan.toml", "--json")
PAYMENTS = 9


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """How long a run takes here from its first moment to its last."""
    home = tmp_path_factory.mktemp("whole")
    (home / "plan.toml").write_text(PLAN)
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "localnet_command", *WORDS],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - began


@pytest.fixture(autouse=True)
def heeded():
    """What is started by a shell in the background ignores Ctrl-C, and so does all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def moment_of(seed, whole_run):
    """Every second one falls into the start, where most is half made."""
    rng = Rng(seed).split("moment")
    most = whole_run if seed % 2 else min(6.0, whole_run)
    return 0.1 + rng.between(0, 10**6) / 10**6 * most


def ports_of(bench):
    found = set()
    for name in ("node-0", "node-1", "node-2"):
        for event in bench.events(name):
            if event["event"] == "node.listening":
                found |= {int(address.split("/")[4]) for address in event["addresses"]}
        config = bench.state / "nodes" / name / "node.json"
        if config.exists():
            found |= {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", config.read_text())}
    return found


def check_nothing_is_left(bench):
    assert not bench.processes()
    assert list(bench.temp.iterdir()) == []
    for port in ports_of(bench):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    if not bench.state.exists():
        assert not (bench.home / ".localnet").exists(), "it was cut off before there was anything"


def goes_on(bench):
    """To the end, with every payment once."""
    status = bench.localnet("status", "--json")
    if status.returncode == 6:
        return
    if json.loads(status.stdout)["status"] == "done":
        return
    done = bench.localnet("start", "--json", patience=600)
    assert done.returncode == 0, done.stderr + done.stdout
    value = json.loads(done.stdout)
    assert value["audit"] == {"payments": PAYMENTS, "problems": []}
    assert len(set(value["weights_sha256"].values())) == 1
    assert value["rounds"] == 3


def cut(bench, number, seconds):
    """The process that was sent this signal so long after its start; None where it ended before."""
    (bench.home / "plan.toml").write_text(PLAN)
    process = bench.start("localnet_command", *WORDS)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    process.communicate(timeout=120)
    return process.returncode


@pytest.mark.parametrize("seed", range(20))
def test_ctrl_c_at_any_moment_leaves_nothing_and_what_was_done_is_kept(bench, seed, whole_run):
    code = cut(bench, signal.SIGINT, moment_of(seed, whole_run))
    assert code in (130, 0)
    check_nothing_is_left(bench)
    if seed % 4 == 1:
        goes_on(bench)
    if bench.state.exists():
        assert bench.localnet("down").returncode == 0
    assert not (bench.home / ".localnet").exists()


@pytest.mark.parametrize("seed", range(100, 108))
def test_a_supervisor_that_is_killed_at_any_moment_leaves_nothing_that_runs(bench, seed, whole_run):
    code = cut(bench, signal.SIGKILL, moment_of(seed, whole_run))
    assert code in (-signal.SIGKILL, 0)
    bench.wait_gone(60)
    for port in ports_of(bench):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    goes_on(bench)
    down = bench.localnet("down")
    assert down.returncode in (0, 6), down.stderr
    up = bench.fakes("-n", "1", "--rounds", "1")
    assert up.returncode == 0, "the directory can be used again"

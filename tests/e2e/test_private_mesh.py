"""A private mesh as its members make it: a key from the command line, nodes that have it, and one that has not."""

from __future__ import annotations

import json
import os

import pytest
from p2pfd_localnet import plan as plans
from p2pfd_localnet.checks import check_data
from p2pfd_localnet.presets import find

from p2pfd.core.spec import PhaseSpec
from p2pfd.node.config import save_task

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")
# Long phases: the second member comes after the outsiders, and is waited for.
PLAN = plans.change(find("small"), nodes=2, rounds=2, phases=PhaseSpec(60, 60, 60))


def join(bench, home, shard, *words):
    listen = ["--listen", "/ip4/127.0.0.1/tcp/0"]
    said = ["--task", "task.json", "--home", home, "--shard", f"{shard}/2", "--json", *listen, *words]
    return bench.start("p2pfd_command", "join", *said)


@pytest.mark.long
def test_members_learn_together_and_who_is_none_is_told_so(bench):
    save_task(PLAN.task(check_data(PLAN)), bench.home / "task.json")
    for name in ("mesh.key", "other.key"):
        assert bench.run("p2pfd_command", "keys", "swarm", name).returncode == 0
    first = join(bench, "one", 0, "--swarm-key", "mesh.key")
    address = next(line.split()[1] for line in first.stderr if line.startswith("address"))
    for number, words in enumerate([["--swarm-key", "other.key"], []]):
        outsider = join(bench, f"outsider{number}", 1, "--bootstrap", address, *words)
        said = [next(line for line in outsider.stderr if line.startswith("waiting")), outsider.stderr.readline()]
        assert "cannot connect" in said[0]
        assert "--swarm-key" in said[1]
        outsider.terminate()
        outsider.communicate(timeout=10)
    second = join(bench, "two", 1, "--swarm-key", "mesh.key", "--bootstrap", address)
    outs = [process.communicate(timeout=90) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outs
    weights = [json.loads(out)["weights"] for out, _ in outs]
    assert weights[0] == weights[1]
    for node in ("one", "two"):
        assert json.loads((bench.home / node / "node.json").read_text())["network"] == {
            "network_key": str(bench.home / "mesh.key")
        }
    bench.wait_gone(5)

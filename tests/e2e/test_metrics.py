"""A node that is watched: its metrics, over HTTP, while it takes part."""

from __future__ import annotations

import itertools
import signal
import urllib.request

from p2pfd_localnet import plan as plans
from p2pfd_localnet.checks import check_data
from p2pfd_localnet.presets import find

from p2pfd.node import config


def test_a_node_that_waits_for_others_serves_its_metrics(bench):
    plan = plans.change(find("small"), nodes=2, chain="none")
    task = bench.home / "task.json"
    config.save_task(plan.task(check_data(plan)), task)
    node = bench.start("p2pfd_command", "join", "--task", str(task), "--shard", "0/2", "--metrics", ":0", "--json")
    assert node.stderr is not None
    said = (line.split() for line in iter(node.stderr.readline, ""))
    told = {words[0]: words[1] for words in itertools.islice((w for w in said if w[0] in ("metrics", "peer")), 2)}
    peer, address = told["peer"], told["metrics"]
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        page = answer.read().decode()
    assert f'p2pfd_info{{peer="{peer}"' in page
    assert 'p2pfd_events_total{event="node.listening"} 1\n' in page
    assert config.load(bench.home / "p2pfd-node" / config.FILE).metrics == ":0"
    node.send_signal(signal.SIGTERM)
    node.communicate(timeout=30)
    assert node.returncode == 130


def test_a_mesh_draws_itself_for_tensorboard(bench):
    done = bench.fakes("-n", "2", "--rounds", "2", "--no-serve", "--tensorboard", "runs")
    assert done.returncode == 0, done.stderr
    folder = bench.home / "runs" / "digits"
    assert sorted(each.name for each in folder.iterdir()) == ["mesh", "node-0", "node-1"]
    for run in folder.iterdir():
        [file] = run.iterdir()
        assert b"brain.Event:2" in file.read_bytes()
        assert b"accuracy/validation" in file.read_bytes()

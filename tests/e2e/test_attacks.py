"""Real nodes that misbehave, beside honest ones that know nothing of it: what they say, and what they get for it."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = [
    pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc"),
    pytest.mark.long,
    pytest.mark.network,
]


def up(bench, *words):
    return bench.run("localnet_command", *words, patience=900)


def test_colluders_and_constants_earn_less_than_the_honest(bench):
    words = ("up", "small", "-n", "6", "--rounds", "2", "--attack", "collude:1", "--attack", "constant:3:1")
    done = up(bench, *words, "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    bad = value["attack"]["nodes"]
    assert sorted(bad.values()) == ["collude", "constant:3"]
    pay = value["attack"]["mean_payout"]
    assert pay["honest"] > pay["bad"]
    assert value["accuracy"]["together"] > value["accuracy"]["alone"]
    assert value["audit"]["problems"] == []
    assert "2 of them bad" in done.stderr
    assert "bad     " + ", ".join(f"{name} {kind}" for name, kind in bad.items()) in done.stderr
    assert "<h2>Who was bad</h2>" in (bench.state / "report.html").read_text()
    configs = {
        f"node-{node}": json.loads((bench.state / f"nodes/node-{node}/node.json").read_text()) for node in range(6)
    }
    assert {name: config["behaviour"] for name, config in configs.items() if config["behaviour"]} == bad


def test_who_withholds_forfeits_and_the_others_go_on(bench, tmp_path):
    plan = tmp_path / "quick.toml"
    plan.write_text('preset = "small"\nnodes = 4\nrounds = 2\n[phases]\nreveal_seconds = 5\n[attack]\nwithhold = 1\n')
    done = up(bench, "up", str(plan), "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    pay = value["attack"]["mean_payout"]
    assert pay["bad"] < 0 < pay["honest"]
    assert value["rounds"] == 2


def test_poisoners_of_encounters_get_less_than_those_who_teach(bench):
    words = ("up", "encounters", "-n", "6", "--rounds", "2", "--attack", "poison:1", "--attack", "vote-against:1")
    done = up(bench, *words, "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert sorted(value["attack"]["nodes"].values()) == ["poison", "vote-against"]
    pay = value["attack"]["mean_payout"]
    assert pay["honest"] > pay["bad"]
    assert value["encounters"]["refused"] > 0


def test_merged_models_are_poisoned_where_nobody_looks(bench):
    clean, poisoned = (
        json.loads(up(bench, "up", "gossip", "-n", "5", "--rounds", "2", "--fresh", "--json", *more).stdout)
        for more in ((), ("--attack", "poison:2"))
    )
    assert poisoned["accuracy"]["together"] < clean["accuracy"]["together"]
    assert sorted(poisoned["attack"]["nodes"].values()) == ["poison", "poison"]

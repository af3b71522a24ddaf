"""What a plan is said to take, and what a small one really takes."""

from __future__ import annotations

import pytest
from p2pfd_localnet.cost import estimate
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import PRESETS, find

from tests.bench.bench_presets import measure


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_has_an_estimate(preset):
    cost = estimate(preset, cores=2)
    assert 5 < cost.work < 2_000
    assert cost.work / 2 <= cost.seconds
    assert 200 < cost.memory_mb < 8_000
    assert 0.5 < cost.disk_mb < 200
    assert cost.files > preset.nodes


@pytest.mark.parametrize(
    "more",
    [
        {"nodes": 20},
        {"rounds": 20},
        {"settings": {"epochs": 40}},
        {"settings": {"distil_epochs": 80}},
        {"settings": {"net": "conv8"}},
        {"adapter": "mixed", "learners": ("forest",)},
    ],
    ids=str,
)
def test_more_takes_more(more):
    plan = find("digits")
    assert estimate(change(plan, **more), cores=2).work > estimate(plan, cores=2).work


def test_fewer_cores_and_slow_chains_take_longer_and_liars_save_work():
    plan = find("digits")
    assert estimate(plan, cores=1).seconds == 2 * estimate(plan, cores=2).seconds
    slow = change(plan, chain="amoy-like")
    assert estimate(slow, cores=2).seconds > estimate(plan, cores=2).seconds + 100
    assert estimate(change(plan, attack={"random": 5})).work < estimate(plan).work
    assert estimate(change(plan, chain="none")).memory_mb < estimate(plan).memory_mb


@pytest.mark.long
@pytest.mark.network
@pytest.mark.parametrize("words", [["small"], ["gossip", "-n", "6", "--rounds", "4"]], ids=["small", "gossip"])
def test_a_small_run_takes_what_was_said_give_or_take_a_factor_of_two(words):
    plan = find(words[0])
    if len(words) > 1:
        plan = change(plan, nodes=6, rounds=4)
    cost, found = estimate(plan), measure(words)
    assert found.told["accuracy"]["together"] > 0.6, found.said
    for said, real in ((cost.work, found.work), (cost.memory_mb, found.memory_mb), (cost.disk_mb, found.disk_mb)):
        assert 0.5 <= real / said <= 2.0, (cost, found)

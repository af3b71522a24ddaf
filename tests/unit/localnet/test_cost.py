"""What a plan is said to take, and what a small one really takes."""

from __future__ import annotations

import pytest
from p2pfd_localnet import cost
from p2pfd_localnet.cost import estimate
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import PRESETS, find

from p2pfd.learning import models
from p2pfd.learning.models import model_of
from tests.bench.bench_presets import measure


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_has_an_estimate(preset):
    said = estimate(preset, cores=2)
    assert 5 < said.work < 2_000
    assert said.work / 2 <= said.seconds
    assert 200 < said.memory_mb < 8_000
    assert 0.5 < said.disk_mb < 200
    assert said.files > preset.nodes


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


def test_every_net_is_known():
    assert {name: numbers for name, (_, numbers) in cost.NETS.items()} == {
        name: model_of(name, 10).parameters for name in models.NETS
    }


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
    said, found = estimate(plan), measure(words)
    assert found.told["accuracy"]["together"] > 0.6, found.said
    for guess, real in ((said.work, found.work), (said.memory_mb, found.memory_mb), (said.disk_mb, found.disk_mb)):
        assert 0.5 <= real / guess <= 2.0, (said, found)

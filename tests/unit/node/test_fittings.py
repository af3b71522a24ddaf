"""A node wears what its process fits it with, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest
from p2pfd_localnet.homes import furnish
from p2pfd_localnet.plan import DataFacts, change
from p2pfd_localnet.presets import find
from p2pfd_localnet.state import State

from p2pfd.behaviours import Misbehaving
from p2pfd.behaviours.payloads import Tampered
from p2pfd.errors import PlanError
from p2pfd.learning.data import digest_of_set
from p2pfd.node import keys as node_keys
from p2pfd.node.config import load, save_task
from p2pfd.node.fittings import PLAIN, fittings_of
from p2pfd.node.runtime import machine_for


def homes(tmp_path, attack):
    plan = change(find("digits"), attack=attack, nodes=5)
    state = State(tmp_path / "mesh")
    state.home.mkdir()
    save_task(plan.task(DataFacts(digest_of_set("digits"))), state.task)
    configs = [load(furnish(plan, state, name, place, "")) for place, name in enumerate(plan.names())]
    return plan, configs, [node_keys.throwaway(plan.seed, name) for name in plan.names()]


def test_who_is_cast_for_it_wears_a_behaviour_and_all_others_are_plain(tmp_path):
    plan, configs, keys = homes(tmp_path, {"constant:3": 2})
    bad = plan.dishonest()
    assert len(bad) == 2
    for config, key in zip(configs, keys, strict=True):
        fittings = fittings_of(config, key)
        machine = machine_for(config.load_task(), key)
        if config.name in bad:
            worn = fittings.machine(machine)
            assert isinstance(worn, Misbehaving)
            assert worn.machine is machine
            assert worn.behaviour.scene.argument == "3"
            assert worn.behaviour.scene.account == key.account.account
            assert isinstance(fittings.adapter(object()), Tampered)
        else:
            assert fittings is PLAIN
            assert fittings.machine(machine) is machine


def test_a_plot_has_dice_in_common_and_each_its_own(tmp_path):
    plan, configs, keys = homes(tmp_path, {"collude": 2})
    worn = [fittings_of(c, k).machine(None) for c, k in zip(configs, keys, strict=True) if c.name in plan.dishonest()]
    one, other = (each.behaviour.scene for each in worn)
    assert one.common.split("code").bytes(8) == other.common.split("code").bytes(8)
    assert one.private.bytes(8) != other.private.bytes(8)


def test_one_owner_learns_once(tmp_path):
    plan, configs, keys = homes(tmp_path, {"sybil": 2})
    pair = [(c, fittings_of(c, k)) for c, k in zip(configs, keys, strict=True) if c.name in plan.dishonest()]
    (one, first), (other, second) = pair
    assert one.shard == other.shard
    assert first.dice.split("learning").bytes(8) == second.dice.split("learning").bytes(8)
    assert len({config.shard for config in configs}) == 4


def test_a_behaviour_that_is_not_there_is_told(tmp_path):
    _, configs, keys = homes(tmp_path, {})
    with pytest.raises(PlanError, match="there is no behaviour 'colude'"):
        fittings_of(dataclasses.replace(configs[0], behaviour="colude"), keys[0])

"""A real chain that answers nobody for a while: its process is stopped, and told to go on."""

from __future__ import annotations

import dataclasses
import os
import signal

import pytest
import trio

from tests.e2e.crash_checks import check
from tests.e2e.crash_command import ROOT
from tests.e2e.crash_plan import Blow
from tests.e2e.crash_run import mesh_of, plan_of

pytestmark = [
    pytest.mark.long,
    pytest.mark.network,
    pytest.mark.skipif(not os.path.isdir("/proc"), reason="forks, and kills what it has forked"),
]
SECONDS = 45.0
"""Longer than a request waits for its answer."""


@pytest.mark.parametrize("seed", [1, 2], ids=["rounds", "encounters"])
async def test_a_mesh_waits_for_a_chain_that_stands_still_and_nobody_is_charged(tmp_path, monkeypatch, seed):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    plan = plan_of(seed)
    plan = dataclasses.replace(plan, rounds=3 if plan.meets else 12)
    async with mesh_of(plan, tmp_path / "mesh", print) as mesh:
        await mesh.until(lambda: all(node.address for node in mesh.nodes), 120)
        await trio.sleep(2)
        os.kill(mesh.chain.pid, signal.SIGSTOP)
        try:
            await trio.sleep(SECONDS / 2)
            await mesh.strike(Blow(0))  # and one who dies meanwhile starts without its chain
            await trio.sleep(SECONDS / 2)
        finally:
            os.kill(mesh.chain.pid, signal.SIGCONT)
        found = await check(mesh)
    assert found["payments"] >= plan.nodes * plan.rounds

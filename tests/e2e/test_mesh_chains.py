"""The same mesh on every local chain: the same payments to the last unit, and nothing left behind."""

from __future__ import annotations

import json
import os

import pytest

from p2pfd.settlement.local import ANVIL, GANACHE
from tests.local_chains import need

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")
WORDS = ("-n", "3", "--rounds", "2", "--seed", "3", "--json", "--fresh")


@pytest.mark.long
def test_a_mesh_is_paid_alike_on_every_local_chain(bench):
    for program in (ANVIL, GANACHE):
        need(program)
    found = []
    for chain in ("embedded", "anvil", "ganache"):
        done = bench.localnet("up", "small", "--chain", chain, *WORDS)
        assert done.returncode == 0, done.stderr
        value = json.loads(done.stdout)
        assert value["audit"] == {"payments": 6, "problems": []}
        found.append(value["payouts"])
        assert not bench.processes(), f"{chain} outlives its mesh"
        assert list(bench.temp.iterdir()) == []
    assert found[0] == found[1] == found[2]

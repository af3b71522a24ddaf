"""Five hundred processes are killed without a word, over twenty meshes: nothing is lost, nothing is paid twice.

``python -m tests.e2e.crash_command`` runs the same seeds, says how far it is, and leaves out those that are done.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.e2e.crash_command import KILLS, SEEDS, run
from tests.e2e.crash_node import KEPT, PLACES, START
from tests.e2e.crash_plan import CHAIN, volleys
from tests.e2e.crash_run import NODES, places_of


def test_what_is_killed_is_drawn_from_the_seed_and_misses_nothing():
    drawn = [list(volleys(seed, NODES, KILLS, places_of(seed))) for seed in SEEDS]
    assert drawn == [list(volleys(seed, NODES, KILLS, places_of(seed))) for seed in SEEDS]
    blows = [blow for seed in drawn for volley in seed for blow in volley.blows]
    assert sum(blow.kills for blow in blows) >= 500
    places = Counter(word for blow in blows for word in (blow.place, blow.rebirth) if word)
    assert set(places) == {*PLACES, *KEPT, *START}
    assert {blow.victim for blow in blows} == {CHAIN, *range(NODES)}
    assert max(len(volley.blows) for seed in drawn for volley in seed) == NODES, "now and then all of them at once"


@pytest.mark.long
@pytest.mark.network
@pytest.mark.skipif(not os.path.isdir("/proc"), reason="forks, and kills what it has forked")
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_mesh_outlives_the_deaths_of_its_processes(tmp_path, seed):
    found = await run(seed, tmp_path / "mesh", KILLS, print)
    assert int(str(found["kills"])) >= KILLS

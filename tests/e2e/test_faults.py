"""What the network promises when machines die and wires are bad: real processes, real TCP, the nodes' own settings."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .swarm import Air, swarm_in, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not os.path.isdir("/proc"), reason="forks, and kills what it has forked"),
]
HERE = "/ip4/127.0.0.1/tcp/0"
NODES, KILLED = 30, 9
NOTICED, ONE_AGAIN, BACK = 10.0, 15.0, 5.0
PARTED = 120


def test_a_third_of_thirty_nodes_is_killed_and_the_rest_is_one_mesh(tmp_path: Path) -> None:
    with swarm_in(tmp_path, pause=6.0) as swarm:  # a hundred deliveries a second
        first = swarm.start(0, HERE, [])
        for number in range(1, NODES):
            swarm.start(number, HERE, [first.address])
        until(lambda: swarm.hangs_together() and all(len(node.peers) >= 3 for node in swarm.alive()), 60)
        victims = [swarm.nodes[number] for number in range(0, 3 * KILLED, 3)]  # the one that all began with among them
        dead = {node.peer for node in victims}
        for node in victims:
            swarm.kill(node)
        noticed = until(lambda: not any(node.peers & dead for node in swarm.alive()), NOTICED)
        one = noticed + until(swarm.hangs_together, ONE_AGAIN - noticed)
        until(lambda: all(len(node.peers) >= 3 for node in swarm.alive()), 30)
        again = swarm.nodes[3]
        began = time.monotonic()
        again = swarm.start(3, HERE, [])  # from what it has on disk: it is given no address
        until(lambda: bool(again.peers & {node.peer for node in swarm.alive()}), BACK)
        back = time.monotonic() - began
        again.alive = False  # it cannot have heard what was said before it was back
        time.sleep(3)
        swarm.hush()
        until(lambda: swarm.missing() == 0, 30)
        said = sum(node.said for node in swarm.alive())
        print(f"noticed {noticed:.1f} s, one mesh {one:.1f} s, back {back:.1f} s; {said} messages, none missing")
        os.kill(again.pid, 9)


@pytest.fixture
def air(request: pytest.FixtureRequest) -> Iterator[Air]:
    made = Air(6, *request.param)
    try:
        made.build()
    except (OSError, subprocess.CalledProcessError) as error:
        made.remove()
        pytest.skip(f"no network namespaces or TUN devices here: {error}")
    try:
        yield made
    finally:
        made.remove()


@pytest.mark.parametrize("air", [(0.2, 0.005), (0.0, 0.3)], indirect=True, ids=["20 % loss", "300 ms delay"])
def test_bad_wires_cost_time_and_no_message(air: Air, tmp_path: Path) -> None:
    with swarm_in(tmp_path) as swarm:
        first = swarm.start(0, f"/ip4/{air.place(0)}/tcp/4001", [], air.names[0])
        for number in range(1, len(air.names)):
            swarm.start(number, f"/ip4/{air.place(number)}/tcp/4001", [first.address], air.names[number])
        met = until(lambda: swarm.hangs_together() and all(len(node.peers) >= 3 for node in swarm.alive()), 60)
        time.sleep(30)
        swarm.hush()
        rest = until(lambda: swarm.missing() == 0, 60)
        said = sum(node.said for node in swarm.alive())
        share = air.lost / max(1, air.lost + air.carried)
        silent = sum(node.drops.get("silent", 0) for node in swarm.alive())
        print(
            f"met {met:.1f} s; {said} messages, all heard {rest:.1f} s after the last; {share:.0%} lost, {silent} cut"
        )
        assert said >= 6 * 25
        if air.loss == 0:
            assert silent == 0, "whoever is slow is not silent"


@pytest.mark.parametrize("air", [(0.0, 0.001)], indirect=True, ids=["good wires"])
def test_what_each_half_missed_in_two_minutes_apart_is_made_up(air: Air, tmp_path: Path) -> None:
    with swarm_in(tmp_path) as swarm:
        first = swarm.start(0, f"/ip4/{air.place(0)}/tcp/4001", [], air.names[0])
        for number in range(1, len(air.names)):
            swarm.start(number, f"/ip4/{air.place(number)}/tcp/4001", [first.address], air.names[number])
        until(lambda: all(len(node.peers) >= 4 for node in swarm.alive()), 60)
        halves = [{swarm.nodes[number].peer for number in range(start, 6, 2)} for start in (0, 1)]
        air.parted = True
        noticed = until(
            lambda: not any(swarm.nodes[number].peers & halves[1 - number % 2] for number in range(6)), NOTICED
        )
        time.sleep(PARTED)
        assert swarm.missing() > 6 * PARTED
        air.parted = False
        one = until(swarm.hangs_together, ONE_AGAIN)
        swarm.hush()
        made_up = one + until(lambda: swarm.missing() == 0, 60)
        print(f"noticed {noticed:.1f} s, one mesh {one:.1f} s, all made up {made_up:.1f} s after the wires were mended")

"""Two networks that no packet crosses, and a relay that is in both: real interfaces, with the nodes' own settings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .namespaces import LEFT, MIDDLE, PORT, RIGHT, Networks, Node, networks
from .swarm import until


@pytest.fixture
def wires() -> Iterator[Networks]:
    with networks(78) as made:
        yield made


@pytest.mark.long
def test_two_networks_meet_through_a_relay_and_again_when_it_was_killed(wires: Networks) -> None:
    nodes: list[Node] = []
    try:
        relay = Node(wires, 1, MIDDLE, "relay")
        nodes.append(relay)
        for number, side in ((2, LEFT), (3, RIGHT)):
            way = f"/ip4/{wires.middle(side)}/tcp/{PORT + 1}/p2p/{relay.peer}"
            nodes.append(Node(wires, number, side, "via", way))
        _, west, east = nodes
        met = until(lambda: west.peer in east.peers and east.peer in west.peers, 30)
        until(lambda: west.peer in east.heard and east.peer in west.heard, 10)
        relay.end()
        until(lambda: not west.peers and not east.peers, 10)
        nodes[0] = relay = Node(wires, 1, MIDDLE, "relay")
        back = until(lambda: west.peer in east.peers and east.peer in west.peers, 30)
        print(f"met after {met:.1f} s, and again {back:.1f} s after the relay was back")
    finally:
        for node in nodes:
            node.end()

"""A network that is cut in two, silently, and mended: real interfaces, and the settings that nodes run with."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .namespaces import LEFT, RIGHT, Networks, Node, networks
from .swarm import until

NOTICED, BACK = 10.0, 15.0


@pytest.fixture
def wires() -> Iterator[Networks]:
    with networks(77) as made:
        made.forward(True)
        yield made


@pytest.mark.long
@pytest.mark.parametrize("seconds", [5, 40])
def test_a_partition_is_noticed_and_mended_in_time(wires: Networks, seconds: int) -> None:
    nodes: list[Node] = []
    try:
        for number in range(6):
            first = nodes[0].addresses[:1] if nodes else []
            nodes.append(Node(wires, number + 1, LEFT if number % 2 == 0 else RIGHT, "alone", *first))
        left, right = nodes[::2], nodes[1::2]
        theirs = {node.peer for node in right}
        until(lambda: all(len(node.peers) >= 4 for node in nodes), 20)
        wires.forward(False)
        noticed = until(lambda: not any(node.peers & theirs for node in left), NOTICED)
        until(lambda: not any(node.peers - theirs for node in right), 1 + NOTICED - noticed)
        time.sleep(seconds)
        wires.forward(True)
        back = until(lambda: any(node.peers & theirs for node in left), BACK)
        print(f"{seconds} s apart: noticed after {noticed:.1f} s, back after {back:.1f} s")
        until(lambda: all(len(node.peers) >= 4 for node in nodes), BACK)
    finally:
        for node in nodes:
            node.end()

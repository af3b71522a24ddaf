"""A snapshot says of which layout it is: a node that is updated must not read another one as its own."""

from __future__ import annotations

from typing import Any

import pytest

from p2pfd.core.canonical import decode, encode
from p2pfd.core.ids import Account, PeerId, TaskId
from p2pfd.errors import DecodeError
from p2pfd.roles.distill import GossipDistill, Seat, SettledDistill
from p2pfd.roles.exchange import Exchange
from tests.unit.roles.encounter.actors import Actor

SEAT = Seat(TaskId(b"\1" * 32), PeerId("me"), Account("0x" + "01" * 20), b"s", 4, 2, rounds=3, quorum=2)
MACHINES = [
    (lambda: GossipDistill(SEAT), "distill.gossip", 3, [2]),
    (lambda: SettledDistill(SEAT), "distill.settled", 3, [2]),
    (lambda: Exchange(SEAT), "exchange", 1, []),
    (lambda: Actor("ada").device, "encounters", 1, []),
]
"""What makes one, what it calls itself, its layout's number, and the older ones that it still reads."""


@pytest.mark.parametrize(("make", "kind", "version", "older"), MACHINES, ids=[name for _, name, *_ in MACHINES])
def test_only_snapshots_of_its_own_kind_task_and_layout_are_read(
    make: Any, kind: str, version: int, older: list[int]
) -> None:
    value = decode(make().snapshot(), limit=10**6)
    assert (value["kind"], value["version"]) == (kind, version)
    make().restore(encode(value))
    for wrong in ({"kind": "another"}, {"version": version + 1}, {"version": None}):
        with pytest.raises(DecodeError, match=f"not a snapshot of {kind}, version {version}"):
            make().restore(encode({**value, **wrong}))
    for number in range(version):
        if number not in older:
            with pytest.raises(DecodeError, match="not a snapshot"):
                make().restore(encode({**value, "version": number}))
    with pytest.raises(DecodeError, match="a snapshot of another task"):
        make().restore(encode({**value, "task": b"\7" * 32}))
    with pytest.raises(DecodeError, match=f"not a snapshot of {kind}"):
        make().restore(encode([1]))
    short = {name: held for name, held in value.items() if name != "circle"}
    with pytest.raises(DecodeError, match="a damaged snapshot"):
        make().restore(encode(short))

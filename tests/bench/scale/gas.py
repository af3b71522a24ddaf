"""What a mesh's embedded chain was asked to do, and what that took: from the chain's own file, after its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eth.vm.forks.shanghai.transactions import ShanghaiTransactionBuilder

from p2pfd.settlement.abi import Interface
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.embedded.__main__ import STATE_FILE
from p2pfd.settlement.embedded.store import Store

MEETING = ("open", "open_many", "draw", "settle", "settle_many", "report", "commit", "reveal", "close")
"""The calls that an encounter is made of. Money and seats come before it, and once."""


@dataclass(frozen=True)
class Call:
    """One call of the mesh's contract, whether it succeeded or not."""

    name: str
    gas: int
    success: bool


def calls(mesh: Path, contract: str) -> list[Call]:
    """All of them, in the chain's order; ``contract`` is the name of what the task settles in."""
    address = bytes.fromhex(json.loads((mesh / "task.json").read_text())["chain"]["market"].removeprefix("0x"))
    shape = Interface.of(artifact(contract))
    store = Store(mesh / "chain" / STATE_FILE)
    try:
        head = store.head()
        blocks = [store.block(number) for number in range(1, head.number + 1)] if head else []
    finally:
        store.close()
    found = []
    for block in blocks:
        if block is not None and block.raw is not None and block.target == address:
            called = shape.called(bytes(ShanghaiTransactionBuilder.decode(block.raw).data))
            found.append(Call(called.name if called else "?", block.gas_used, block.success))
    return found


def by_round(made: Sequence[Call]) -> list[dict[str, int]]:
    """The gas of each round by call: from the end of the one before, or from the start, to its settling."""
    rounds: list[dict[str, int]] = []
    present: dict[str, int] = {}
    for call in made:
        present[call.name] = present.get(call.name, 0) + call.gas
        if call.name == "settle" and call.success:
            rounds.append(present)
            present = {}
    return rounds


def of_meetings(made: Sequence[Call]) -> tuple[int, int]:
    """The gas of all encounters together, and how many calls it was."""
    inside = [call for call in made if call.name in MEETING]
    return sum(call.gas for call in inside), len(inside)

"""Gas of every function that changes something: the least and the most that seeded walks of small games meet.

``python -m tests.bench.gas_calls`` prints the tables that stand in ``contracts/vyper/SPEC.md``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from p2pfd.core.rng import Rng
from p2pfd.settlement.abi import Interface
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.embedded.store import Block
from tests.contracts import encounter_machine, machine, optimistic_machine, sampled_machine
from tests.contracts.chain import Contracts

WALKS, STEPS = 4, 500
Gas = dict[str, list[int]]


@contextmanager
def watched(gas: Gas) -> Iterator[None]:
    """Note what every call that is carried out takes, by its selector."""
    plain = Contracts.send

    def send(self: Contracts, who: AccountKey, to: str | None, data: bytes, limit: int) -> Block:
        block = plain(self, who, to, data, limit)  # type: ignore[arg-type]
        if block.success and to is not None:
            gas[data[:4].hex()].append(block.gas_used)
        return block

    Contracts.send = send  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Contracts.send = plain  # type: ignore[method-assign]


def walked(contract: str, number: int) -> None:
    """One walk of the machine that plays a contract."""
    rng = Rng(b"gas").split(number)
    match contract:
        case "LabelMarket":
            machine.walk(rng, STEPS)
        case "OptimisticMarket":
            optimistic_machine.walk(rng, STEPS)
        case "SampledMarket":
            sampled_machine.walk(rng, STEPS)
        case _:
            encounter_machine.Pair().walk(rng, STEPS)


def changing(contract: str) -> dict[str, str]:
    """The functions of a contract that change something, by selector."""
    shape = Interface.of(artifact(contract))
    names = [entry.get("name") for entry in artifact(contract).abi if entry.get("stateMutability") == "nonpayable"]
    return {shape[name].selector.hex(): name for name in names if name in shape.functions}


def figures(contract: str) -> dict[str, tuple[int, int]]:
    """The least and the most gas of each function."""
    gas: Gas = defaultdict(list)
    with watched(gas):
        for number in range(WALKS):
            walked(contract, number)
    return {
        name: (min(gas[selector]), max(gas[selector])) for selector, name in changing(contract).items() if gas[selector]
    }


def main() -> None:
    """Print all tables."""
    for contract in ("LabelMarket", "OptimisticMarket", "SampledMarket", "Encounters"):
        for name, (least, most) in figures(contract).items():
            print(f"{contract} | `{name}` | {least:,}–{most:,}")


if __name__ == "__main__":
    main()

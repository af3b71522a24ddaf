"""The chain's own instructions do what py-evm's do: same result, same gas, to the last block hash."""

from __future__ import annotations

import pytest
from eth.vm.forks.shanghai.computation import ShanghaiComputation

from p2pfd.core.rng import Rng
from p2pfd.settlement.embedded.ledger import Ledger, Outcome
from p2pfd.settlement.embedded.opcodes import Computation
from p2pfd.settlement.embedded.store import Store
from tests.contracts.chain import CHAIN_ID
from tests.contracts.machine import walk

CODE_AT = b"\x22" * 20
OURS = sorted(code for code, run in Computation.opcodes.items() if ShanghaiComputation.opcodes[code] is not run)
PURE = [
    0x05,
    0x07,
    0x08,
    0x0A,
    0x0B,
    0x12,
    0x1A,
    0x1D,
    0x20,
    0x30,
    0x33,
    0x35,
    0x36,
    0x38,
    0x3D,
    0x53,
    0x58,
    0x59,
    0x5A,
]
EDGES = [0, 1, 2, 31, 32, 33, 255, 256, 257, 2**64, 2**255 - 1, 2**255, 2**256 - 1]
PROGRAMS = 1_500


def by(kind: type[ShanghaiComputation], clock: int = 1_000) -> Ledger:
    ledger = Ledger(Store(None), lambda: clock, CHAIN_ID, {})
    ledger._state.computation_class = kind
    return ledger


def pushed(rng: Rng) -> bytes:
    value = rng.choice(EDGES) if rng.chance(1, 2) else rng.below(200)
    size = max(1, (value.bit_length() + 7) // 8) + rng.below(2)
    return bytes([0x60 + min(size, 32) - 1]) + value.to_bytes(min(size, 32), "big")


def program(rng: Rng) -> bytes:
    """Some numbers, many instructions, most of them ours, and a few jumps; at the end the stack is returned."""
    code = b"".join(pushed(rng) for _ in range(12 + rng.below(10)))
    for _ in range(10 + rng.below(40)):
        match rng.below(12):
            case 0 | 1 | 2 | 3:
                code += pushed(rng)
            case 4:  # to the JUMPDEST behind it, or with one off or inside a number, nowhere
                target = len(code) + 4 + rng.choice([0, 0, 0, 0, 0, 0, 1])
                code += (
                    b"\x61" + target.to_bytes(2, "big") + b"\x56" + rng.choice([b"\x5b", b"\x5b", b"\x5b", b"\x60\x5b"])
                )
            case 5:
                code += b"\x60\x01" * rng.below(2) + b"\x61" + (len(code) + 6).to_bytes(2, "big") + b"\x57\x5b\x5b\x5b"
            case 6:
                code += bytes([rng.choice([0x51, 0x52])]) if rng.chance(1, 20) else b"\x60\x40\x52\x60\x41\x51"
            case 7:
                code += bytes([rng.choice(PURE)])
            case _:
                code += bytes([rng.choice([each for each in OURS if each not in (0x51, 0x52, 0x56, 0x57)])])
    returned = b"".join(b"\x60" + bytes([32 * at]) + b"\x52" for at in range(5))
    return code + (returned + b"\x60\xa0\x5f\xf3" if rng.chance(9, 10) else bytes([rng.choice([0x60, 0x7F, 0x5B])]))


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode present")
def test_any_program_does_the_same() -> None:
    ours, plain = by(Computation), by(ShanghaiComputation)
    rng, well = Rng(b"opcodes"), 0
    for number in range(PROGRAMS):
        code, gas = program(rng.split(number)), 22_000 + rng.below(3_000)
        outcomes: list[Outcome] = []
        for ledger in (ours, plain):
            ledger._accounts.set_code(CODE_AT, code)
            ledger._accounts.lock_changes()
            outcomes.append(ledger.call(bytes(20), CODE_AT, b"\1" * 40, 0, gas))
        assert outcomes[0] == outcomes[1], code.hex()
        well += outcomes[0].success
    assert PROGRAMS // 4 < well < PROGRAMS - PROGRAMS // 20, "some end well, and some do not"


@pytest.mark.parametrize("items", [0, 1, 2, 16, 17, 1_023, 1_024])
def test_stacks_that_are_too_short_or_too_full(items: int) -> None:
    for code in OURS:
        outcomes = []
        for kind in (Computation, ShanghaiComputation):
            ledger = by(kind)
            ledger._accounts.set_code(CODE_AT, b"\x5f" * items + bytes([code]))
            ledger._accounts.lock_changes()
            outcomes.append(ledger.call(bytes(20), CODE_AT, b"", 0, 30_000))
        assert outcomes[0] == outcomes[1], hex(code)


def test_the_market_leaves_the_same_blocks() -> None:
    """A block's hash covers its state, its gas and its success."""
    played = walk(Rng(b"opcodes"), 150).chain
    first = played.ledger.block(0)
    assert first is not None
    now = first.timestamp
    replay = Ledger(Store(None), lambda: now, CHAIN_ID, {})
    replay._state.computation_class = ShanghaiComputation
    for number in range(1, played.ledger.head.number + 1):
        block = played.ledger.block(number)
        assert block is not None
        assert block.raw is not None
        now = block.timestamp
        assert replay.send(block.raw) == block

"""The instructions that contracts run most, in fewer steps than py-evm takes for them.

Each does what py-evm's own does: the same gas, the same result, an error of the kind that burns all gas in the same
cases. Numbers go onto the stack as numbers, where py-evm puts bytes that the next instruction has to read. Everything
else, and memory that has to grow, is left to py-evm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

from eth.constants import UINT_256_MAX
from eth.exceptions import FullStack, InsufficientStack, InvalidJumpDestination, OutOfGas
from eth.vm.forks.shanghai.computation import ShanghaiComputation
from eth.vm.forks.shanghai.opcodes import SHANGHAI_OPCODES

Instruction: TypeAlias = Callable[[Any], None]
_JUMPDEST, _PUSH1, _PUSH32 = 0x5B, 0x60, 0x7F
_MOST_ITEMS = 1024
_CODES = 64


@lru_cache(_CODES)
def _landings(code: bytes) -> frozenset[int]:
    """Where a jump may land: every JUMPDEST that is not inside a number that is pushed."""
    found, at = [], 0
    while at < len(code):
        value = code[at]
        if value == _JUMPDEST:
            found.append(at)
        at += value - _PUSH1 + 2 if _PUSH1 <= value <= _PUSH32 else 1
    return frozenset(found)


def _pay(computation: Any, cost: int) -> None:
    meter = computation._gas_meter
    if meter.gas_remaining < cost:
        raise OutOfGas(f"{cost} needed, {meter.gas_remaining} left")
    meter.gas_remaining -= cost


def _push(size: int, cost: int) -> Instruction:
    def run(computation: Any) -> None:
        meter, code, values = computation._gas_meter, computation.code, computation._stack.values
        if meter.gas_remaining < cost:
            raise OutOfGas(f"{cost} needed, {meter.gas_remaining} left")
        meter.gas_remaining -= cost
        if len(values) >= _MOST_ITEMS:
            raise FullStack("the stack is full")
        begin = code.program_counter
        code.program_counter = end = begin + size
        raw = code._raw_code_bytes[begin:end]
        value = int.from_bytes(raw, "big")
        values.append(value if len(raw) == size else value << 8 * (size - len(raw)))

    return run


def _dup(depth: int, cost: int) -> Instruction:
    def run(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        if meter.gas_remaining < cost:
            raise OutOfGas(f"{cost} needed, {meter.gas_remaining} left")
        meter.gas_remaining -= cost
        if not depth <= len(values) < _MOST_ITEMS:
            raise InsufficientStack(f"{len(values)} items on the stack")
        values.append(values[-depth])

    return run


def _swap(depth: int, cost: int) -> Instruction:
    below = -depth - 1

    def run(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        if meter.gas_remaining < cost:
            raise OutOfGas(f"{cost} needed, {meter.gas_remaining} left")
        meter.gas_remaining -= cost
        if len(values) <= depth:
            raise InsufficientStack(f"{len(values)} items on the stack")
        values[-1], values[below] = values[below], values[-1]

    return run


def _binary(cost: int, result: Callable[[int, int], int]) -> Instruction:
    def run(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        if meter.gas_remaining < cost:
            raise OutOfGas(f"{cost} needed, {meter.gas_remaining} left")
        meter.gas_remaining -= cost
        if len(values) < 2:
            raise InsufficientStack(f"{len(values)} items on the stack")
        top, below = values.pop(), values[-1]
        if top.__class__ is not int:
            top = int.from_bytes(top, "big")
        if below.__class__ is not int:
            below = int.from_bytes(below, "big")
        values[-1] = result(top, below)

    return run


def _popped(values: list[int | bytes]) -> int:
    if not values:
        raise InsufficientStack("the stack is empty")
    value = values.pop()
    return value if isinstance(value, int) else int.from_bytes(value, "big")


def _go(computation: Any, target: int) -> None:
    code = computation.code
    if target not in _landings(code._raw_code_bytes):
        raise InvalidJumpDestination(f"{target} is no place to jump to")
    code.program_counter = target


def _jump(computation: Any) -> None:
    _pay(computation, 8)
    _go(computation, _popped(computation._stack.values))


def _jumpi(computation: Any) -> None:
    _pay(computation, 10)
    values = computation._stack.values
    target = _popped(values)
    if _popped(values):
        _go(computation, target)


def _jumpdest(computation: Any) -> None:
    _pay(computation, 1)


def _pop(computation: Any) -> None:
    _pay(computation, 2)
    _popped(computation._stack.values)


def _iszero(computation: Any) -> None:
    _pay(computation, 3)
    values = computation._stack.values
    values.append(0 if _popped(values) else 1)


def _not(computation: Any) -> None:
    _pay(computation, 3)
    values = computation._stack.values
    values.append(UINT_256_MAX ^ _popped(values))


def _mload(computation: Any) -> None:
    values, memory = computation._stack.values, computation._memory._bytes
    at = values[-1] if values else 0
    if at.__class__ is not int or at + 32 > len(memory) or not values:
        SHANGHAI_OPCODES[0x51](computation)
        return
    _pay(computation, 3)
    values[-1] = int.from_bytes(memory[at : at + 32], "big")


def _mstore(computation: Any) -> None:
    values, memory = computation._stack.values, computation._memory._bytes
    at = values[-1] if len(values) > 1 else b""
    if at.__class__ is not int or at + 32 > len(memory):
        SHANGHAI_OPCODES[0x52](computation)
        return
    _pay(computation, 3)
    values.pop()
    memory[at : at + 32] = _popped(values).to_bytes(32, "big")


_TABLE: dict[int, Instruction] = {
    0x01: _binary(3, lambda top, below: top + below & UINT_256_MAX),
    0x02: _binary(5, lambda top, below: top * below & UINT_256_MAX),
    0x03: _binary(3, lambda top, below: top - below & UINT_256_MAX),
    0x04: _binary(5, lambda top, below: top // below if below else 0),
    0x06: _binary(5, lambda top, below: top % below if below else 0),
    0x10: _binary(3, lambda top, below: 1 if top < below else 0),
    0x11: _binary(3, lambda top, below: 1 if top > below else 0),
    0x14: _binary(3, lambda top, below: 1 if top == below else 0),
    0x15: _iszero,
    0x16: _binary(3, lambda top, below: top & below),
    0x17: _binary(3, lambda top, below: top | below),
    0x18: _binary(3, lambda top, below: top ^ below),
    0x19: _not,
    0x1B: _binary(3, lambda top, below: below << top & UINT_256_MAX if top < 256 else 0),
    0x1C: _binary(3, lambda top, below: below >> top if top < 256 else 0),
    0x50: _pop,
    0x51: _mload,
    0x52: _mstore,
    0x56: _jump,
    0x57: _jumpi,
    _JUMPDEST: _jumpdest,
    0x5F: _push(0, 2),
    **{_PUSH1 + size - 1: _push(size, 3) for size in range(1, 33)},
    **{0x80 + depth - 1: _dup(depth, 3) for depth in range(1, 17)},
    **{0x90 + depth - 1: _swap(depth, 3) for depth in range(1, 17)},
}


class Computation(ShanghaiComputation):  # type: ignore[misc]
    """py-evm's Shanghai with these instructions in place of its own."""

    opcodes = SHANGHAI_OPCODES | _TABLE

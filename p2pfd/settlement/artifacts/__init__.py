"""The compiled contracts: ABI and bytecode, as `contracts/build.py` wrote them from `contracts/vyper`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Artifact:
    """A compiled contract."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    """What a deployment sends, constructor arguments behind it."""
    runtime_bytes: int
    """How long the code is that it leaves on the chain; the constants that a deployment sets stand behind that."""

    def made(self, code: bytes) -> bool:
        """Whether code on a chain is this contract's, the constants that a deployment sets left out."""
        return len(code) >= self.runtime_bytes and code[: self.runtime_bytes] in self.bytecode


@cache
def artifact(name: str) -> Artifact:
    """The artifact of one of our contracts, by its name: ``Token``, ``LabelMarket``, and so on."""
    value = json.loads(files(__name__).joinpath(f"{name}.json").read_text())
    bytecode = bytes.fromhex(value["bytecode"].removeprefix("0x"))
    return Artifact(name, tuple(value["abi"]), bytecode, value["runtime_bytes"])

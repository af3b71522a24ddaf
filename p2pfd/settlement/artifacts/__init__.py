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


@cache
def artifact(name: str) -> Artifact:
    """The artifact of one of our contracts: ``Token`` or ``LabelMarket``."""
    value = json.loads(files(__name__).joinpath(f"{name}.json").read_text())
    return Artifact(name, tuple(value["abi"]), bytes.fromhex(value["bytecode"].removeprefix("0x")))

"""Contracts that are only for tests, compiled here."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from p2pfd.settlement.artifacts import Artifact

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "contracts" / "build.py"
SOURCES = ROOT / "contracts" / "vyper"


@cache
def mock(name: str) -> Artifact:
    """A contract of `contracts/vyper/mocks`."""
    spec = importlib.util.spec_from_file_location("p2pfd_contracts_build", BUILD)
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    out = build.compiled(SOURCES / "mocks" / f"{name}.vy")
    bytecode = bytes.fromhex(out["bytecode"].removeprefix("0x"))
    return Artifact(name, tuple(out["abi"]), bytecode, len(out["bytecode_runtime"]) // 2 - 1)

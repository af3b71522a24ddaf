"""What the package ships is what the sources compile to."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from p2pfd.settlement.artifacts import artifact
from tests.contracts.compiler import BUILD, ROOT, SOURCES

MAX_CODE = 24_576  # EIP-170
ARTIFACTS = ROOT / "p2pfd" / "settlement" / "artifacts"


def test_the_shipped_bytecode_was_made_of_these_sources() -> None:
    """As its artifacts say; whether they say the truth only a compiler knows, who takes half a minute for all."""
    for shipped in map(json.loads, (file.read_text() for file in ARTIFACTS.glob("*.json"))):
        for name, digest in shipped["sources"].items():
            assert hashlib.sha256((SOURCES / name).read_bytes()).hexdigest() == digest, f"{shipped['contract']}: {name}"


@pytest.mark.parametrize("names", [["Token", "LabelMarket"], pytest.param([], marks=pytest.mark.long)])
def test_the_shipped_bytecode_is_the_sources(names: list[str]) -> None:
    checked = subprocess.run(
        [sys.executable, str(BUILD), "--check", *names], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", ["Token", "LabelMarket", "OptimisticMarket", "SampledMarket", "Court"])
def test_contracts_are_small_enough_for_public_chains(name: str) -> None:
    shipped = json.loads((ROOT / "p2pfd" / "settlement" / "artifacts" / f"{name}.json").read_text())
    assert 0 < shipped["runtime_bytes"] <= MAX_CODE - 192  # constants that a deployment sets stand behind the code
    assert shipped["evm"] == "shanghai"


def test_nobody_has_a_special_right() -> None:
    """Neither contract exposes a function that only one account could call, or that makes money."""
    exposed = {entry["name"] for name in ("Token", "LabelMarket") for entry in artifact(name).abi if "name" in entry}
    assert not exposed & {"mint", "set_minter", "burn_from", "owner", "transfer_ownership", "pause", "upgrade"}

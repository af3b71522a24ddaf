"""What the package ships is what the sources compile to."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from p2pfd.settlement.artifacts import artifact
from tests.contracts.compiler import BUILD, ROOT

MAX_CODE = 24_576  # EIP-170


def test_the_shipped_bytecode_is_the_sources() -> None:
    checked = subprocess.run([sys.executable, str(BUILD), "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", ["Token", "LabelMarket", "OptimisticMarket", "SampledMarket", "Court"])
def test_contracts_are_small_enough_for_public_chains(name: str) -> None:
    shipped = json.loads((ROOT / "p2pfd" / "settlement" / "artifacts" / f"{name}.json").read_text())
    assert 0 < shipped["runtime_bytes"] <= MAX_CODE - 256  # constants that a deployment sets stand behind the code
    assert shipped["evm"] == "shanghai"


def test_nobody_has_a_special_right() -> None:
    """Neither contract exposes a function that only one account could call, or that makes money."""
    exposed = {entry["name"] for name in ("Token", "LabelMarket") for entry in artifact(name).abi if "name" in entry}
    assert not exposed & {"mint", "set_minter", "burn_from", "owner", "transfer_ownership", "pause", "upgrade"}

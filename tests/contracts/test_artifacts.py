"""What the package ships is what the sources compile to."""

from __future__ import annotations

import subprocess
import sys

import pytest
from eth_abi import encode

from p2pfd.core.ids import account_bytes
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.deployments import RECIPES, Recipe, Setting
from tests.contracts.chain import Contracts
from tests.contracts.compiler import BUILD, ROOT, SOURCES, building

MAX_CODE = 24_576  # EIP-170
ARTIFACTS = ROOT / "p2pfd" / "settlement" / "artifacts"
CONTRACTS = sorted(path.stem for path in ARTIFACTS.glob("*.json"))
MODULES = {"papers", "purse", "registry", "rounds", "serum", "staking"}


def test_every_contract_is_shipped_and_named_with_its_sources() -> None:
    sources = {path.stem for path in SOURCES.glob("*.vy")}
    assert set(CONTRACTS) == set(building().PARTS) == sources - MODULES
    for name, parts in building().PARTS.items():
        assert set(parts) == imported(name), name


def imported(name: str) -> set[str]:
    """The files of ours that a contract is made of."""
    found, waiting = set[str](), [f"{name}.vy"]
    while waiting:
        source = waiting.pop()
        found.add(source)
        lines = (SOURCES / source).read_text().splitlines()
        if source == f"{name}.vy" or source != "Court.vy":  # a market asks the court, and holds only its interface
            ours = {f"{line.removeprefix('import ').strip()}.vy" for line in lines if line.startswith("import ")}
            waiting += ours - found
    return found


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_shipped_contract_is_what_its_sources_compile_to(name: str) -> None:
    """Byte for byte, with its interface, the digests of its sources, and the versions of all that had a part in it."""
    assert building().artifact(name) == (ARTIFACTS / f"{name}.json").read_text(), "run python contracts/build.py"


def test_the_script_says_what_is_stale_and_writes_nothing() -> None:
    command = [sys.executable, str(BUILD), "--check", "Token"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", CONTRACTS)
def test_contracts_are_small_enough_for_public_chains(name: str) -> None:
    """As they stand on a chain: the constants that a deployment sets lie behind the code."""
    shipped, chain = artifact(name), Contracts({})
    kinds = [given["type"] for entry in shipped.abi if entry["type"] == "constructor" for given in entry["inputs"]]
    at = chain.deploy(shipped.bytecode + encode(kinds, [1 if kind == "uint256" else chain.token for kind in kinds]))
    code = len(chain.ledger.code(account_bytes(at)))
    assert shipped.runtime_bytes <= code <= MAX_CODE


def has_no_special_right(contract: Artifact) -> None:
    exposed = {entry["name"] for entry in contract.abi if "name" in entry}
    assert not exposed & {"mint", "set_minter", "burn_from", "owner", "transfer_ownership", "pause", "upgrade"}


@pytest.mark.parametrize("name", CONTRACTS)
def test_nobody_has_a_special_right(name: str) -> None:
    """No contract exposes a function that only one account could call, or that makes money."""
    has_no_special_right(artifact(name))


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.contract for recipe in RECIPES])
def test_a_recipe_gives_its_constructor_what_it_takes(recipe: Recipe) -> None:
    made = [entry["inputs"] for entry in artifact(recipe.contract).abi if entry["type"] == "constructor"]
    takes = [part["type"] for inputs in made for part in inputs]
    gives = ["uint256" if isinstance(argument, Setting) else "address" for argument in recipe.arguments]
    assert gives == takes
    before = [other.contract for other in RECIPES[: RECIPES.index(recipe)]]
    assert {argument for argument in recipe.arguments if isinstance(argument, str)} <= set(before)

"""How the sources are written: documented, with a reason for each refusal, of modules that say what they need."""

from __future__ import annotations

import re

import pytest
import vyper.ast as vy

from tests.contracts.compiler import SOURCES
from tests.contracts.sources import NAMES, declared, decorators, functions, imports, reasons, tree

CONTRACTS = {"Token", "LabelMarket", "OptimisticMarket", "SampledMarket", "Court", "Encounters"}
MODULES = set(NAMES) - CONTRACTS
SHARED = "market"
"""The label markets and their court refuse in one voice, whichever file it is that checks."""
SPEAKS = {"Court": SHARED, "LabelMarket": SHARED, "OptimisticMarket": SHARED, "SampledMarket": SHARED, "rounds": SHARED}
REASON_BYTES = 32


@pytest.mark.parametrize("name", NAMES)
def test_every_source_says_what_it_is(name: str) -> None:
    text = tree(name).doc_string.value
    assert {"@title", "@license", "@notice"} <= set(re.findall(r"@\w+", text))
    assert (SOURCES / f"{name}.vy").read_text().startswith("# pragma version 0.4.3\n")


@pytest.mark.parametrize("name", NAMES)
def test_every_external_function_is_documented(name: str) -> None:
    """Notice, each parameter by its name and in order, and what is returned; constructors too."""
    for function in [*functions(name, "external"), *functions(name, "deploy")]:
        where = f"{name}.{function.name}"
        assert function.doc_string is not None, where
        text = function.doc_string.value
        assert re.search(r"@notice \S", text), where
        said = re.findall(r"@param (\w+) \S", text)
        assert said == [given.arg for given in function.args.args], where
        assert ("@return" in text) == (function.returns is not None), where


@pytest.mark.parametrize("name", NAMES)
def test_what_is_internal_is_not_exposed_and_the_other_way_round(name: str) -> None:
    for function in functions(name):
        kinds = decorators(function) & {"external", "internal", "deploy"}
        assert len(kinds) == 1, f"{name}.{function.name}"
        assert function.name.startswith("_") == (kinds != {"external"}), f"{name}.{function.name}"


@pytest.mark.parametrize("name", NAMES)
def test_every_refusal_has_a_reason_of_its_module(name: str) -> None:
    found = list(reasons(name))
    assert None not in found, "a refusal without a reason"
    for reason in found:
        assert reason is not None
        assert re.fullmatch(SPEAKS.get(name, name.lower()) + r": [a-z][a-z' ]+", reason), reason
        assert len(reason.encode()) <= REASON_BYTES, reason


def test_the_reasons_are_really_looked_at() -> None:
    assert {name for name in NAMES if any(reasons(name))} == set(NAMES) - {"Token", "papers", "serum"}
    assert sum(len(list(reasons(name))) for name in NAMES) > 100


@pytest.mark.parametrize("name", NAMES)
def test_modules_are_initialised_used_and_exported(name: str) -> None:
    """Contracts initialise the modules whose state they have; a module only says whose state it needs."""
    stateful = {module for module in imports(name) if module in MODULES and has_state(module)}
    if name in MODULES:
        assert declared(name, "UsesDecl") == stateful
        assert not declared(name, "InitializesDecl")
        assert not declared(name, "ExportsDecl")
        return
    needed = stateful | {inner for module in stateful for inner in declared(module, "UsesDecl")}
    ours = {module for module in declared(name, "InitializesDecl") if module in MODULES}
    assert ours == needed
    written = (SOURCES / f"{name}.vy").read_text()
    assert all(f"    {module}.__init__(" in written for module in ours if functions(module, "deploy"))
    exported = {part.split(".")[0] for part in declared(name, "ExportsDecl")}
    assert {module for module in ours if functions(module, "external")} <= exported


def has_state(module: str) -> bool:
    return any(not each.is_constant for each in tree(module).get_children(vy.VariableDecl))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_what_a_module_offers_is_taken_by_some_contract(name: str) -> None:
    exported = {part for contract in CONTRACTS for part in declared(contract, "ExportsDecl")}
    assert {f"{name}.{function.name}" for function in functions(name, "external")} <= exported


def test_nothing_decides_by_a_balance_that_anybody_can_change_or_by_what_producers_choose() -> None:
    for name in NAMES:
        text = (SOURCES / f"{name}.vy").read_text()
        code = "\n".join(line.split("#")[0] for line in text.splitlines())
        code = re.sub(r'""".*?"""', "", code, flags=re.DOTALL)
        assert not re.search(r"balanceOf\(|self\.balance|prevrandao|block\.difficulty|tx\.origin|selfdestruct", code), (
            name
        )

"""The first moments of `localnet`: what is imported before a command begins."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from p2pfd_localnet.main import AT_ONCE
from p2pfd_localnet.program import PROGRAM

HEAVY = ("torch", "libp2p", "eth_abi", "eth_utils", "pydantic", "rich", "sklearn", "eth")


@pytest.mark.parametrize("name", sorted(AT_ONCE))
def test_a_command_that_is_imported_alone_is_the_programs(name: str) -> None:
    module, _, attribute = AT_ONCE[name].partition(":")
    found = getattr(importlib.import_module(f"p2pfd_localnet.{module}"), attribute)
    assert found in PROGRAM.commands
    assert found.name == name


def test_the_commands_of_a_meshs_life_import_nothing_heavy() -> None:
    """Of what takes long to import nothing is needed before the mesh itself is, which imports it beside its nodes."""
    modules = ", ".join(sorted({f"p2pfd_localnet.{where.partition(':')[0]}" for where in AT_ONCE.values()}))
    asked = f"import sys, {modules}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

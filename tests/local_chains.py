"""Chains of other makers in tests: skipped with the reason where they are not installed, and a failure in CI."""

from __future__ import annotations

import os

import pytest

from p2pfd.settlement.local import Program, find


def need(program: Program) -> None:
    """Go on only where this chain is there."""
    if find(program) is not None:
        return
    reason = f"there is no {program.name} here: make chains fetches it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)

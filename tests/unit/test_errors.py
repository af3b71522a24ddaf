"""Errors on their way from one process to another."""

from __future__ import annotations

import json

import pytest

from p2pfd.cli.exits import KINDS
from p2pfd.errors import ChainError, P2pfdError, PlanError, error_of
from p2pfd.settlement.rpc import RpcRefusal


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS], ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_after_its_way(kind: type[P2pfdError]) -> None:
    there = error_of(json.loads(json.dumps(kind("what", "fix").to_plain())))
    assert (type(there), there.what, there.fix) == (kind, "what", "fix")


def test_a_finer_kind_arrives_as_the_one_that_has_an_exit_code() -> None:
    there = error_of(RpcRefusal("eth_call", 3, "what", b"").to_plain())
    assert type(there) is ChainError


@pytest.mark.parametrize("told", [{}, {"kind": "error_of"}, {"kind": 3, "error": None}, {"kind": "P2pfdError"}])
def test_a_table_that_makes_no_sense_is_an_error_all_the_same(told: dict[str, object]) -> None:
    assert type(error_of(told)) is P2pfdError
    assert type(error_of({**told, "kind": "PlanError"})) is PlanError

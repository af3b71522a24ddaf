"""The terms of encounters in a task: each wrong one is named, with what would be right."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from p2pfd.core.encounter_spec import EncounterSpec
from p2pfd.core.spec import NO_CHAIN, TaskSpec, from_plain
from p2pfd.errors import PlanError
from tests.unit.core.test_spec import CHANGES, PLAIN

TERMS: dict[str, Any] = CHANGES["encounters"]  # type: ignore[assignment]
FIELDS = [entry.name for entry in dataclasses.fields(EncounterSpec)]


def _with(**changes: object) -> TaskSpec:
    return from_plain({**PLAIN, "encounters": {**TERMS, **changes}})


def test_terms_survive_their_plain_form_and_are_part_of_the_tasks_id() -> None:
    spec = _with()
    assert spec.encounters == EncounterSpec(**TERMS)
    assert from_plain(spec.to_plain()) == spec
    other = {"rule": "paper", "learn_seconds": 601, "stake": 2001, "longest": 1001, "margin_seconds": 61}
    ids = {spec.id}
    for name in FIELDS:
        ids.add(_with(**{name: other[name] if name in other else TERMS[name] - 1}).id)
    assert len(ids) == len(FIELDS) + 1


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "value", [None, 1.5, [], b"x", True, -1, 2**5000, "x" * 10_000], ids=lambda v: type(v).__name__
)
def test_odd_terms_are_refused_in_a_sentence(name: str, value: object) -> None:
    with pytest.raises(PlanError) as caught:
        _with(**{name: value})
    assert f"encounters.{name}" in str(caught.value)
    assert caught.value.fix
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"own": 0}, "encounters.own is 0"),
        ({"prepayment": 1001}, "encounters.prepayment is 1001"),
        ({"stake": 599}, "encounters.stake is 599"),
        ({"threshold": 2001}, "encounters.stake is 2000"),
        ({"size": 8}, "encounters.size is 8"),
        ({"share": 0}, "encounters.share is 0"),
        ({"unbond_seconds": 999}, "encounters.unbond_seconds is 999"),
        ({"margin_seconds": 600}, "encounters.margin_seconds is 600"),
        ({"rule": "harsh"}, "encounters.rule is 'harsh'"),
        ({"learn_seconds": 701}, "encounters would last 1001 seconds, and encounters.longest is 1000"),
        ({"colour": 1}, "encounters has no key 'colour'"),
    ],
    ids=str,
)
def test_terms_that_cannot_be_kept_are_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        _with(**changes)


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_term_is_named(name: str) -> None:
    with pytest.raises(PlanError, match=rf"encounters\.{name} is missing"):
        from_plain({**PLAIN, "encounters": {key: value for key, value in TERMS.items() if key != name}})


def test_encounters_need_a_chain() -> None:
    with pytest.raises(PlanError, match="encounters are settled, and the task names no chain"):
        dataclasses.replace(_with(), chain=NO_CHAIN)

"""The page on roles says what the machines do, and their tables hold together."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from p2pfd.roles.encounter.part import OVER, Part
from p2pfd.roles.encounter.tables import PARTS

ROOT = Path(__file__).parents[4]


def test_the_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("roles_page", ROOT / "tools" / "roles_page.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = (ROOT / "docs" / "reference" / "roles.md").read_text(encoding="utf-8")
    assert page == tool.with_tables(page), "run python tools/roles_page.py"


@pytest.mark.parametrize("part", PARTS, ids=[part.__name__ for part in PARTS])
def test_every_rule_has_a_handler_and_every_stage_a_way_in_and_out(part: type[Part]) -> None:
    stages = {stage for rule in part.rules for stage in rule.at}
    reached = {stage for rule in part.rules for stage in rule.to}
    first = part.rules[0].at[0]
    assert reached - stages == {OVER}
    assert stages - reached <= {first}
    for rule in part.rules:
        assert callable(getattr(part, rule.by)), rule
        assert rule.does
    for stage in stages:
        leaves = {end for rule in part.rules if stage in rule.at for end in rule.to}
        assert leaves - {stage}, f"{part.__name__} never leaves {stage}"


@pytest.mark.parametrize("part", PARTS[1:], ids=[part.__name__ for part in PARTS[1:]])
def test_no_stage_waits_for_peers_alone(part: type[Part]) -> None:
    """Each can be left without any peer saying anything: by a timer, the chain, or one's own work."""
    for stage in {stage for rule in part.rules for stage in rule.at}:
        alone = [rule for rule in part.rules if stage in rule.at and rule.to and " " in rule.on]
        assert alone, f"{part.__name__} waits for a message in {stage}"


def test_two_rules_for_one_thing_are_refused() -> None:
    rule = PARTS[0].rules[0]
    with pytest.raises(TypeError, match="two rules"):
        type("Twice", (Part,), {"role": "twice", "rules": (rule, rule)})

"""The page of the plan file names every key with its default, and its example can be carried out."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from p2pfd_localnet import chaos, checks
from p2pfd_localnet.deeds import KEYS, KINDS
from p2pfd_localnet.plan import CHAINS, Plan
from p2pfd_localnet.planfile import HIDDEN, from_file
from p2pfd_localnet.presets import find

from p2pfd.core.encounter_claims import MAX_SIZE, RULES
from p2pfd.core.spec import MOST_NODES

PAGE = (Path(__file__).parents[3] / "docs/reference/plan-file.md").read_text(encoding="utf-8")
SECTIONS = {
    re.sub(r"\W", "", head): body
    for head, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def rows(section: str) -> dict[str, list[str]]:
    """By key, the further cells of its line."""
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", SECTIONS[section], re.MULTILINE)
    return {key: [cell.strip() for cell in rest.split("|")] for key, rest in lines}


def shown(value: object) -> str:
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def test_the_top_of_the_file_has_every_key_with_its_default():
    digits = find("digits")
    keys = [entry.name for entry in dataclasses.fields(Plan) if entry.name not in HIDDEN]
    plain = [key for key in keys if key not in ("settings", "attack", "data", "phases", "money", "encounters")]
    found = rows("Topofthefile")
    assert {*found} == {"preset", *plain}
    assert {key: found[key][0] for key in plain} == {key: shown(getattr(digits, key)) for key in plain}
    assert {"settings", "attack", "data", "phases", "money", "encounters", "chaos"} <= {*SECTIONS}
    assert all(f'`"{chain}"`' in found["chain"][1] for chain in CHAINS)
    assert f"1 to {MOST_NODES}; {checks.market.MAX_SEATS} with a market" in found["nodes"]


@pytest.mark.parametrize(
    ("table", "preset"), [("data", "digits"), ("phases", "digits"), ("money", "digits"), ("encounters", "encounters")]
)
def test_every_table_has_every_key_with_its_default(table, preset):
    record = getattr(find(preset), table)
    wanted = {entry.name: shown(getattr(record, entry.name)) for entry in dataclasses.fields(record)}
    wanted.pop("own", None)
    assert {key: cells[0] for key, cells in rows(table).items()} == wanted


def test_legal_values_are_the_codes():
    assert f"1 to {MAX_SIZE}" in rows("encounters")["size"]
    assert ", ".join(f'`"{rule}"`' for rule in RULES) in rows("encounters")["rule"]
    found = rows("chaos")
    assert {*found} == {"at", "do"}
    assert found["do"][0] == ", ".join(f'`"{kind}"`' for kind in (*KINDS, chaos.CHURN))
    others = {key for keys in KEYS.values() for key in keys} - {"cut"}
    assert all(f"`{key}`" in SECTIONS["chaos"] for key in others | {*chaos.TIMES, *chaos.CHURN_KEYS})


def test_its_example_can_be_carried_out(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    plan = from_file(path)
    checks.check(plan)
    checks.check_data(plan)
    assert [str(act) for act in plan.chaos] == ["at round>=2: kill node-3 for 5 s"]

"""The specification says what there is: every function, every reason for a refusal, every test that it names."""

from __future__ import annotations

import re
from functools import cache

import pytest

from p2pfd.settlement.artifacts import artifact
from tests.bench import gas_calls
from tests.contracts.compiler import ROOT, SOURCES
from tests.contracts.sources import NAMES, reasons
from tests.contracts.test_artifacts import CONTRACTS

SPEC = (SOURCES / "SPEC.md").read_text()
CODE = set(re.findall(r"`([^`\n]+)`", SPEC))
MODULES = ("market", "staking", "purse", "registry", "encounters")


def section(heading: str) -> str:
    """What stands below a heading, up to the next one of its rank."""
    begun = SPEC.index(f"\n{heading}\n")
    rank = heading.split(" ")[0]
    end = re.search(rf"^#{{1,{len(rank)}}} ", SPEC[begun + len(heading) + 2 :], re.MULTILINE)
    return SPEC[begun:] if end is None else SPEC[begun : begun + len(heading) + 2 + end.start()]


@cache
def known_tests() -> frozenset[str]:
    found = set[str]()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found |= set(re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE))
    return frozenset(found)


def test_every_test_that_is_named_exists() -> None:
    named = {code for code in CODE if code.startswith("test_")}
    assert len(named) > 80
    assert named <= known_tests(), named - known_tests()


def test_every_reason_is_there_and_none_that_nobody_gives() -> None:
    given = {reason for name in NAMES for reason in reasons(name) if reason is not None}
    named = {code for code in CODE if re.match(rf"(?:{'|'.join(MODULES)}): ", code)}
    assert named == given, (named - given, given - named)


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_function_is_there(name: str) -> None:
    """In the tables at the end those that change something, with who may; beside them those that only read."""
    functions = [entry for entry in artifact(name).abi if entry["type"] == "function"]
    changing = {entry["name"] for entry in functions if entry["stateMutability"] not in ("view", "pure")}
    reading = {entry["name"] for entry in functions} - changing
    end = section("# Every function")
    if name in ("Token", "Court"):
        (line,) = (line for line in end.splitlines() if line.startswith(f"`{name}`"))
        assert set(re.findall(r"`(\w+)`", line)) == changing | reading | {name}
        return
    table = end[end.index(f"| `{name}` | who | gas |") :].split("\n\n")[0]
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert {row[0].strip("| `") for row in rows} == changing
    assert all(row[1] for row in rows)
    (line,) = (line for line in end.splitlines() if line.startswith(f"Reads of `{name}`: "))
    assert set(re.findall(r"`(\w+)`", line.split(": ")[1])) == reading


@pytest.mark.long
@pytest.mark.parametrize("name", ["LabelMarket", "OptimisticMarket", "SampledMarket", "Encounters"])
def test_every_function_costs_what_is_said(name: str) -> None:
    """`python -m tests.bench.gas_calls` prints them anew."""
    end = section("# Every function")
    table = end[end.index(f"| `{name}` | who | gas |") :].split("\n\n")[0]
    for function, (least, most) in gas_calls.figures(name).items():
        (row,) = (line for line in table.splitlines() if line.startswith(f"| `{function}` | "))
        assert row.endswith(f" | {least:,}–{most:,} |"), row


@pytest.mark.parametrize("heading", ["## Threats", "## The optimistic market", "## The sampled market"])
def test_every_threat_is_answered_by_a_test_or_said_not_to_be_prevented(heading: str) -> None:
    threats_are_answered(section(heading))


def test_every_threat_to_encounters_is_answered_too() -> None:
    threats_are_answered(section("## Threats to encounters"))


def threats_are_answered(text: str) -> None:
    table = text[text.index("| threat | answer | shown by |") :].split("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert len(rows) >= 10
    for threat, answer, shown in rows:
        assert re.fullmatch(r"`test_\w+`(?:, `test_\w+`)*", shown) or (
            shown == "–" and re.search("[Nn]ot prevented|nothing", answer)
        ), threat


@pytest.mark.parametrize("heading", ["# Every time-out", "# Every invariant"])
def test_every_time_out_and_every_invariant_is_shown_by_a_test(heading: str) -> None:
    rows = [line for line in section(heading).splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 10
    for row in rows:
        assert re.search(r"`test_\w+` \|$", row), row


def test_every_length_that_the_terms_fix_is_a_time_out() -> None:
    text = section("# Every time-out")
    fields = {"enrol_seconds", "commit_seconds", "reveal_seconds", "challenge_seconds", "dispute_seconds"}
    fields |= {"open_by", "learn_by", "vote_seconds", "longest", "unbond_seconds"}
    assert all(f"`{field}`" in text for field in fields)


def test_the_files_are_all_named() -> None:
    head = SPEC.split("\n## ")[0]
    assert {code.removesuffix(".vy") for code in re.findall(r"`(\w+\.vy)`", head)} == set(NAMES)

"""Every key of a plan file, dropped, renamed, misspelt, doubled and given a value of another kind: told, and where."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from p2pfd_localnet import checks
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.planfile import HIDDEN, blaming, from_file

from p2pfd.errors import PlanError

WHOLE = """preset = "digits"
name = "mine"
nodes = 6
spare = 2
rounds = 5
seed = 42
chain = "embedded"
adapter = "mixed"
partners = 0
aggregator = "serum"
codecs = []
learners = ["linear8", "mlp8"]
metrics = "127.0.0.1:0"
quorum = 4

[data]
name = "digits"
partition = "dirichlet:0.5"
public = 320
validation = 150
test = 300
private = 600
public_from = ""

[phases]
enrol_seconds = 60
commit_seconds = 60
reveal_seconds = 30

[money]
pot = 400000000
rate = 4000000
bond = 100000000
forfeit = 20000000

[settings]
epochs = 3
trust = "surplus"
gate = true
rate = "0.05"

[attack]
collude = 1
"constant:3" = "20%"

[[chaos]]
at = "round>=2"
do = "churn"
for = 20
share = "25%"
least = 3
most = 6

[[chaos]]
at = 5
do = "loss"
share = "20%"
to = 9.5
"""
MEETING = """preset = "encounters"
nodes = 7

[encounters]
prepayment = 10000000
stake = 60000000
bond = 100000000
threshold = 20000000
longest = 1200
unbond_seconds = 1200
share = 700000
size = 3
rule = "serum"
tolerance = 20000
open_seconds = 60
learn_seconds = 600
vote_seconds = 120
margin_seconds = 60
"""
ODD = {
    "text": '"wrong"',
    "empty": '""',
    "long": '"' + "x" * 400 + '"',
    "negative": "-1",
    "huge": "9" * 300,
    "hexadecimal": "0x" + "f" * 6000,
    "fraction": "0.5",
    "nan": "nan",
    "infinite": "-inf",
    "true": "true",
    "list": "[1, 2]",
    "names": '["x", "y"]',
    "lists": "[[[[]]]]",
    "table": "{ a = 1 }",
    "date": "1979-05-27",
}
"""Values that are wrong nearly everywhere."""
TOP = [entry.name for entry in dataclasses.fields(Plan) if entry.name not in HIDDEN]


LEGAL = {"settings": ["epochs", "trust"], "attack": ["collude", "copy"], "chaos": ["at", "for", "do", "share"]}
"""Some of the legal names of tables whose keys are no plan's own."""


def lines_of(text: str) -> list[tuple[int, str]]:
    """The lines with a key, and the key as an error spells it."""
    found, table = [], ""
    for number, line in enumerate(text.split("\n"), start=1):
        header, key = re.match(r"\[+(\w+)\]+$", line), re.match(r'("[^"]+"|\w+) = ', line)
        if header:
            table = header[1] + "."
        elif key:
            found.append((number, table + key[1].strip('"')))
    return found


CASES = [(text, number, key) for text in (WHOLE, MEETING) for number, key in lines_of(text)]
DEEP = ("settings", "attack", "adapter", "data", "learners", "name", "codecs")
"""Keys and tables of which more is known once data and adapter are here."""
LATE = [case for case in CASES if case[2].partition(".")[0] in DEEP]
EARLY = [case for case in CASES if case not in LATE]
IDS = [f"{key}-{number}" for _, number, key in CASES]


def changed(text: str, number: int, line: str) -> str:
    rows = text.split("\n")
    rows[number - 1] = line
    return "\n".join(rows)


def said(tmp_path: Path, text: str, *, whole: bool = False) -> PlanError | None:
    """What a plan file is told, up to the check of its numbers, or of all; None where it can be carried out."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    try:
        found = from_file(path)
        with blaming(found):
            checks.check(found)
            if whole:
                checks.check_data(found)
    except PlanError as error:
        return error
    return None


@pytest.mark.parametrize("text", [WHOLE, MEETING], ids=["rounds", "encounters"])
def test_the_files_that_are_made_wrong_are_right(tmp_path, text):
    assert said(tmp_path, text, whole=True) is None


def test_the_file_has_every_key():
    value = tomllib.loads(WHOLE)
    assert {*value} - {"preset", "chaos"} == {*TOP} - {"encounters"}
    for table in ("data", "phases", "money"):
        kind = getattr(Plan(name="x"), table)
        assert {*value[table]} == {entry.name for entry in dataclasses.fields(kind)}
    kind = Plan(name="x").encounters
    assert {*tomllib.loads(MEETING)["encounters"], "own"} == {entry.name for entry in dataclasses.fields(kind)}


@pytest.mark.parametrize(("text", "number", "key"), CASES, ids=IDS)
def test_a_key_that_is_misspelt_or_renamed_is_told_with_the_legal_ones_and_its_line(tmp_path, text, number, key):
    table, _, name = key.rpartition(".")
    row = text.split("\n")[number - 1]
    name = name.partition(":")[0]
    for wrong in (name[:-1] + ("z" if name[-1] != "z" else "y"), name + "s_", "zzz", '"a b"', name.upper()):
        _, _, value = row.partition(" = ")
        error = said(tmp_path, changed(text, number, f"{wrong} = {value}"), whole=table in ("settings", "attack"))
        assert error is not None, f"{wrong} was taken"
        told = str(error)
        assert f"mine.toml, line {number}: " in told, told
        assert wrong.strip('"') in told, told
        if table in ("data", "phases", "money", "encounters"):
            legal = [entry.name for entry in dataclasses.fields(getattr(Plan(name="x"), table))]
        else:
            legal = LEGAL.get(table, [*TOP, "preset", "chaos"])
        assert all(known in told for known in legal), told


@pytest.mark.parametrize(("text", "number", "key"), CASES, ids=IDS)
def test_a_key_that_stands_there_twice_is_told_with_its_line(tmp_path, text, number, key):
    row = text.split("\n")[number - 1]
    error = said(tmp_path, changed(text, number, f"{row}\n{row}"))
    assert error is not None
    assert f"mine.toml, line {number + 1}: " in error.what
    assert key.rpartition(".")[2].partition(":")[0] in error.what
    assert "twice" in error.what


@pytest.mark.parametrize(("text", "number", "key"), CASES, ids=IDS)
def test_a_key_that_is_left_out_is_the_presets(tmp_path, text, number, key):
    error = said(tmp_path, changed(text, number, ""))
    if error is not None:  # an act without its moment; a number that, with what is said here, is out of range
        assert "mine.toml" in error.what
        assert error.fix


FINE = {
    ("name", "text"),
    ("metrics", "empty"),
    ("data.public_from", "empty"),
    ("settings.gate", "true"),
    *((f"chaos.{key}", "fraction") for key in ("at", "for", "share", "least")),
}
"""What is a legal value after all."""


def check_odd(tmp_path: Path, text: str, number: int, key: str, *, whole: bool) -> None:
    left, _, _ = text.split("\n")[number - 1].partition(" = ")
    for odd, value in ODD.items():
        error = said(tmp_path, changed(text, number, f"{left} = {value}"), whole=whole)
        if error is None:
            assert (key, odd) in FINE, f"{key} = {value} was taken"
            continue
        told = str(error)
        if odd == "fraction" and key in ("chaos.most", "chaos.to"):  # which is told of the two that do not fit together
            assert "mine.toml, line " in told
            continue
        assert f"mine.toml, line {number}: " in told, told
        assert key in told or key.rpartition(".")[2] in told, told
        assert error.fix, told
        assert len(told) < 1500


@pytest.mark.parametrize(("text", "number", "key"), EARLY, ids=[f"{key}-{number}" for _, number, key in EARLY])
def test_a_value_of_another_kind_is_told_with_its_key_and_line(tmp_path, text, number, key):
    check_odd(tmp_path, text, number, key, whole=False)


@pytest.mark.long
@pytest.mark.parametrize(("text", "number", "key"), LATE, ids=[f"{key}-{number}" for _, number, key in LATE])
def test_a_value_that_only_data_or_adapter_can_judge_is_told_as_well(tmp_path, text, number, key):
    check_odd(tmp_path, text, number, key, whole=True)

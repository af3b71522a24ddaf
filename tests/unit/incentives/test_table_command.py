"""`p2pfd incentives table`: one object on one line, a table for people, and hints for whoever mistypes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from p2pfd.cli.incentives import INCENTIVES
from p2pfd.cli.program import PROGRAM
from p2pfd.incentives.strategies.rules import IN_USE, RULES

SMALL = ["--rounds", "4", "--workers", "4", "--classes", "3", "--samples", "10", "--validators", "3", "--window", "5"]


def test_json_is_one_object_on_one_line_and_the_seed_decides_it(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for seed in ("7", "7", "8"):
        assert PROGRAM.main(["incentives", "table", "--json", "--seed", seed, *SMALL]) == 0
        out = capsys.readouterr().out
        assert out.count("\n") == 1
        seen.append(json.loads(out))
    first, again, other = seen
    assert first["schema"] == 1
    assert first["rules"] == ["labels", "paper", "symmetric", "serum"]
    assert (first["accuracy"], first["valid"], first["workers"]) == (0.8, 0.9, 4)
    assert first["cells"] == again["cells"] != other["cells"]
    fields = {"strategy", "rule", "pay", "half", "honest", "gain", "gain_half", "beside", "best", "needs", "exact"}
    assert all(cell.keys() == fields for cell in first["cells"])
    assert {cell["best"] for cell in first["cells"]} <= {"yes", "no", "within noise", None}
    assert {cell["rule"] for cell in first["cells"] if cell["exact"]} == {"paper", "symmetric"}


def test_people_see_a_row_for_each_strategy(capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main(["incentives", "table", "--rule", "paper", "--rule", "paper", "--plain", *SMALL]) == 0
    out = capsys.readouterr().out
    assert out.count("lazy: always invalid  ") == 1
    assert "0.3333" in out, "a third of the prepayment, whatever the others vote"
    assert "done    23 cells" in out


def test_a_large_committee_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["incentives", "table", "--json", "--rule", "symmetric", "--rounds", "3", "--validators", "9"]
    assert PROGRAM.main(words) == 0
    assert not any(cell["exact"] for cell in json.loads(capsys.readouterr().out)["cells"])


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["tabel"], "did you mean table?"),
        (["table", "--rule", "serums"], "did you mean serum?"),
        (["table", "--accuracy", "much"], "write 0.8 or 80%"),
        (["table", "--accuracy", "180%"], "between 0 and 1"),
        (["table", "--accuracy", "nan"], "between 0 and 1"),
        (["table", "--workers", "1"], "between 2 and 64"),
        (["table", "--round", "3"], "did you mean --rounds?"),
    ],
)
def test_wrong_words_end_with_2_and_a_hint(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main(["incentives", *words, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert hint in error["what"] + error["fix"]


def test_its_rules_are_all_there_are() -> None:
    text = "".join(INCENTIVES.parser("p2pfd").format_help().split())  # a narrow terminal breaks words at their hyphens
    for rule in RULES:
        assert rule in text
    assert RULES[:4] == IN_USE


def test_extremes_are_played_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A seat that always errs, or never, and encounters that are all valid, or none."""
    for accuracy in ("0", "1"):
        for valid in ("0", "100%"):
            words = ["incentives", "table", "--json", *SMALL, "--accuracy", accuracy, "--valid", valid]
            assert PROGRAM.main([*words, "--rule", "serum", "--rule", "labels-median", "--rule", "paper"]) == 0
            assert len(json.loads(capsys.readouterr().out)["cells"]) == 20 + 23 + 23


@pytest.mark.long
def test_the_tables_in_the_docs_are_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs/explanation/incentives.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ p2pfd (incentives .*)$", page, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert PROGRAM.main(command.split()) == 0
        for line in capsys.readouterr().out.splitlines():
            if not line.startswith(("play ", "done ")):  # these two tell the time
                assert f"\n{line}\n" in page

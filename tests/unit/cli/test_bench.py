"""`p2pfd bench` measures once, goes on where it was, and says what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p2pfd.cli.program import PROGRAM

WORDS = ["bench", "learning", "headline", "--data", "digits", "--rounds", "1", "--seeds", "5"]


def test_a_table_is_measured_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*WORDS, "--cache", str(tmp_path / "cache"), "--plot", str(tmp_path / "plot.svg")]
    assert PROGRAM.main(words) == 0
    first = capsys.readouterr()
    assert "| cfd |" in first.out
    assert "4 of 4 meshes measured now" in first.out
    assert first.err.count("round 1 of 1") == 4
    figures = json.loads(first.out.splitlines()[-1])
    assert figures["seeds"] == [5]
    assert figures["cfd_kb"] < figures["fedavg_kb"] / 100
    drawn = (tmp_path / "plot.svg").read_text()
    assert drawn.startswith("<svg")
    assert "FedAvg" in drawn
    assert "alone" not in drawn

    assert PROGRAM.main([*words, "--json"]) == 0
    again = capsys.readouterr()
    assert "0 of 4 meshes measured now" in again.err
    assert json.loads(again.out) == {"schema": 1, **figures}


def test_a_setting_may_differ_from_the_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*WORDS, "--rows", "cfd", "--cache", str(tmp_path / "cache"), "--json"]
    quick = [*words, "--set", "distil_epochs=1", "--set", "adjust=false", "--set", "noise=0.1"]
    assert PROGRAM.main([*quick, "--set", "net=tiny8"]) == 0
    small = json.loads(capsys.readouterr().out)
    assert PROGRAM.main([*quick, "--set", "net=linear8"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert small["cfd_accuracy"] != other["cfd_accuracy"]


@pytest.mark.parametrize("text", ["net", "nets=mlp8", "net=vgg", "batch=many", "gate=1", "noise=9", "epochs=3"])
def test_a_setting_that_cannot_be_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main([*WORDS, "--rows", "cfd", "--set", text, "--cache", str(tmp_path / "cache")]) not in (0, 1)
    said = capsys.readouterr().err
    assert text.partition("=")[0] in said
    assert "Traceback" not in said


def test_data_that_is_nowhere_is_said_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P2PFD_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nothing listens there
    assert PROGRAM.main(["bench", "learning", "headline", "--cache", str(tmp_path / "cache")]) == 9
    said = capsys.readouterr().err
    assert "fashion" in said
    assert "round" not in said


@pytest.mark.parametrize(
    "words", [["bench"], ["bench", "learning"], ["bench", "learning", "tables"], [*WORDS, "--rounds", "0"]]
)
def test_what_makes_no_sense_is_a_usage_error(words: list[str]) -> None:
    assert PROGRAM.main(words) == 2

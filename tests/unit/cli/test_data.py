"""`p2pfd data`: what there is, where it lies, and whether one's own files will do."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from p2pfd.cli.program import PROGRAM
from p2pfd.core.spec import DataSpec
from p2pfd.learning.data import deal
from p2pfd.learning.local import local_model

Capture = pytest.CaptureFixture[str]
WINE = "acid,sugar,salt,quality\n" + "".join(f"{i / 4},{-i},1,{('good', 'bad', 'odd')[i % 3]}\n" for i in range(60))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("P2PFD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def told(capsys: Capture, *words: str) -> dict[str, object]:
    """What a command says with --json, once it has succeeded."""
    assert PROGRAM.main(["data", *words, "--json"]) == 0
    value: dict[str, object] = json.loads(capsys.readouterr().out)
    return value


def refused(capsys: Capture, code: int, *words: str) -> str:
    assert PROGRAM.main(["data", *words]) == code
    return capsys.readouterr().err


def test_the_list_says_what_is_here(home: Path, capsys: Capture) -> None:
    (home / "fashion_mnist.npz").write_bytes(b"x")
    sets = {entry["name"]: entry for entry in told(capsys, "list")["sets"]}  # type: ignore[attr-defined]
    assert set(sets) == {"breast-cancer", "cifar10", "cifar10-jpeg", "digits", "fashion", "mnist"}
    assert sets["digits"]["place"] == "scikit-learn"
    assert sets["fashion"]["place"] == str(home / "fashion_mnist.npz")
    assert sets["mnist"]["place"] == ""
    assert (sets["cifar10"]["train"], sets["cifar10"]["test"]) == (50_000, 10_000)
    assert PROGRAM.main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert "not here; p2pfd data fetch mnist" in out
    assert "60,000 + 10,000  1 × 28 × 28  10" in out


def test_show_has_lines_that_a_task_file_can_take(capsys: Capture) -> None:
    lines = told(capsys, "show", "digits")["lines"]
    data = tomllib.loads("\n".join(lines))["data"]  # type: ignore[arg-type]
    spec = DataSpec(**{**data, "sha256": bytes.fromhex(data["sha256"])})
    assert len(deal(spec, 4).test) == 359
    assert "no data set 'digit'" in refused(capsys, 3, "show", "digit")


def test_fetch_checks_what_is_here(home: Path, capsys: Capture) -> None:
    assert told(capsys, "fetch", "digits")["place"] == "scikit-learn"
    arrays = {f"{axis}_{part}": np.zeros((2, 28, 28) if axis == "x" else 2, dtype=np.uint8)
              for axis in "xy" for part in ("train", "test")}  # fmt: skip
    np.savez(home / "fashion_mnist.npz", **arrays)
    assert "this machine's copy of fashion has the hash" in refused(capsys, 3, "fetch", "fashion")


def test_fetch_offline_says_what_to_put_where(home: Path, capsys: Capture) -> None:
    said = refused(capsys, 9, "fetch", "mnist")
    assert "train-images-idx3-ubyte.gz" in said
    assert str(home / "mnist") in said


def test_a_table_is_checked_and_then_dealt(home: Path, capsys: Capture) -> None:
    (home / "wine.csv").write_text(WINE)
    found = told(capsys, "check", str(home / "wine.csv"), "--label", "quality")
    assert found["classes"] == {"bad": 20, "good": 20, "odd": 20}
    assert found["notes"] == ["column salt is the same everywhere"]
    assert found["in_place"] is True
    task = tomllib.loads("\n".join(found["lines"]))  # type: ignore[arg-type]
    data = task["data"]
    dealt = deal(DataSpec(**{**data, "sha256": bytes.fromhex(data["sha256"])}), 3)
    assert sum(map(len, dealt.shards)) == 60 - 12 - 6 - 12
    assert local_model(task["settings"], 3).parameters == 4 * 64 + 65 * 3


def test_what_is_odd_is_noted(tmp_path: Path, home: Path, capsys: Capture) -> None:
    (tmp_path / "wine.csv").write_text(WINE + "0,0,1,good\n0,0,1,fair\n")
    words = ["check", str(tmp_path / "wine.csv"), "--label", "quality"]
    assert told(capsys, *words)["notes"] == [
        "class fair has only 1 samples",
        "2 samples are there more than once, so a test sample may also be trained on",
        "column salt is the same everywhere",
    ]
    assert PROGRAM.main(["data", *words]) == 0
    assert f"nodes look for wine.csv in {home}" in capsys.readouterr().out


def test_a_folder_of_pictures_is_checked(tmp_path: Path, capsys: Capture) -> None:
    image = pytest.importorskip("PIL.Image")
    for kind in ("elm", "oak"):
        (tmp_path / "leaves" / kind).mkdir(parents=True)
        for shade in range(12):
            image.new("L", (9, 9), shade + 100 * (kind == "oak")).save(tmp_path / "leaves" / kind / f"{shade}.png")
    found = told(capsys, "check", str(tmp_path / "leaves"), "--side", "8", "--grey")
    assert found["name"] == "folder:leaves:8:grey"
    assert found["classes"] == {"elm": 12, "oak": 12}
    assert found["shape"] == "1 × 8 × 8"
    (tmp_path / "leaves" / "oak" / "bad.png").write_bytes(b"x")
    assert "bad.png is not a picture" in refused(capsys, 3, "check", str(tmp_path / "leaves"))


def test_a_saved_data_set_is_checked(tmp_path: Path, capsys: Capture) -> None:
    arrow = pytest.importorskip("pyarrow")
    (tmp_path / "set").mkdir()
    table = arrow.table({"height": [float(i) for i in range(30)], "label": [i % 2 for i in range(30)]})
    with arrow.ipc.new_stream(tmp_path / "set" / "data.arrow", table.schema) as stream:
        stream.write_table(table)
    (tmp_path / "set" / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    found = told(capsys, "check", str(tmp_path / "set"))
    assert found["name"] == "arrow:set:label"
    assert found["classes"] == {"0": 15, "1": 15}


def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "wine.csv").write_text(WINE + "1,2,x,good\n")
    path = str(tmp_path / "wine.csv")
    assert f"{path} line 62, column 'salt': 'x' is no number" in refused(capsys, 3, "check", path, "--label", "quality")
    assert "which column is the label" in refused(capsys, 2, "check", path)
    assert "has no column 'colour'" in refused(capsys, 3, "check", path, "--label", "colour")
    assert "there is no" in refused(capsys, 3, "check", str(tmp_path / "none"))
    (tmp_path / ("w" * 60 + ".csv")).write_text(WINE)
    long = str(tmp_path / ("w" * 60 + ".csv"))
    assert "too long for a task" in refused(capsys, 3, "check", long, "--label", "quality")
    (tmp_path / ".wine.csv").write_text(WINE)
    assert "name is" in refused(capsys, 3, "check", str(tmp_path / ".wine.csv"), "--label", "quality")


def test_the_page_shows_what_the_command_says(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[3] / "docs" / "howto" / "your-own-data.md"
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P2PFD_DATA", "data")
    exec(next(text for kind, text in blocks if kind == "python"), {})
    command, shown = (text for kind, text in blocks[1:3] if not kind)
    assert PROGRAM.main(command.split()[1:]) == 0
    assert capsys.readouterr().out == shown
    monkeypatch.setenv("P2PFD_DATA", str(tmp_path))
    namespace: dict[str, object] = {}
    exec([text for kind, text in blocks if kind == "python"][-1], namespace)
    assert len(namespace["dealt"].shards[0]) == 19  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", [[], ["lost"], ["list", "digits"], ["show"], ["fetch"], ["check"]])
def test_other_words_are_answered_with_an_example(words: list[str], capsys: Capture) -> None:
    assert PROGRAM.main(["data", *words]) == 2
    assert "p2pfd data" in capsys.readouterr().err

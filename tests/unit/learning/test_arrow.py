"""Folders that the library `datasets` saved."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2pfd.core.spec import DataSpec
from p2pfd.errors import P2pfdError, PlanError
from p2pfd.learning.data import classes_of_set, deal, digest_of_set
from p2pfd.learning.data.arrow import read_arrow

arrow = pytest.importorskip("pyarrow")
image = pytest.importorskip("PIL.Image")


def saved(path: Path, columns: dict[str, Any], names: list[str] | None = None, files: int = 1) -> Path:
    """What save_to_disk writes, as far as it is read."""
    path.mkdir(parents=True, exist_ok=True)
    table = arrow.table(columns)
    if names is not None:
        told = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(told)})
    count = -(-table.num_rows // files)
    listed = []
    for part in range(files):
        name = f"data-{part:05}-of-{files:05}.arrow"
        with arrow.ipc.new_stream(path / name, table.schema) as stream:
            stream.write_table(table.slice(part * count, count))
        listed.append({"filename": name})
    (path / "state.json").write_text(json.dumps({"_data_files": listed}))
    return path


def png(shade: int) -> bytes:
    out = io.BytesIO()
    image.new("L", (4, 4), shade).save(out, "PNG")
    return out.getvalue()


TABLE = {"height": [1.5, 2.5, 3.0, 4.0], "pair": [[1, 2], [3, 4], [5, 6], [7, 8]], "label": [0, 1, 1, 0]}


def test_a_table_is_read_from_several_files(tmp_path: Path) -> None:
    content = read_arrow(saved(tmp_path / "t", TABLE, ["no", "yes"], files=2), "label", 0, grey=False)
    assert content.x.tolist() == [[1.5, 1, 2], [2.5, 3, 4], [3, 5, 6], [4, 7, 8]]
    assert content.y.tolist() == [0, 1, 1, 0]
    assert content.classes == ("no", "yes")
    assert content.columns == ("height", "pair")


def test_pictures_and_an_official_test_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2PFD_DATA", str(tmp_path))
    for split, count in (("test", 4), ("train", 20)):
        pictures = [{"bytes": png(place + 100 * (split == "test")), "path": None} for place in range(count)]
        saved(tmp_path / "set" / split, {"image": pictures, "label": ["ab"[place % 2] for place in range(count)]})
    (tmp_path / "set" / "dataset_dict.json").write_text(json.dumps({"splits": ["test", "train"]}))
    content = read_arrow(tmp_path / "set", "label", 4, grey=True)
    assert content.x[:, 0, 0, 0].tolist() == [*range(20), *range(100, 104)]
    assert content.test == 4
    name = "arrow:set:label:4:grey"
    dealt = deal(DataSpec(name, digest_of_set(name), classes_of_set(name), "iid", 1, 5, 5, 4), 2)
    assert sorted((dealt.test.x[:, 0, 0, 0] * 127.5 + 127.5).round().tolist()) == [100, 101, 102, 103]


Damage = dict[str, Any]
PICTURES = [{"bytes": png(1), "path": None}, {"bytes": png(2), "path": None}]


@pytest.mark.parametrize(
    ("columns", "side", "complaint"),
    [
        ({**TABLE, "label": [0, 1, None, 0]}, 0, "1 rows have nothing in column 'label'"),
        ({**TABLE, "height": [1.0, None, 1.0, 1.0]}, 0, "1 rows have nothing in column 'height'"),
        ({**TABLE, "height": [1.0, float("nan"), 1.0, 1.0]}, 0, "row 1, column 'height': no finite number"),
        ({**TABLE, "height": ["a", "b", "c", "d"]}, 0, "column 'height' is not numbers"),
        ({**TABLE, "pair": [[1], [1, 2], [1], [1]]}, 0, "column 'pair' is not numbers"),
        ({**TABLE, "label": [0.5, 1.0, 1.0, 0.5]}, 0, "the label is '0\\.5'"),
        ({**TABLE, "label": [True, False, True, True]}, 0, "the label is 'True'"),
        ({**TABLE, "label": ["", "a", "b", "a"]}, 0, "row 0: the label is ''"),
        ({"label": [0, 1]}, 0, "has no column beside the label"),
        ({"height": [1.0, 2.0]}, 0, "has no column 'label'"),
        (TABLE, 8, "has 0 columns of pictures"),
        ({"a": PICTURES, "b": PICTURES, "label": [0, 1]}, 8, "has 2 columns of pictures"),
        ({"a": [PICTURES[0], {"bytes": None, "path": "x.png"}], "label": [0, 1]}, 8, "row 1: the picture is not in"),
        ({"a": [PICTURES[0], {"bytes": b"x", "path": None}], "label": [0, 1]}, 8, "row 1 is not a picture"),
        ({"height": arrow.array([], arrow.float32()), "label": arrow.array([], arrow.int64())}, 0, "has no rows"),
    ],
)
def test_bad_columns_are_a_sentence(tmp_path: Path, columns: Damage, side: int, complaint: str) -> None:
    saved(tmp_path / "t", columns)
    with pytest.raises(P2pfdError, match=complaint) as caught:
        read_arrow(tmp_path / "t", "label", side, grey=True)
    assert str(tmp_path / "t") in caught.value.what


def test_a_label_beyond_the_named_classes(tmp_path: Path) -> None:
    saved(tmp_path / "t", {**TABLE, "label": [0, 1, 2, 0]}, ["no", "yes"])
    with pytest.raises(PlanError, match="row 2: the label is 2"):
        read_arrow(tmp_path / "t", "label", 0, grey=False)


@pytest.mark.parametrize(
    "state",
    [
        "", "[]", "{}", "x", "[" * 5000, '{"_data_files": []}', '{"_data_files": 5}', '{"_data_files": "abc"}',
        '{"_data_files": [1]}', '{"_data_files": [{"filename": "../x"}]}', '{"_data_files": [{"filename": "none"}]}',
        '{"_data_files": [{"filename": "/etc/passwd"}]}', '{"_data_files": [{"filename": "state.json"}]}',
    ],
)  # fmt: skip
def test_a_damaged_state_is_a_sentence(tmp_path: Path, state: str) -> None:
    path = saved(tmp_path / "t", TABLE)
    (path / "state.json").write_text(state)
    with pytest.raises(P2pfdError) as caught:
        read_arrow(path, "label", 0, grey=False)
    assert str(path) in caught.value.what


@pytest.mark.parametrize("splits", ["{}", '{"splits": []}', '{"splits": [1]}', '{"splits": ["../x"]}', '{"splits": 3}'])
def test_damaged_splits_are_a_sentence(tmp_path: Path, splits: str) -> None:
    (tmp_path / "dataset_dict.json").write_text(splits)
    with pytest.raises(PlanError, match=r"dataset_dict\.json"):
        read_arrow(tmp_path, "label", 0, grey=False)


def test_damaged_files_are_a_sentence(tmp_path: Path) -> None:
    path = saved(tmp_path / "t", TABLE)
    file = path / "data-00000-of-00001.arrow"
    raw = file.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        spoiled = bytearray(raw[: rng.integers(1, len(raw))] if rng.random() < 0.3 else raw)
        for place in rng.integers(0, len(spoiled), 3):
            spoiled[place] = rng.integers(0, 256)
        file.write_bytes(spoiled)
        with suppress(P2pfdError):
            assert np.isfinite(read_arrow(path, "label", 0, grey=False).x).all()

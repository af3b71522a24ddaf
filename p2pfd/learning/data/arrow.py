"""A folder that the library `datasets` of Hugging Face saved: Arrow files beside `state.json`, read with pyarrow."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from p2pfd.errors import EnvironmentProblem, PlanError, StorageError
from p2pfd.learning.data.folder import MOST_BYTES, MOST_PICTURES
from p2pfd.learning.data.labels import counted, ordered
from p2pfd.learning.data.pictures import open_picture
from p2pfd.learning.data.source import Content, Samples

_MOST_JSON = 4 * 2**20
_FIX = "name a folder that save_to_disk wrote"


def read_arrow(path: Path, label: str, side: int, grey: bool, like: Content | None = None) -> Content:
    """The samples of all splits; a split named test comes last and is the official test part.

    With a side, samples are the pictures in the one column that has some; with none, they are the other columns, whose
    numbers and lists of numbers stand beside one another.
    """
    splits = _splits(path)
    parts = [_table(path / name if name else path) for name in splits]
    test = parts[-1].num_rows if "test" in splits and len(splits) > 1 else 0
    labels = [text for part in parts for text in _labels(path, part, label)]
    where = [f"{path} row {row}" for row in range(len(labels))]
    if not labels:
        raise PlanError(f"{path} has no rows", _FIX)
    classes = like.classes if like is not None else _named(parts[0], label) or ordered(labels, f"{path}, {label!r},")
    columns: tuple[str, ...] = ()
    x: Samples
    if side:
        x = np.concatenate([_pictures(path, part, side, grey) for part in parts])
    else:
        columns = tuple(name for name in parts[0].column_names if name != label)
        x = np.concatenate([_numbers(path, part, columns) for part in parts])
    if like is not None and (columns != like.columns or x.shape[1:] != like.x.shape[1:]):
        raise PlanError(f"{path} has other columns than the task's set", f"that has {', '.join(like.columns[:8])}")
    return Content(x, counted(labels, classes, where), classes, columns, test)


def _splits(path: Path) -> list[str]:
    """The folders of the splits, the one named test last; a single unnamed one for a plain data set."""
    if not (path / "dataset_dict.json").is_file():
        return [""]
    splits = _json(path / "dataset_dict.json").get("splits")
    if not isinstance(splits, list) or not splits or not all(isinstance(name, str) for name in splits):
        raise PlanError(f"{path / 'dataset_dict.json'} names no splits", _FIX)
    if not all(name.isidentifier() for name in splits):
        raise PlanError(f"{path / 'dataset_dict.json'} has a split with an odd name", _FIX)
    return sorted(splits, key=lambda name: (name == "test", splits.index(name)))


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():
            raise StorageError(f"cannot read {path}: it is no file", _FIX)
        if path.stat().st_size > _MOST_JSON:
            raise PlanError(f"{path} is too large", _FIX)
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", _FIX) from error
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path} is not JSON: {error}", _FIX) from error
    if not isinstance(value, dict):
        raise PlanError(f"{path} is not what save_to_disk writes", _FIX)
    return value


def _table(path: Path) -> Any:
    """One split's files as one table."""
    try:
        import pyarrow as arrow
    except ImportError as error:
        raise EnvironmentProblem("pyarrow is not installed", "pip install 'pyarrow>=18,<25'") from error
    files = _json(path / "state.json").get("_data_files")
    listed = files if isinstance(files, list) else []
    told = [entry.get("filename") if isinstance(entry, dict) else None for entry in listed]
    names = [name for name in told if isinstance(name, str) and Path(name).name == name]
    if not names or len(names) < len(told):
        raise PlanError(f"{path / 'state.json'} names no files", _FIX)
    tables = []
    for name in names:
        if not (path / name).is_file():
            raise StorageError(f"{path / name} is not there, or no file", _FIX)
        try:
            with (path / name).open("rb") as file, arrow.ipc.open_stream(file) as stream:
                table = stream.read_all()
            table.validate(full=True)
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise PlanError(f"{path / name} is not an Arrow stream that can be read: {error}", _FIX) from error
        tables.append(table)
    try:
        return arrow.concat_tables(tables)
    except arrow.ArrowException as error:
        raise PlanError(f"the files in {path} have different columns", _FIX) from error


def _column(path: Path, table: Any, name: str) -> Any:
    if name not in table.column_names:
        raise PlanError(f"{path} has no column {name!r}", f"its columns are {', '.join(table.column_names[:8])}")
    column = table.column(name)
    if column.null_count:
        raise PlanError(f"{path}: {column.null_count} rows have nothing in column {name!r}", "fill them or drop them")
    return column


def _labels(path: Path, table: Any, label: str) -> list[str]:
    values = _column(path, table, label).to_pylist()
    names = _named(table, label)
    for row, value in enumerate(values):
        if not isinstance(value, (int, str)) or isinstance(value, bool) or value == "":
            raise PlanError(f"{path} row {row}: the label is {str(value)[:40]!r}", "labels are whole numbers or text")
        if names and isinstance(value, int) and not 0 <= value < len(names):
            raise PlanError(f"{path} row {row}: the label is {value}", f"there are {len(names)} classes")
    return [names[value] if names and isinstance(value, int) else str(value) for value in values]


def _named(table: Any, label: str) -> tuple[str, ...]:
    """The names of the classes, where the files say them."""
    try:
        told = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
        names = told["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        return ()
    ordered(names, "the list of classes")  # too few or too many are refused there
    return tuple(names)


def _pictures(path: Path, table: Any, side: int, grey: bool) -> Samples:
    import pyarrow as arrow

    names = [
        field.name
        for field in table.schema
        if arrow.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    if len(names) != 1:
        raise PlanError(f"{path} has {len(names)} columns of pictures", "exactly one is taken")
    if table.num_rows > MOST_PICTURES or table.num_rows * side * side * 3 > MOST_BYTES:
        raise PlanError(f"{path} has {table.num_rows} pictures", "choose a smaller side, or fewer")
    x = np.empty((table.num_rows, 1 if grey else 3, side, side), dtype=np.uint8)
    row = 0
    for chunk in _column(path, table, names[0]).chunks:
        for value in chunk:
            raw = value.as_py().get("bytes")
            if not isinstance(raw, bytes):
                raise PlanError(f"{path} row {row}: the picture is not in the file", "save it with its pictures")
            x[row] = open_picture(io.BytesIO(raw), f"{path} row {row}", grey=grey, side=side)
            row += 1
    return x


def _numbers(path: Path, table: Any, columns: tuple[str, ...]) -> Samples:
    out = []
    for name in columns:
        values = _column(path, table, name).to_pylist()
        try:
            numbers = np.array(values, dtype=np.float64).reshape(len(values), -1)
        except (TypeError, ValueError) as error:
            raise PlanError(f"{path}: column {name!r} is not numbers, or lists of one length", "drop it") from error
        rows = np.flatnonzero(~(np.abs(numbers) <= np.finfo(np.float32).max).all(axis=1))
        if len(rows):
            raise PlanError(f"{path} row {rows[0]}, column {name!r}: no finite number", "drop the row")
        out.append(numbers.astype(np.float32))
    if not out:
        raise PlanError(f"{path} has no column beside the label", "a sample needs a number")
    return np.concatenate(out, axis=1)

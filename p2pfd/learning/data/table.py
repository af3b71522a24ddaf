"""A table in a CSV file, one column of which is the label: every error names the file and the line."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from p2pfd.errors import PlanError, StorageError
from p2pfd.learning.data.labels import counted, ordered
from p2pfd.learning.data.source import Content

MOST_BYTES = 256 * 2**20
MOST_ROWS = 1_000_000
MOST_COLUMNS = 4096
_SEPARATORS = ",;\t"
_LARGEST = float(np.finfo(np.float32).max)


def read_table(path: Path, label: str, like: Content | None = None) -> Content:
    """The rows of a file with a head; ``like`` is the table whose columns and classes these rows must have."""
    rows = _rows(path)
    _, head = next(rows, (1, []))
    names = _head(path, head, label)
    at = names.index(label)
    columns = tuple(name for name in names if name != label)
    if like is not None and columns != like.columns:
        raise PlanError(
            f"{path} has the columns {_few(columns)}", f"the task's have {_few(like.columns)}, in this order"
        )
    numbers = array("d")  # a tenth of what as many of Python's floats would take
    labels, lines = [], []
    for line, row in rows:
        where = f"{path} line {line}"
        if len(row) != len(names):
            raise PlanError(f"{where} has {len(row)} fields, the head has {len(names)}", "complete it or take it out")
        labels.append(row[at].strip())
        lines.append(where)
        if not labels[-1]:
            raise PlanError(f"{where} has no label in {label!r}", "write one or take the line out")
        numbers.extend(_number(field, where, name) for name, field in zip(names, row, strict=True) if name != label)
        if len(labels) > MOST_ROWS:
            raise PlanError(f"{path} has more than {MOST_ROWS:,} rows", "make it smaller")
    if not labels:
        raise PlanError(f"{path} has no rows", "a head alone is no data")
    table = np.frombuffer(numbers).reshape(len(labels), len(columns))
    classes = like.classes if like is not None else ordered(labels, f"{path}, column {label!r},")
    return Content(table.astype(np.float32), counted(labels, classes, lines), classes, columns)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line that each ends in; blank lines are left out."""
    try:
        if path.exists() and not path.is_file():
            raise StorageError(f"cannot read {path}: it is no file", "name a CSV file")
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise PlanError(f"{path} has {size >> 20} MiB", f"at most {MOST_BYTES >> 20} MiB are read")
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            separator = max(_SEPARATORS, key=first.count)
            reader = csv.reader(file, delimiter=separator, strict=True)
            try:
                for row in reader:
                    if row:
                        yield reader.line_num, row
            except csv.Error as error:
                raise PlanError(f"{path} line {reader.line_num} is not CSV: {error}", "mend it") from error
            except UnicodeDecodeError as error:
                raise PlanError(f"{path} after line {reader.line_num} is not UTF-8", "save it as UTF-8") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} line 1 is not UTF-8", "save it as UTF-8") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "see to its name and permissions") from error


def _head(path: Path, head: list[str], label: str) -> list[str]:
    names = [name.strip() for name in head]
    if not names:
        raise PlanError(f"{path} is empty", "the first line names the columns")
    if len(names) > MOST_COLUMNS:
        raise PlanError(f"{path} has {len(names)} columns", f"at most {MOST_COLUMNS} are read")
    for place, name in enumerate(names):
        if not name or name in names[:place]:
            raise PlanError(
                f"{path} line 1: column {place + 1} has {'no name' if not name else f'the name {name!r} again'}",
                "the first line gives each column a name of its own",
            )
    if label not in names:
        raise PlanError(f"{path} has no column {label!r}", f"its columns are {_few(tuple(names))}")
    if len(names) < 2:
        raise PlanError(f"{path} has only the column {label!r}", "a sample needs a number beside its label")
    return names


def _number(field: str, where: str, column: str) -> float:
    text = field.strip()
    if not text:
        raise PlanError(f"{where} has nothing in column {column!r}", "write a number or take the line out")
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        raise PlanError(
            f"{where}, column {column!r}: {text[:40]!r} is no number", "write one, or take the column out"
        ) from None
    if not abs(value) <= _LARGEST:
        raise PlanError(f"{where}, column {column!r}: {text[:40]!r} is no finite number", "take the line out")
    return value


def _few(names: tuple[str, ...]) -> str:
    shown = ", ".join(name[:40] for name in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")

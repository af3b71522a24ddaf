"""A task file, read as a node would: JSON, or TOML, which people write more easily."""

from __future__ import annotations

import tomllib
from pathlib import Path

from p2pfd.core.spec import TaskSpec, from_plain, unhex
from p2pfd.errors import PlanError
from p2pfd.node import config

MAX_BYTES = 64 * 1024


def load(path: Path) -> TaskSpec:
    """The task in a file."""
    if not path.is_file():
        raise PlanError(f"there is no file {path}", "name a task file: JSON or TOML")
    if path.stat().st_size > MAX_BYTES:
        raise PlanError(f"{path} has more than {MAX_BYTES} bytes", "that is no task file")
    try:
        return _from_toml(path) if path.suffix == ".toml" else config.load_task(path)
    except PlanError as error:
        where = "" if str(path) in error.what else f"{path}: "
        raise PlanError(where + error.what, error.fix) from error
    except (RecursionError, ValueError) as error:  # thousands of brackets, or a number of thousands of digits
        raise PlanError(f"{path} cannot be read: {error}", "that is no task file") from error


def _from_toml(path: Path) -> TaskSpec:
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"it is not TOML: {error}", "a file that ends in .toml is read as TOML") from error
    return from_plain(unhex(value))

"""A task as a file: JSON, or TOML for people to write. Bytes are hex text; everything else stands as it is."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p2pfd.core.spec import TaskSpec, from_plain
from p2pfd.errors import PlanError

MAX_BYTES = 64 * 1024


def dump(spec: TaskSpec) -> str:
    """The spec as JSON text."""
    return json.dumps(_to_text(spec.to_plain()), indent=1, ensure_ascii=False) + "\n"


def save(spec: TaskSpec, path: Path) -> None:
    """Write the spec as JSON, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(dump(spec), encoding="utf-8")
    part.replace(path)


def load(path: Path) -> TaskSpec:
    """The spec in a JSON or TOML file; PlanError says what is wrong with it, and where."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise PlanError(f"there is no file {path}", "name a task file: JSON or TOML") from error
    except IsADirectoryError as error:
        raise PlanError(f"{path} is a directory", "name a task file: JSON or TOML") from error
    if len(raw) > MAX_BYTES:
        raise PlanError(f"{path} has more than {MAX_BYTES} bytes", "that is no task file")
    try:
        text = raw.decode("utf-8")
        value = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and both parsers' errors are ValueErrors
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise PlanError(f"{path} is not {kind}: {error}", "a file that ends in .toml is read as TOML") from error
    try:
        return from_plain(_from_text(value))
    except PlanError as error:
        raise PlanError(f"{path}: {error.what}", error.fix) from error


def _to_text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {key: _to_text(inner) for key, inner in value.items()}
    return [_to_text(inner) for inner in value] if isinstance(value, list) else value


def _from_text(value: Any) -> Any:
    """The one field that is bytes, from hex. What is of the wrong shape is left for `from_plain` to name."""
    if not isinstance(value, dict) or not isinstance(value.get("data"), dict):
        return value
    data = dict(value["data"])
    if isinstance(data.get("sha256"), str):
        try:
            data["sha256"] = bytes.fromhex(data["sha256"])
        except ValueError as error:
            raise PlanError("data.sha256 is not hex text", "write 64 hex digits") from error
    return {**value, "data": data}

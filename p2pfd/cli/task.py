"""`p2pfd task check|show FILE`: read a task file as a node would."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, one_of
from p2pfd.cli.screen import Screen
from p2pfd.core.spec import TaskSpec, from_plain, in_hex, unhex
from p2pfd.errors import PlanError
from p2pfd.node import config

MAX_BYTES = 64 * 1024


def load(path: Path) -> TaskSpec:
    """The task in a JSON file, or in a TOML file, which people write more easily."""
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


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Read the file; say that it is a task and which, or show all of it."""
    spec = load(args.file)
    if args.action == "show":
        screen.result({"id": spec.id.hex(), "task": in_hex(spec)})
        if not screen.as_json:
            screen.say(json.dumps(in_hex(spec), indent=2))
        return exits.OK.code
    screen.say(f"{spec.name}: {spec.rounds} rounds, {spec.seats} seats, {spec.adapter} on {spec.data.name}")
    screen.say(f"id {spec.id.hex()}")
    screen.result({"id": spec.id.hex(), "name": spec.name, "ok": True})
    return exits.OK.code


def _options(parser: Parser) -> None:
    parser.add_argument("action", type=one_of("check", "show"), help="check it, or show it in its one JSON form")
    parser.add_argument("file", type=Path, help="a task: JSON or TOML")


TASK = Command("task", "check or show a task file", "p2pfd task check .localnet/default/task.json", _options, run)

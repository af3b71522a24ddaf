"""`p2pfd task check|show FILE`: read a task file as a node would."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, one_of
from p2pfd.cli.screen import Screen
from p2pfd.node import taskfile


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Read the file; say that it is a task and which, or show all of it."""
    spec = taskfile.load(args.file)
    if args.action == "show":
        screen.result({"id": spec.id.hex(), "task": json.loads(taskfile.dump(spec))})
        if not screen.as_json:
            screen.out.write(taskfile.dump(spec))
        return exits.OK.code
    screen.say(f"{spec.name}: {spec.rounds} rounds, {spec.seats} seats, {spec.adapter} on {spec.data.name}")
    screen.say(f"id {spec.id.hex()}")
    screen.result({"id": spec.id.hex(), "name": spec.name, "ok": True})
    return exits.OK.code


def _options(parser: Parser) -> None:
    parser.add_argument("action", type=one_of("check", "show"), help="check it, or show it in its one JSON form")
    parser.add_argument("file", type=Path, help="a task: JSON or TOML")


TASK = Command("task", "check or show a task file", "p2pfd task check .localnet/default/task.json", _options, run)

"""`p2pfd adapters`: which learning algorithms there are, and whether one keeps the laws of its interface."""

from __future__ import annotations

import argparse
import inspect
import time
from typing import Any

from p2pfd import plugins
from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd.errors import UsageError

GROUP = "p2pfd.adapters"


def _options(parser: Parser) -> None:
    parser.add_argument("action", choices=("list", "check"), help="list them, or check one")
    parser.add_argument("adapter", nargs="?", help="for check: an installed name, or module:Class")


def run(args: argparse.Namespace, screen: Screen) -> int:
    """List or check."""
    if args.action == "list":
        return _list(screen)
    if not args.adapter:
        raise UsageError("there is no adapter to check", "name one: p2pfd adapters check my_package.mine:Mine")
    return _check(args.adapter, screen)


def _list(screen: Screen) -> int:
    found = [_facts(name) for name in plugins.names(GROUP)]
    screen.result({"adapters": found})
    if not screen.as_json:
        for each in found:
            screen.say(f"{each['name']:<12}{each['shares']:<28}{each['summary']}")
    return exits.OK.code


def _facts(name: str) -> dict[str, Any]:
    from p2pfd.node.workbench import votes
    from p2pfd.testing.materials import small_task

    adapter = plugins.load(GROUP, name)
    summary = (inspect.getdoc(adapter) or "").split("\n", 1)[0]
    shares = "labels, one common student" if votes(adapter(), small_task(name)[0]) else "contributions to merge"
    settings = {key: str(value) for key, value in getattr(adapter, "defaults", {}).items()}
    return {
        "name": name,
        "summary": summary,
        "shares": shares,
        "encounters": hasattr(adapter, "request"),
        "settings": settings,
    }


def _check(text: str, screen: Screen) -> int:
    from p2pfd.testing.adapter import laws  # with it comes torch, which listing the help does not need
    from p2pfd.testing.materials import small_task

    factory = plugins.load_or_import(GROUP, text)
    task, shards = small_task(text.rpartition(":")[2])
    kept, broken = [], {}
    for law in laws(factory, task, shards):
        begun = time.perf_counter()
        try:
            law.check()
        except AssertionError as error:
            broken[law.name] = str(error).split("\n", 1)[0]
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code does is a finding
            broken[law.name] = f"{type(error).__name__}: {error}".split("\n", 1)[0]
        else:
            kept.append(law.name)
        if not screen.as_json:
            took = f"{time.perf_counter() - begun:.1f} s"
            head = screen.style("broken", "red") if law.name in broken else screen.style("kept  ", "green")
            screen.say(f"{head}  {law.name} ({took})")
            if law.name in broken:
                screen.say(f"        {broken[law.name]}")
    screen.result({"adapter": text, "kept": kept, "broken": broken})
    return exits.ASSERTION.code if broken else exits.OK.code


ADAPTERS = Command(
    "adapters",
    "the learning algorithms that are installed, and a check of one's own",
    "p2pfd adapters check my_package.mine:Mine",
    _options,
    run,
)

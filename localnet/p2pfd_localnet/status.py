"""`localnet status`: how the nodes of a mesh are, once or as long as it runs."""

from __future__ import annotations

import argparse
import time
from typing import Any

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd_localnet import words
from p2pfd_localnet.engines import remote
from p2pfd_localnet.options import add_state
from p2pfd_localnet.reading import Reader
from p2pfd_localnet.state import State

SECONDS = 0.5
"""How often a status that is followed is looked at anew."""
_AFRESH, _HOME = "\x1b[2J\x1b[H", "\x1b[H"
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K\n", "\x1b[J"


def _status(args: argparse.Namespace, screen: Screen) -> int:
    if remote.is_asked(args):
        return remote.status(args, screen)
    reader = Reader(State(args.state))
    before: Any = None
    while True:
        reader.look()
        found = told(reader, str(args.state))
        if found["now"] != before:
            show(found, screen, follow=args.watch, first=before is None)
            before = found["now"]
        if not (args.watch and reader.running):
            return exits.OK.code
        time.sleep(SECONDS)


def plain(reader: Reader, name: str) -> dict[str, Any]:
    """The object that `status --json` prints."""
    view, running = reader.view, reader.running
    return {
        "state": name,
        "status": reader.status,
        "running": running,
        "round": view.opened,
        "rounds": view.rounds,
        "watch": reader.watch,
        "nodes": {
            node.name: {
                "life": words.life(node, running=running),
                "round": node.rounds,
                "accuracy": node.accuracy.get(max(node.accuracy, default=-1)),
                "paid": sum(node.paid.values()),
                "peer": node.peer,
                "account": node.account,
                "addresses": list(node.addresses),
                "pid": node.pid,
                **({"machine": node.machine} if node.machine else {}),
            }
            for node in view.nodes.values()
        },
    }


def told(reader: Reader, name: str) -> dict[str, Any]:
    """The object, and the same for people: a line, the names of the columns, and the rows."""
    now = plain(reader, name)
    watch = f"  watch {now['watch']}" if now["watch"] else ""
    head = f"{name}  {now['status']}, {reader.view.how_far()}{watch}"
    names = ["NODE", "ROUND", "ACCURACY", "PAID", "ADDRESS", "STATE"]
    rows = [list(row) for row in words.status_rows(reader.view, running=reader.running)]
    if any(node.machine for node in reader.view.nodes.values()):
        names.append("MACHINE")
        rows = [[*row, node.machine] for row, node in zip(rows, reader.view.nodes.values(), strict=True)]
    return {"now": now, "head": head, "names": names, "rows": rows}


def show(found: dict[str, Any], screen: Screen, *, follow: bool = False, first: bool = True) -> None:
    """Show what was told."""
    now, head, names, rows = (found[key] for key in ("now", "head", "names", "rows"))
    if follow and screen.fancy:  # over what stands there, so that nothing flickers
        screen.words.write(_AFRESH if first else _HOME)
        screen.words.write(screen.fit(head) + _REST_OF_LINE)
        screen.table(names, rows)
        screen.words.write(_REST_OF_SCREEN)
        screen.words.flush()
    elif first or not follow:
        screen.say(head)
        screen.table(names, rows)
    else:
        screen.say(head)
    screen.result(now)


def _options(parser: Parser) -> None:
    parser.add_argument(
        "-w", "--watch", action="store_true", help="go on until the mesh ends; with --json, an object a change"
    )
    add_state(parser)
    remote.add_cluster(parser)


STATUS = Command("status", "how the nodes of a mesh are, running or not", "localnet status --json", _options, _status)

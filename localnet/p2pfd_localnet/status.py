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
from p2pfd_localnet.launch import add_state
from p2pfd_localnet.reading import Reader
from p2pfd_localnet.state import State

SECONDS = 0.5
"""How often a status that is followed is looked at anew."""
_AFRESH, _HOME = "\x1b[2J\x1b[H", "\x1b[H"
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K\n", "\x1b[J"


def _status(args: argparse.Namespace, screen: Screen) -> int:
    reader = Reader(State(args.state))
    before: Any = None
    while True:
        reader.look()
        now = plain(reader, str(args.state))
        if now != before:
            _show(reader, now, screen, follow=args.watch, first=before is None)
            before = now
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
            }
            for node in view.nodes.values()
        },
    }


def _show(reader: Reader, now: dict[str, Any], screen: Screen, *, follow: bool, first: bool) -> None:
    watch = f"  watch {now['watch']}" if now["watch"] else ""
    head = f"{now['state']}  {now['status']}, {reader.view.how_far()}{watch}"
    rows = words.status_rows(reader.view, running=reader.running)
    names = ("NODE", "ROUND", "ACCURACY", "PAID", "ADDRESS", "STATE")
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


STATUS = Command("status", "how the nodes of a mesh are, running or not", "localnet status --json", _options, _status)

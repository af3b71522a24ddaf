"""The commands that look into a mesh and keep what is in it; what they need is imported when they run."""

from __future__ import annotations

import argparse
import webbrowser

import trio

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd_localnet.dump import DUMP
from p2pfd_localnet.inspection import INSPECT
from p2pfd_localnet.options import add_state
from p2pfd_localnet.snapshots import RESTORE, SNAPSHOT, SNAPSHOTS
from p2pfd_localnet.state import State


def _report(args: argparse.Namespace, screen: Screen) -> int:
    state = State(args.state)
    state.read(state.mesh)
    anew = args.again or not state.report.exists()
    if anew:
        from p2pfd_localnet.retell import write  # with it come the chain's libraries

        trio.run(write, state)
    screen.say(str(state.report))
    screen.result({"report": str(state.report), "written": anew})
    if args.open and not webbrowser.open(state.report.absolute().as_uri()):
        screen.say("there is no browser to open it with")
    return exits.OK.code


def _options(parser: Parser) -> None:
    parser.add_argument("--again", action="store_true", help="write it anew, as far as the run came")
    parser.add_argument("--open", action="store_true", help="open it in a browser")
    add_state(parser)


REPORT = Command(
    "report", "where the run's report is; written if it is not there", "localnet report --open", _options, _report
)
KEEPING = (INSPECT, REPORT, DUMP, SNAPSHOT, RESTORE, SNAPSHOTS)

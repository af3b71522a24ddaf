"""The options that commands share. A command that starts a mesh reads them before it imports anything large."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from p2pfd.cli.parse import Parser, number, seconds
from p2pfd.errors import PlanError
from p2pfd.learning.device import VARIABLE, chosen_apart
from p2pfd_localnet import state

START_TIMEOUT = 90.0
ANY_PORT = "127.0.0.1:0"


def add_state(parser: Parser) -> None:
    """The option that names the mesh's directory."""
    parser.add_argument(
        "--state", type=Path, default=state.DEFAULT, metavar="DIR", help=f"the mesh's directory ({state.DEFAULT})"
    )


def add_running(parser: Parser) -> None:
    """The options that say how a mesh is run, whatever it does."""
    parser.add_argument("--port", type=number(1, 65535), default=0, metavar="P", help="the chain's port (any free one)")
    add_state(parser)
    parser.add_argument("-d", "--detach", action="store_true", help="return when all nodes are ready; the mesh goes on")
    serve = parser.add_mutually_exclusive_group()
    serve.add_argument(
        "--serve",
        type=_endpoint,
        default=ANY_PORT,
        metavar="HOST:PORT",
        help="where the page to watch the mesh on is served, as long as the mesh runs (any free port of this machine)",
    )
    serve.add_argument("--no-serve", action="store_const", const="", dest="serve", help="serve no page")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="also write event files for TensorBoard there")
    parser.add_argument(
        "--isolate", action="store_true", help="an interpreter of its own for each node: slower, and takes more memory"
    )
    parser.add_argument(
        "--device",
        default="",
        metavar="DEVICE",
        help=f"on what nodes train on their own samples: auto, cpu, cuda, cuda:N, mps ({VARIABLE}, or cpu)",
    )
    parser.add_argument(
        "--start-timeout",
        type=seconds(0.1, 3600),
        default=START_TIMEOUT,
        metavar="S",
        help=f"seconds until all nodes must be ready ({START_TIMEOUT:g})",
    )


def use_device(asked: str) -> None:
    """Have all nodes that are started from here train on this; on whatever they did, where nothing is asked for."""
    if asked:
        os.environ[VARIABLE] = chosen_apart(asked)


def _endpoint(text: str) -> str:
    if text == ANY_PORT:
        return text  # it is read even where nobody said it, and a check would import the web server
    from p2pfd.node.scrape import parse_endpoint

    try:
        parse_endpoint(text, "the mesh's page")
    except PlanError as error:
        raise argparse.ArgumentTypeError(f"{error.what}: {error.fix}") from None
    return text

"""`localnet status` and `down` from any machine of a cluster: the mesh is named, and the cluster knows where it is."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from p2pfd.cli import exits
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd.errors import P2pfdError, PlanError, UsageError
from p2pfd_localnet.engines.placement import Placement, load

SECONDS = 2.0
"""How often a status that is followed is asked for."""


def add_cluster(parser: Parser) -> None:
    """The words that name a mesh on a cluster, instead of its directory."""
    parser.add_argument("mesh", nargs="?", default="", metavar="NAME", help="a mesh on a cluster; else its only one")
    parser.add_argument("--address", metavar="HOST:PORT", help="that Ray cluster; auto for the one this machine is of")


def is_asked(args: argparse.Namespace) -> bool:
    """Whether a cluster is to be asked; UsageError for a name without one."""
    if args.mesh and args.address is None:
        raise UsageError(
            f"on which cluster is {args.mesh!r}?", "add --address HOST:PORT; of a mesh here: --state DIRECTORY"
        )
    return args.address is not None


def status(args: argparse.Namespace, screen: Screen) -> int:
    """Show what the supervisor's machine tells."""
    from p2pfd_localnet.engines.ray import ask
    from p2pfd_localnet.status import show

    before: Any = None
    while True:
        found = ask("status", args.address, *_words(args))
        if found["now"] != before:
            show(found, screen, follow=args.watch, first=before is None)
            before = found["now"]
        if not (args.watch and found["now"]["running"]):
            return exits.OK.code
        time.sleep(SECONDS)


def down(args: argparse.Namespace, screen: Screen) -> int:
    """End it, and delete what it left."""
    from p2pfd_localnet.engines.ray import ask

    told = ask("down", args.address, *_words(args))
    done = "stopped and deleted" if told["stopped"] else "deleted"
    screen.say(f"{done} {told['mesh']}, on {told['machines']} machines")
    screen.result({key: told[key] for key in ("state", "stopped", "deleted", "mesh", "machines")})
    return exits.OK.code


def _words(args: argparse.Namespace) -> list[str]:
    return [args.mesh] if args.mesh else []


def clear(home: Path, screen: Screen) -> None:
    """Delete what the mesh in a directory, which has ended, left on other machines; say so where that cannot be."""
    found = load(home)
    if found is None:
        return
    from p2pfd_localnet.engines.ray import ask

    try:
        ask("forget", found.address, found.mesh, found.folder)
    except P2pfdError as error:
        screen.say(f"left    {found.folder} in ~/.cache/p2pfd/meshes of its machines: {error.what}")


def check_can_go_on(home: Path, again: str) -> None:
    """PlanError for a mesh that was spread over a cluster: what its nodes hold is on their machines."""
    found: Placement | None = load(home)
    if found is not None:
        raise PlanError(
            f"the mesh in {home} ran on a cluster, and cannot go on: its nodes' stores are on their machines",
            f"start anew: {again} --engine ray --address {found.address} --fresh",
        )

"""The options of `localnet up` that say where nodes run, and the engine that they ask for."""

from __future__ import annotations

import argparse
import re

from p2pfd.cli.parse import Parser, one_of
from p2pfd.cluster import AUTO
from p2pfd.errors import UsageError
from p2pfd.node.scrape import parse_endpoint
from p2pfd_localnet import machine
from p2pfd_localnet.cost import Cost
from p2pfd_localnet.engines import ray
from p2pfd_localnet.engines.api import ENGINES, LOCAL, Engine
from p2pfd_localnet.engines.local import LocalEngine
from p2pfd_localnet.plan import Plan

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


def add_options(parser: Parser) -> None:
    """Where the nodes run."""
    parser.add_argument(
        "--engine",
        type=one_of(*ENGINES),
        default=LOCAL,
        metavar="ENGINE",
        help="where the nodes run: local, on this machine; ray, on all machines of a Ray cluster that this one is of",
    )
    parser.add_argument("--address", metavar="HOST:PORT", help="the Ray cluster (the one that this machine is of)")
    parser.add_argument("--name", type=_name, metavar="NAME", help="the mesh's name on the cluster (its directory's)")
    parser.suggest("engine", ENGINES)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no name: up to 40 letters, digits, dots and dashes")
    return text


def chosen(plan: Plan, args: argparse.Namespace) -> tuple[Engine, Cost]:
    """The engine, and what the mesh will take; the P2pfdError says what is missing, before anything starts."""
    if args.engine == LOCAL:
        if args.address is not None or args.name is not None:
            raise UsageError("--address and --name are for meshes on a cluster", "add --engine ray")
        cost = machine.check(plan, args.state, args.port)
        engine: Engine = LocalEngine()
    else:
        name = args.name or re.sub(r"[^A-Za-z0-9_.-]", "-", args.state.absolute().name).lstrip("._-")[:40] or "mesh"
        placement = ray.plan_on(plan, args.address or AUTO, name)
        cost = ray.check(plan, placement, args.state, args.port)
        engine = ray.RayEngine(placement)
    if args.serve:
        host, page = parse_endpoint(args.serve)
        machine.check_port(page, host, "--serve")
    return engine, cost

"""What `localnet up` and `localnet start` share: a mesh's directory is taken, and the mesh runs in it to the end."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from p2pfd.cli import exits
from p2pfd.cli.parse import Parser, number, seconds
from p2pfd.cli.screen import Screen
from p2pfd.errors import PlanError
from p2pfd.learning.device import VARIABLE, chosen_apart
from p2pfd.node.clock import SystemClock
from p2pfd.node.scrape import parse_endpoint
from p2pfd_localnet import detach, machine, state
from p2pfd_localnet.cost import Cost
from p2pfd_localnet.engines.api import Engine
from p2pfd_localnet.engines.local import LocalEngine
from p2pfd_localnet.engines.placement import machines_of
from p2pfd_localnet.past import Past, mark
from p2pfd_localnet.plan import DataFacts, Plan
from p2pfd_localnet.summary import Summary
from p2pfd_localnet.tensorboard import Scalars
from p2pfd_localnet.words import Words
from p2pfd_localnet.zygote import ENTRY

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


def _endpoint(text: str) -> str:
    try:
        parse_endpoint(text, "the mesh's page")
    except PlanError as error:
        raise argparse.ArgumentTypeError(f"{error.what}: {error.fix}") from None
    return text


def check_machine(plan: Plan, args: argparse.Namespace, port: int) -> Cost:
    """Whether this machine can carry the mesh, and its ports are free; and what the mesh will take of it."""
    cost = machine.check(plan, args.state, port)
    if args.serve:
        host, page = parse_endpoint(args.serve)
        machine.check_port(page, host, "--serve")
    return cost


@dataclass(frozen=True)
class Job:
    """A mesh that is to run."""

    plan: Plan
    home: state.State
    facts: DataFacts | None
    """What its task says of its data; None where the task is open already."""
    past: Past | None = None
    """What it has behind it, if it was stopped."""
    entry: str = ENTRY
    port: int = 0
    engine: Engine = field(default_factory=LocalEngine)
    """Where its nodes run."""


def launch(job: Job, lock: state.Lock, args: argparse.Namespace, screen: Screen) -> int:
    """Run the mesh, in the background if that was asked for; the exit code. The lock is free when this returns."""
    words = Words(screen, args.state)
    try:
        if args.device:
            os.environ[VARIABLE] = chosen_apart(args.device)  # its nodes inherit it
        ready: Callable[[], None] = _in_front
        if args.detach:
            side = detach.fork(job.home.log)
            if isinstance(side, detach.Waiting):
                return _left_running(job.home, side, screen)
            ready = partial(_behind, screen, side)
        summary = _supervise(job, lock, words, args, ready)
    except KeyboardInterrupt:
        if job.home.past.exists():
            where = state.option(args.state)
            on = "" if machines_of(job.home.home) else f"go on  localnet start{where}      "
            words.note("kept", f"{on}remove  localnet down{where}")
        raise
    finally:
        if not job.home.exists():
            job.home.delete()  # it was cut off before there was anything
        lock.release()
    words.end(summary)
    screen.result(summary.to_plain())
    wrong = summary.audit is not None and summary.audit.problems
    if wrong:
        return exits.ASSERTION.code
    return exits.NETWORK.code if summary.machines_lost else exits.OK.code


def _supervise(
    job: Job, lock: state.Lock, words: Words, args: argparse.Namespace, ready: Callable[[], None]
) -> Summary:
    mark(job.home, "starting", job.plan)  # whatever happens from here on, the directory is known as a mesh's
    state.write(job.home.supervisor, {"schema": 1, "pid": os.getpid(), "started": SystemClock().now()})
    job.engine.prepare(job.home)
    words.plan(job.plan)
    from p2pfd_localnet.mesh import Mesh  # with it come the chain's libraries, which no other command needs

    mesh = Mesh(job, lock, words, args.start_timeout, ready, args.serve, isolate=args.isolate)
    if args.tensorboard is None:
        return trio.run(mesh.run)
    drawn = Scalars(args.tensorboard / job.plan.name, mesh.watch.view, SystemClock())
    mesh.watch.listeners.append(drawn.take)
    try:
        return trio.run(mesh.run)
    finally:
        drawn.close()


def _in_front() -> None:
    """Nothing changes when the mesh is ready."""


def _behind(screen: Screen, leave: Callable[[], None]) -> None:
    """The mesh is ready: from here on words go to a file."""
    leave()
    screen.fancy = False


def _left_running(home: state.State, side: detach.Waiting, screen: Screen) -> int:
    if side.code is not None:
        return side.code  # it said why
    told = home.read(home.supervisor)
    pid, watch = told.get("pid"), told.get("watch")
    screen.say(f"left    running in the background ({pid}), its words are in {home.log}")
    screen.result({"detached": True, "pid": pid, "watch": watch, "state": str(home.home), "log": str(home.log)})
    return exits.OK.code

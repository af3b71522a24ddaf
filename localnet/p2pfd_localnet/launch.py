"""What `localnet up` and `localnet start` share: a mesh's directory is taken, and the mesh runs in it to the end."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from p2pfd.cli import exits
from p2pfd.cli.screen import Screen
from p2pfd.node.clock import SystemClock
from p2pfd.node.scrape import parse_endpoint
from p2pfd_localnet import machine, state
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


def launch(job: Job, lock: state.Lock, args: argparse.Namespace, screen: Screen, ready: Callable[[], None]) -> int:
    """Run the mesh, and call ``ready`` once it is; the exit code. The lock is free when this returns."""
    words = Words(screen, args.state)
    try:
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

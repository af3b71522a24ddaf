"""`localnet stop`, `localnet start` and `localnet down`: a mesh is ended and kept, goes on, or is deleted."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd.errors import DeadlineError, NotRunningError, PlanError, StorageError
from p2pfd_localnet import detach, hatch, options
from p2pfd_localnet.state import Lock, State, option, running_pid, write
from p2pfd_localnet.zygote import ENTRY

if TYPE_CHECKING:
    from p2pfd_localnet.launch import Job
    from p2pfd_localnet.plan import Plan

POLL = 0.05
PATIENCE = 15.0
LINGER = 3.0


# -- stop --------------------------------------------------------------------------------------------------------------


def _stop(args: argparse.Namespace, screen: Screen) -> int:
    state = State(args.state)
    running_pid(state)
    end(state)
    status = mark_stopped(state)
    from p2pfd_localnet.engines.placement import machines_of

    where = option(args.state)
    if status == "stopped":
        on = "" if machines_of(state.home) else f"      go on  localnet start{where}"
        screen.say(f"stopped {args.state}{on}      remove  localnet down{where}")
    else:
        screen.say(f"{args.state} came to its end before it could be stopped: it is {status}")
    screen.result({"state": str(args.state), "status": status})
    return exits.OK.code


def mark_stopped(state: State) -> str:
    """Keep that it was stopped on purpose, if it was in the midst of things; how it is now."""
    status = str(state.read(state.mesh).get("status", ""))
    if status in ("done", "failed"):
        return status
    write(state.mesh, {**state.read(state.mesh), "status": "stopped"})
    return "stopped"


def end(state: State) -> None:
    """Ask the supervisor to end the mesh; when it does not, end it, and its nodes follow."""
    pid = 0
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            pid = running_pid(state)
            os.kill(pid, number)
        except NotRunningError:
            return  # it ended on its own in between
        except ProcessLookupError:
            pass  # it was killed, and its nodes are about to notice
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not state.running():
                _see_off(pid)
                return
            time.sleep(POLL)
    raise DeadlineError(f"the mesh in {state.home} still runs {2 * PATIENCE:g} s after it was told to end", "try again")


def _see_off(pid: int) -> None:
    """The supervisor lets go of its lock last of all; what is left of it is the interpreter's own end."""
    deadline = time.monotonic() + LINGER
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(POLL)


def lives(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except PermissionError:  # it is somebody else's, and lives
        return True
    except ProcessLookupError:
        return False
    except OSError:  # a system without such files, or it ended just now
        return not Path("/proc/self").exists()
    return stat.rpartition(")")[2].split()[0] != "Z"


# -- start -------------------------------------------------------------------------------------------------------------


def start(args: argparse.Namespace, screen: Screen, entry: str = ENTRY) -> int:
    """Let a mesh go on that was stopped, or cut off."""
    return detach.aside(State(args.state), screen, partial(_start, args, screen, entry), detached=args.detach)


def _start(args: argparse.Namespace, screen: Screen, entry: str, ready: Callable[[], None]) -> int:
    home = State(args.state)
    status = str(home.read(home.mesh).get("status"))
    lock = Lock.take(home) or _when_orphans_are_gone(home)
    if lock is None:
        raise PlanError(f"the mesh in {home.home} runs", f"watch it with localnet status{option(home.home)}")
    early = None
    try:
        options.use_device(args.device)
        if home.past.exists() and status != "done":
            # Nearly all that can go on does. While the zygote imports what its nodes need, this process imports what
            # it takes to look whether this one can.
            warm = (str(home.task),) if entry == ENTRY else ()
            early = hatch.hatch(home.zygote_log, hatch.words_of(entry, warm, isolate=args.isolate), (lock.fd,))
        with hatch.hatching(early):
            from p2pfd_localnet import launch, past
            from p2pfd_localnet.engines import remote
            from p2pfd_localnet.engines.local import LocalEngine

            plan = past.plan_of(home)
            remote.check_can_go_on(home.home, plan.command())
            job = dataclasses.replace(job_of(home, plan, status, entry, args.port), engine=LocalEngine(early))
            launch.check_machine(plan, args, job.port)
            return launch.launch(job, lock, args, screen, ready)
    finally:
        lock.release()


def _when_orphans_are_gone(home: State) -> Lock | None:
    """The lock, if only those hold it whose supervisor was killed: they notice, and end."""
    pid = home.read(home.supervisor).get("pid") if home.supervisor.exists() else None
    deadline = time.monotonic() + PATIENCE
    while isinstance(pid, int) and not lives(pid) and time.monotonic() < deadline:
        time.sleep(POLL)
        lock = Lock.take(home)
        if lock is not None:
            return lock
    return None


def job_of(home: State, plan: Plan, status: str, entry: str, port: int) -> Job:
    """What there is to run in a directory whose mesh was stopped; the error says why there is nothing."""
    from p2pfd.node.clock import SystemClock
    from p2pfd_localnet import past, whole
    from p2pfd_localnet.launch import Job
    from p2pfd_localnet.plan import is_url

    if status == "done":
        raise PlanError(
            f"the mesh in {home.home} is done: there is nothing to go on with",
            f"its report is {home.report}; again: {plan.command()} --fresh{option(home.home)}",
        )
    known = past.load(home)
    if known is None and whole.was_up(home):
        raise StorageError(f"{home.past} is missing: this mesh cannot go on as the same", home.anew)
    if known is None:  # it was cut off before its task was open: nobody has anything to lose
        from p2pfd_localnet import checks

        home.empty()
        return Job(plan, home, checks.check_data(plan), entry=entry, port=port)
    if entry == ENTRY and not whole.was_up(home):
        home.empty("nodes")  # whoever was cut off while it was given its keys, has nothing to go on with, nor to lose
    whole.check(home, plan)
    still = not is_url(plan.chain)
    again = known.again(SystemClock().now(), past.last_word(home), still=still)
    return Job(plan, home, None, again, entry, port or known.port)


# -- down --------------------------------------------------------------------------------------------------------------


def _down(args: argparse.Namespace, screen: Screen) -> int:
    from p2pfd_localnet.engines import remote

    if remote.is_asked(args):
        return remote.down(args, screen)
    state = State(args.state)
    if not state.exists():
        state.delete()  # of one that was cut off before it was one, there may be a lock
        raise NotRunningError(f"there is no mesh in {args.state}", f"start one: localnet up{option(args.state)}")
    stopped = state.running()
    if stopped:
        end(state)
    remote.clear(state.home, screen)
    state.delete()
    screen.say(f"{'stopped and deleted' if stopped else 'deleted'} {args.state}")
    screen.result({"state": str(args.state), "stopped": stopped, "deleted": True})
    return exits.OK.code


def _down_options(parser: Parser) -> None:
    from p2pfd_localnet.engines import remote

    options.add_state(parser)
    remote.add_cluster(parser)


STOP = Command("stop", "end a mesh and keep it, so that it can go on", "localnet stop", options.add_state, _stop)
START = Command("start", "let a mesh go on that was stopped", "localnet start --detach", options.add_running, start)
DOWN = Command("down", "stop a mesh and delete its directory", "localnet down", _down_options, _down)

"""`localnet up`: check the whole plan, then run it to the end."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio

from p2pfd import plugins
from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number, one_of, seconds
from p2pfd.cli.screen import Screen
from p2pfd.core.spec import MAX_SEATS
from p2pfd.errors import PlanError
from p2pfd.node.clock import SystemClock
from p2pfd.node.scrape import parse_endpoint
from p2pfd_localnet import attack, checks, detach, machine, plan, presets, state
from p2pfd_localnet.planfile import blaming
from p2pfd_localnet.summary import Summary
from p2pfd_localnet.words import Words
from p2pfd_localnet.zygote import ENTRY

START_TIMEOUT = 90.0
ANY_PORT = "127.0.0.1:0"


def _options(parser: Parser) -> None:
    parser.add_argument(
        "plan", nargs="?", default=presets.DEFAULT, help=f"a preset or a .toml file ({presets.DEFAULT})"
    )
    parser.add_argument(
        "-n", "--nodes", type=number(1, MAX_SEATS), metavar="N", help=f"how many nodes, 1 to {MAX_SEATS}"
    )
    parser.add_argument("--rounds", type=number(1, checks.MAX_ROUNDS), metavar="R", help="how many rounds")
    parser.add_argument(
        "--seed", type=number(0, 2**63 - 1), metavar="S", help="decides accounts, data, network, training"
    )
    parser.add_argument(
        "--adapter", metavar="NAME", help="the learning algorithm: " + ", ".join(plugins.names("p2pfd.adapters"))
    )
    parser.add_argument("--data", metavar="SET", help="the data set: p2pfd data list")
    parser.add_argument(
        "--attack",
        action="append",
        type=attack.wanted,
        metavar="KIND:K",
        help="K nodes that misbehave, or K % of all, such as collude:40%%; may be repeated; "
        "p2pfd experiment --list has the kinds",
    )
    parser.add_argument(
        "--partners",
        type=number(0, MAX_SEATS),
        metavar="K",
        help="with how many others a node merges in a round, where there is no common student; 0 stands for all",
    )
    parser.add_argument(
        "--chain",
        type=_chain,
        metavar="CHAIN",
        help="where the task settles: " + ", ".join(plan.CHAINS) + ", or the address of an anvil or ganache that runs",
    )
    parser.add_argument("--port", type=number(1, 65535), default=0, metavar="P", help="the chain's port (any free one)")
    add_state(parser)
    parser.add_argument("--fresh", action="store_true", help="delete the mesh that ended in that directory first")
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
    parser.add_argument("--dry-run", action="store_true", help="check the whole plan, print it, and stop")
    parser.add_argument(
        "--start-timeout",
        type=seconds(0.1, 3600),
        default=START_TIMEOUT,
        metavar="S",
        help=f"seconds until all nodes must be ready ({START_TIMEOUT:g})",
    )


def _chain(text: str) -> str:
    return text if plan.is_url(text) else one_of(*plan.CHAINS)(text)


def _endpoint(text: str) -> str:
    try:
        parse_endpoint(text, "the mesh's page")
    except PlanError as error:
        raise argparse.ArgumentTypeError(f"{error.what}: {error.fix}") from None
    return text


def add_state(parser: Parser) -> None:
    """The option that names the mesh's directory."""
    parser.add_argument(
        "--state", type=Path, default=state.DEFAULT, metavar="DIR", help=f"the mesh's directory ({state.DEFAULT})"
    )


def run(args: argparse.Namespace, screen: Screen, entry: str = ENTRY) -> int:
    """Check, start, watch, report."""
    found = presets.find(args.plan)
    chosen = plan.change(
        found,
        data=dataclasses.replace(found.data, name=args.data) if args.data else None,
        attack=dict(args.attack) if args.attack else None,
        nodes=args.nodes,
        rounds=args.rounds,
        seed=args.seed,
        adapter=args.adapter,
        partners=args.partners,
        chain=args.chain,
    )
    with blaming(chosen):
        checks.check(chosen)
    home = state.State(args.state)
    machine.check(chosen.nodes, args.state, chain=chosen.chain != "none", port=args.port)
    if args.serve:
        host, port = parse_endpoint(args.serve)
        machine.check_port(port, host, "--serve")
    with blaming(chosen):
        facts = checks.check_data(chosen)
    words = Words(screen, args.state)
    if args.dry_run:
        words.plan(chosen, dry=True)
        screen.result({"plan": chosen.to_plain(), "task": chosen.task(facts).id.hex(), "state": str(args.state)})
        return exits.OK.code
    lock = state.claim(home, fresh=args.fresh)
    try:
        ready: Callable[[], None] = _in_front
        if args.detach:
            side = detach.fork(home.log)
            if isinstance(side, detach.Waiting):
                return _left_running(home, side, screen)
            ready = partial(_behind, screen, side)
        summary = _supervise(chosen, home, lock, words, facts, args, entry, ready)
    finally:
        lock.release()
    words.end(summary)
    screen.result(summary.to_plain())
    wrong = summary.audit is not None and summary.audit.problems
    return exits.ASSERTION.code if wrong else exits.OK.code


def _supervise(
    chosen: plan.Plan,
    home: state.State,
    lock: state.Lock,
    words: Words,
    facts: plan.DataFacts,
    args: argparse.Namespace,
    entry: str,
    ready: Callable[[], None],
) -> Summary:
    from p2pfd_localnet.mesh import Mesh  # with it come the chain's libraries, which no other command needs

    state.write(home.supervisor, {"schema": 1, "pid": os.getpid(), "started": SystemClock().now()})
    words.plan(chosen)
    mesh = Mesh(chosen, home, lock, words, facts, args.start_timeout, args.port, entry, ready, args.serve)
    return trio.run(mesh.run)


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


UP = Command(
    name="up",
    summary="start a mesh, run it to the end, and write a report",
    example="localnet up digits -n 6 --rounds 5",
    options=_options,
    run=run,
)

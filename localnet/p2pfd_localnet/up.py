"""`localnet up`: check the whole plan, then run it to the end."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path

from p2pfd import plugins
from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number, one_of
from p2pfd.cli.screen import Screen
from p2pfd.core.spec import MOST_NODES
from p2pfd_localnet import attack, chaos, checks, detach, launch, options, plan, presets, script, state
from p2pfd_localnet.engines import spread
from p2pfd_localnet.engines.ray import RayEngine
from p2pfd_localnet.planfile import blaming
from p2pfd_localnet.words import Words
from p2pfd_localnet.zygote import ENTRY


def _options(parser: Parser) -> None:
    parser.add_argument(
        "plan", nargs="?", default=presets.DEFAULT, help=f"a preset or a .toml file ({presets.DEFAULT})"
    )
    parser.add_argument(
        "-n", "--nodes", type=number(1, MOST_NODES), metavar="N", help=f"how many nodes, 1 to {MOST_NODES}"
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
        help="K nodes that misbehave, or K %% of all, such as collude:40%%; may be repeated; "
        "p2pfd experiment --list has the kinds",
    )
    parser.add_argument(
        "--partners",
        type=number(0, MOST_NODES),
        metavar="K",
        help="with how many others a node merges in a round, where there is no common student; 0 stands for all",
    )
    parser.add_argument(
        "--chain",
        type=_chain,
        metavar="CHAIN",
        help="where the task settles: " + ", ".join(plan.CHAINS) + ", or the address of an anvil or ganache that runs",
    )
    parser.add_argument(
        "--chaos", type=Path, metavar="FILE", help="what is done to the mesh while it runs: a file of [[chaos]] tables"
    )
    parser.add_argument(
        "--spare",
        type=number(0, MOST_NODES - 1),
        metavar="K",
        help="seats that are kept free for nodes that join late (0): localnet add",
    )
    parser.suggest("plan", presets.names())
    parser.suggest("adapter", plugins.names("p2pfd.adapters"))
    parser.suggest("chain", plan.CHAINS)
    options.add_running(parser)
    spread.add_options(parser)
    parser.add_argument("--fresh", action="store_true", help="delete the mesh that ended in that directory first")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check the whole plan, print it and what it will take of this machine, and stop",
    )


def _chain(text: str) -> str:
    return text if plan.is_url(text) else one_of(*plan.CHAINS)(text)


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
        spare=args.spare,
    )
    if args.chaos is not None:
        chosen = plan.change(chosen, chaos=chosen.chaos + chaos.read(args.chaos, chosen.nodes))
    with blaming(chosen):
        checks.check(chosen)
        script.check(chosen)
    home = state.State(args.state)
    engine, cost = spread.chosen(chosen, args)
    with blaming(chosen):
        facts = checks.check_data(chosen)
    words = Words(screen, args.state)
    if args.dry_run:
        machines = engine.placement.to_plain() if isinstance(engine, RayEngine) else []
        words.plan(chosen, cost, machines)
        told = {"plan": chosen.to_plain(), "task": chosen.task(facts).id.hex(), "cost": cost.to_plain()}
        screen.result({**told, **({"machines": machines} if machines else {}), "state": str(args.state)})
        return exits.OK.code
    options.use_device(args.device)
    lock = state.claim(home, fresh=args.fresh)
    job = launch.Job(chosen, home, facts, entry=entry, port=args.port, engine=engine)
    return detach.aside(home, screen, partial(launch.launch, job, lock, args, screen), detached=args.detach)


UP = Command(
    name="up",
    summary="start a mesh, run it to the end, and write a report",
    example="localnet up digits -n 6 --rounds 5",
    options=_options,
    run=run,
)

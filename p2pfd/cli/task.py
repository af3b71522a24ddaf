"""`p2pfd task new|check|publish|show|find`: write a task, look at one, invite others to it, and find theirs."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import trio

from p2pfd.cli import boards, consent, exits, passphrase, publish, task_new
from p2pfd.cli.app import Command
from p2pfd.cli.invite import task_or_invitation
from p2pfd.cli.money import tokens
from p2pfd.cli.parse import Parser, one_of
from p2pfd.cli.screen import Screen
from p2pfd.cli.where import HOME
from p2pfd.core.manifest import Manifest
from p2pfd.core.spec import TaskSpec, in_hex
from p2pfd.errors import UsageError
from p2pfd.node import keys
from p2pfd.node.invitation import Outlook, find_chain, look
from p2pfd.settlement.fees import GWEI

_COMPARED = 30 * GWEI
"""What gas costs changes by the hour: costs are told at this price too, so that they can be compared."""


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Do what the first word says."""
    if args.action == "find":
        return boards.find(args, args.file, screen)
    if len(args.file) != 1:
        raise UsageError(f"task {args.action} takes one file", f"for example: p2pfd task {args.action} digits.toml")
    args.file = args.file[0]
    match args.action:
        case "new":
            return task_new.run(args, screen)
        case "publish":
            return publish.run(args, screen)
    spec, manifest = task_or_invitation(args.file)
    return _show(spec, manifest, screen) if args.action == "show" else _check(args, spec, manifest, screen)


def _show(spec: TaskSpec, manifest: Manifest | None, screen: Screen) -> int:
    told = {"id": spec.id.hex(), "task": in_hex(spec)} | ({} if manifest is None else _beside(manifest))
    screen.result(told)
    if not screen.as_json:
        screen.say(json.dumps(in_hex(spec) if manifest is None else told, indent=2))
    return exits.OK.code


def _check(args: argparse.Namespace, spec: TaskSpec, manifest: Manifest | None, screen: Screen) -> int:
    screen.say(f"{spec.name}: {spec.rounds} rounds, {spec.seats} seats, {spec.adapter} on {spec.data.name}")
    screen.say(f"id {spec.id.hex()}")
    told: dict[str, object] = {"id": spec.id.hex(), "name": spec.name, "ok": True}
    if manifest is not None:
        told |= _beside(manifest)
        screen.say(f"signed by {manifest.requester}" + (f": {manifest.note}" if manifest.note else ""))
    if args.chain_url:
        if manifest is None:
            raise UsageError("whose task is it? a task file does not say", "check an invitation: p2pfd task publish")
        outlook = trio.run(_look, manifest, args.chain_url)
        told["chain"] = told_of(outlook)
        say_state(outlook, manifest, screen)
    screen.result(told)
    return exits.OK.code


async def _look(manifest: Manifest, url: str) -> Outlook:
    await find_chain(manifest.task.chain, (url,))
    return await look(manifest, url, keys.fresh().account.account)


def say_state(outlook: Outlook, manifest: Manifest, screen: Screen) -> None:
    """How far the task is on its chain."""
    chain, state, seats = manifest.task.chain, outlook.state, manifest.task.seats
    screen.say(f"chain   {chain.chain_id} · {chain.profile} · the terms are the manifest's")
    if state is None:
        return
    if state.over:
        screen.say("state   it is over")
    elif state.gathering:
        left = max(0, state.deadline - outlook.now)
        screen.say(f"state   {state.taken} of {seats} seats are taken; workers can enrol for {left} s")
    else:
        screen.say(f"state   in round {state.round + 1} of {manifest.task.rounds}, with {state.taken} workers")


def told_of(outlook: Outlook) -> dict[str, object]:
    """What a chain said, for scripts."""
    state = outlook.state
    return {
        "url": outlook.url,
        "live": outlook.caps.live,
        "state": None
        if state is None
        else {
            "requester": state.requester,
            "gathering": state.gathering,
            "over": state.over,
            "round": state.round,
            "deadline": state.deadline,
            "taken": state.taken,
        },
    }


def say_cost(outlook: Outlook, screen: Screen) -> None:
    """What taking part takes, and what the account has."""
    chain_id, out, price = outlook.caps.chain_id, outlook.outlay, outlook.price
    screen.say(f"bring   {tokens(out.tokens)} tokens, which are bound; the wallet has {tokens(outlook.held.wallet)}")
    what = "encounters" if out.worst else "rounds"
    worst = f"; {out.worst:,} if every vote of all goes on the chain by itself" if out.worst else ""
    screen.say(f"gas     about {out.begin:,} to begin and about {out.rounds:,} for all {what}{worst}")
    if price:
        gas = out.begin + out.rounds
        whole = f"{consent.coins(gas * price, chain_id)} at {consent.gwei(price)}"
        if price != _COMPARED:
            whole += f" ({consent.coins(gas * _COMPARED, chain_id)} at {consent.gwei(_COMPARED)})"
        reserve, there = consent.coins(out.reserve * price, chain_id), consent.coins(outlook.coins, chain_id)
        screen.say(f"cost    {whole}; {reserve} must be there to begin, and there are {there}")


def _beside(manifest: Manifest) -> dict[str, object]:
    return {
        "requester": manifest.requester,
        "bootstrap": list(manifest.bootstrap),
        "data": list(manifest.data),
        "rpc": list(manifest.rpc),
        "until": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(manifest.until)) if manifest.until else "",
        "note": manifest.note,
    }


def _options(parser: Parser) -> None:
    parser.add_argument(
        "action",
        type=one_of("new", "check", "publish", "show", "find"),
        help="write a task file; check a task or an invitation; open it on its chain, write the invitation; show it; "
        "find one on notice boards",
    )
    parser.add_argument(
        "file",
        nargs="*",
        help="a task (JSON or TOML), or an invitation: a file, an address, - or its text. find: words",
    )
    boards.at_option(parser, f"publish, find: a notice board; several ({boards.VARIABLE})")
    boards.find_options(parser)
    boards.swarm_option(parser)
    parser.add_argument("--chain-url", default="", metavar="URL", help="check, publish: where the task's chain answers")
    parser.add_argument(
        "--home", type=Path, default=HOME, metavar="DIR", help=f"publish: the requester's directory, with keys ({HOME})"
    )
    passphrase.options(parser)
    publish.options(parser)
    task_new.options(parser)


TASK = Command(
    "task",
    "write, check, publish or show a task",
    "p2pfd task check .localnet/default/task.json",
    _options,
    run,
)

"""`p2pfd contracts show|verify|deploy`: what stands on a chain, whether it is this release's, and putting it there."""

from __future__ import annotations

import argparse

import trio

from p2pfd.cli import deploy, exits, where
from p2pfd.cli.app import Command
from p2pfd.cli.money import tokens
from p2pfd.cli.parse import Parser, one_of
from p2pfd.cli.screen import Screen
from p2pfd.errors import PlanError, UsageError
from p2pfd.settlement import deployment_plan, deployments
from p2pfd.settlement.onchain import Standing, inspect
from p2pfd.settlement.rpc import Rpc


def _run(args: argparse.Namespace, screen: Screen) -> int:
    if args.action == "deploy":
        return deploy.run(args, screen)
    return _of_file(args, screen) if args.deployments is not None else _of_task(args, screen)


def _of_task(args: argparse.Namespace, screen: Screen) -> int:
    place = where.find(args)

    async def main() -> tuple[Standing, ...]:
        async with where.opened(place) as chain:
            return await inspect(chain.rpc, place.task.chain)

    found = trio.run(main)
    chain = place.task.chain
    screen.say(f"chain   {chain.chain_id} · {chain.profile}")
    for standing in found:
        fate = standing.problem or "the code of this release"
        screen.say(f"{standing.contract:<12}{standing.address} · {standing.code_bytes:,} bytes · {fate}")
        for name, value in standing.settings.items():
            screen.say(f"            {name.replace('_', ' ')} {_shown(name, value)}")
    wrong = [standing for standing in found if standing.problem]
    screen.result(
        {
            "chain_id": chain.chain_id,
            "profile": chain.profile,
            "ok": not wrong,
            "contracts": [
                {
                    "contract": standing.contract,
                    "address": standing.address,
                    "code_bytes": standing.code_bytes,
                    "problem": standing.problem,
                    **standing.settings,
                }
                for standing in found
            ],
        }
    )
    return exits.ASSERTION.code if wrong and args.action == "verify" else exits.OK.code


def _of_file(args: argparse.Namespace, screen: Screen) -> int:
    """What stands where a deployments file says that something stands."""
    held = deployments.load(args.deployments)
    if held is None:
        raise PlanError(f"there is no file {args.deployments}", "p2pfd contracts deploy writes one")
    if not args.chain_url:
        raise UsageError("where does that chain answer?", "say it: --chain-url URL")

    async def main() -> dict[str, str]:
        rpc = Rpc(args.chain_url)
        try:
            await deployment_plan.recognise(rpc, held, args.deployments)
            return {name: await deployment_plan.problem(rpc, held, name) for name in held.contracts}
        finally:
            await rpc.aclose()

    problems = trio.run(main)
    screen.say(f"chain   {held.chain_id} · {held.profile} · file {args.deployments}")
    for name, value in held.settings.items():
        screen.say(f"setting {name.replace('_', ' ')} {_shown(name, value)}")
    for name, entry in held.contracts.items():
        fate = problems[name] or ("what was there before" if entry.state == "given" else "the code of this release")
        screen.say(f"{name:<12}{entry.address} · {fate}")
    told = deploy.as_json(held, args.deployments)
    ok = held.complete() and not any(problems.values())
    if not held.complete():
        screen.say("left    not everything is deployed: p2pfd contracts deploy goes on")
    screen.result(told | {"ok": ok, "problems": {name: text for name, text in problems.items() if text}})
    return exits.ASSERTION.code if not ok and args.action == "verify" else exits.OK.code


def _shown(name: str, value: object) -> str:
    return tokens(int(str(value))) if name in ("supply", "held", "bond", "threshold") else str(value)


def _options(parser: Parser) -> None:
    parser.add_argument(
        "action",
        type=one_of("show", "verify", "deploy"),
        help="show what stands there, end with code 5 if it is not ours, or put it there",
    )
    where.options(parser)
    deploy.options(parser)


CONTRACTS = Command(
    "contracts",
    "what stands on a chain, whether it is this release's, and putting it there",
    "p2pfd contracts verify --home .localnet/default",
    _options,
    _run,
)

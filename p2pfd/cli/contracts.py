"""`p2pfd contracts show|verify`: what stands on a task's chain, and whether it is what this release was built with."""

from __future__ import annotations

import argparse

import trio

from p2pfd.cli import exits, where
from p2pfd.cli.app import Command
from p2pfd.cli.money import tokens
from p2pfd.cli.parse import Parser, one_of
from p2pfd.cli.screen import Screen
from p2pfd.settlement.onchain import Standing, inspect


def _run(args: argparse.Namespace, screen: Screen) -> int:
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


def _shown(name: str, value: object) -> str:
    return tokens(int(str(value))) if name in ("supply", "held") else str(value)


def _options(parser: Parser) -> None:
    parser.add_argument(
        "action", type=one_of("show", "verify"), help="show what stands there, or end with code 5 if it is not ours"
    )
    where.options(parser)


CONTRACTS = Command(
    "contracts",
    "what stands on a task's chain, and whether it is this release's",
    "p2pfd contracts verify --home .localnet/default",
    _options,
    _run,
)

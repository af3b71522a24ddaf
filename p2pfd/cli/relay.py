"""`p2pfd relay`: a node without a task, which others begin with and are reached through. Until it is told to stop."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

import trio

from p2pfd.cli import exits, mesh, passphrase
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd.node import config, keystore
from p2pfd.node.clock import SystemClock

HOME = Path("p2pfd-relay")
LISTEN = "/ip4/0.0.0.0/tcp/4001"


def _run(args: argparse.Namespace, screen: Screen) -> int:
    home = args.home.absolute()
    settings = config.network_settings({**mesh.settings_of(args), "relay": True}, home)
    mine = keystore.open_or_make(home / "keys", passphrase.current(args.passphrase_file).get)
    last: dict[str, object] = {}

    def tell(event: str, told: dict[str, object]) -> None:
        if event == "listening":
            addresses = told["addresses"]
            assert isinstance(addresses, list)
            for address in addresses:
                screen.say(f"address {address}")
            if "metrics" in told:
                screen.say(f"metrics {told['metrics']}")
            screen.say(f"give    others one of these: --bootstrap {addresses[0]}, or --via where nobody can dial them")
        elif event == "ended":
            last.update(told)
            rest = f"at most {told['most_circuits']} circuits at one time, {told['full']} refused because of a limit"
            screen.say(f"carried {told['carried']} bytes from one to another; {rest}")
        else:
            last.update(told)
            words = f"{told['peers']} peers, {told['places']} of them reached through it, {told['circuits']} circuits"
            screen.say(f"serving {words}, {told['notices']} invitations on its board")

    async def main() -> None:
        from p2pfd.node.shelf import FOLDER
        from p2pfd.node.waypoint import run_waypoint  # libp2p takes a second to import, and most commands need none

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_told, nursery.cancel_scope)
            bootstrap = tuple(args.bootstrap)
            rest = (args.metrics, SystemClock(), tell, home / FOLDER)
            await run_waypoint(mine, args.listen, settings, bootstrap, *rest)

    trio.run(main)
    screen.say("ended   as it was told to")
    screen.result({"peer": mine.peer, **last})
    return exits.OK.code


async def _until_told(scope: trio.CancelScope) -> None:
    """An end that was asked for is no failure: whoever keeps services running must see that."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            break
    scope.cancel()


def _options(parser: Parser) -> None:
    parser.add_argument("--home", type=Path, default=HOME, metavar="DIR", help=f"its directory, with its keys ({HOME})")
    parser.add_argument("--listen", default=LISTEN, metavar="ADDR", help=f"where others can dial it ({LISTEN})")
    parser.add_argument("--bootstrap", action="append", default=[], metavar="ADDR", help="another one to know; several")
    parser.add_argument("--metrics", default="", metavar="ADDR:PORT", help="serve /metrics, /healthz and /readyz there")
    mesh.options(parser)
    passphrase.options(parser)


RELAY = Command(
    "relay",
    "be the node that others begin with, and are reached through",
    "p2pfd relay --listen /ip4/0.0.0.0/tcp/4001 --network relay_circuits=16",
    _options,
    _run,
)

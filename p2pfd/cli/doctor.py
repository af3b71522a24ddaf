"""`p2pfd doctor`: what may be wrong with a node, one line a check, each with what to do about it."""

from __future__ import annotations

import argparse
from pathlib import Path

import trio

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd.node import config
from p2pfd.node.clock import SystemClock
from p2pfd.node.findings import Finding, State, skipped

HOME = Path("p2pfd-node")
_MARKS = {State.WELL: ("ok", "green"), State.WRONG: ("wrong", "red"), State.SKIPPED: ("–", "dim")}


def _doctor(args: argparse.Namespace, screen: Screen) -> int:
    found = trio.run(_examine, args.home, args.chain_url, tuple(args.peer), screen)
    bad = [each for each in found if each.state is State.WRONG]
    plain = [{"check": e.check, "state": e.state.value, "what": e.what, "fix": e.fix} for e in found]
    screen.result({"checks": plain, "wrong": len(bad)})
    if bad:
        screen.say(f"{len(bad)} of {len(found)} checks found something wrong")
        return exits.ASSERTION.code
    screen.say("all is well")
    return exits.OK.code


async def _examine(named: Path | None, chain_url: str, peers: tuple[str, ...], screen: Screen) -> list[Finding]:
    # They take libp2p and torch with them: seconds that no other command should take.
    from p2pfd.network.reach import parse_address
    from p2pfd.node import doctor, surroundings

    found: list[Finding] = []

    def tell(finding: Finding) -> None:
        found.append(finding)
        mark, colour = _MARKS[finding.state]
        screen.say(f"{screen.style(mark.ljust(6), colour)}{finding.check.ljust(10)} {finding.what}")
        if finding.fix:
            screen.say(f"      fix: {finding.fix}")

    home = (named or HOME).absolute()
    for address in peers:
        parse_address(address)
    for finding in doctor.machine(home):
        tell(finding)
    settings, task = None, None
    if named is None and not (home / config.FILE).exists():
        tell(skipped("config", f"no node in {home}: p2pfd join makes one, p2pfd doctor DIR looks at another"))
    else:
        read, settings, task = await trio.to_thread.run_sync(doctor.files, home)
        for finding in read:
            tell(finding)
    clock = SystemClock()
    await surroundings.examine(settings, peers, clock, tell)
    url = chain_url or (settings.chain_url if settings is not None else "")
    await doctor.chain(task, url, clock, tell)
    return found


def _options(parser: Parser) -> None:
    parser.add_argument("home", type=Path, nargs="?", metavar="HOME", help=f"a node's directory ({HOME})")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="ADDR", help="a peer to ask whether it can dial back; several"
    )
    parser.add_argument("--chain-url", default="", metavar="URL", help="look at the task's chain there instead")


DOCTOR = Command(
    "doctor",
    "what may be wrong with a node, and what to do about it",
    "p2pfd doctor p2pfd-node --peer /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW...",
    _options,
    _doctor,
)

"""`p2pfd publish` and `p2pfd task find`: hang an invitation up on notice boards, and look for one there."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.invite import invitation
from p2pfd.cli.money import tokens
from p2pfd.cli.parse import Parser, number
from p2pfd.cli.screen import Screen
from p2pfd.core.manifest import Manifest
from p2pfd.core.ticks import SECOND
from p2pfd.errors import NetworkError, PlanError, UsageError
from p2pfd.network.settings import NetworkSettings
from p2pfd.node.clock import SystemClock

if TYPE_CHECKING:
    from p2pfd.node.notices import Notice

VARIABLE = "P2PFD_BOARDS"
"""The environment variable that names boards, for whoever names none."""
_WORDS = {
    "kept": "hangs there now",
    "known": "hangs there already",
    "older": "a later one of yours hangs there",
    "expired": "it is too old for that board: publish it again",
    "early": "it was signed in the future, by that board's clock: check both clocks",
    "undated": "it does not say when it was signed: publish it again",
    "bad": "that board takes it for no invitation",
    "crowded": "too many others hang there to this task already",
    "busy": "that board is busy: say it again in a minute",
}
_FINE = ("kept", "known")


def now() -> int:
    """This machine's second."""
    return SystemClock().now() // SECOND


def addresses(given: Sequence[str], env: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The boards that were named, else those of the environment; UsageError where there are none."""
    from p2pfd.network.reach import parse_address  # libp2p takes a second to import, and most commands need none

    found = tuple(given) or tuple(env.get(VARIABLE, "").replace(",", " ").split())
    if not found:
        raise UsageError("no notice board is named", f"say where one is: --at ADDR, or {VARIABLE}")
    for address in found:
        parse_address(address)
    return found


def hang(text: str, at: Sequence[str], network: NetworkSettings, screen: Screen) -> dict[str, str]:
    """Hang an invitation up, and say what became of it at each board; NetworkError where it hangs nowhere."""
    from p2pfd.node import boards

    told: dict[str, str] = {}
    for address, outcome, error in trio.run(boards.hang, text, at, network):
        told[address] = "silent" if outcome is None else outcome.value
        screen.say(f"board   {address}: {error.what if error is not None else _WORDS[told[address]]}")
    if not any(word in _FINE for word in told.values()):
        raise NetworkError(f"it hangs on none of {len(told)} boards", "see above; another one: --at ADDR")
    return told


def publish(args: argparse.Namespace, screen: Screen) -> int:
    """`p2pfd publish`: the invitation as it is; no key is needed."""
    text, manifest = invitation(args.invitation)
    told = hang(text, addresses(args.at), settings_of(args), screen)
    screen.say(f"join    p2pfd join {manifest.task.id.hex()[:16]} --at ADDR")
    screen.result({"id": manifest.task.id.hex(), "requester": manifest.requester, "boards": told})
    return exits.OK.code


def find(args: argparse.Namespace, words: Sequence[str], screen: Screen) -> int:
    """`p2pfd task find`: what hangs on these boards."""
    from p2pfd.node import boards

    reading = trio.run(boards.find, words, addresses(args.at), settings_of(args), now, args.most)
    found = reading.found(words)[: args.most]
    for notice in found:
        _show(notice.manifest, screen)
    for error in reading.silent:
        screen.say(f"silent  {error}")
    if reading.damaged:
        screen.say(f"note    {reading.damaged} entries are no invitations, or are over, and were left out")
    if not found:
        screen.say("found   nothing" + (" with these words" if words else ""))
    screen.result(
        {
            "tasks": [_told(each) for each in found],
            "damaged": reading.damaged,
            "silent": [str(e) for e in reading.silent],
        }
    )
    return exits.OK.code


def _show(manifest: Manifest, screen: Screen) -> None:
    task = manifest.task
    day = time.strftime("%Y-%m-%d", time.gmtime(manifest.until)) if manifest.until else ""
    pays = "" if task.chain.profile == "none" else f" · {tokens(task.money.pot)} tokens a round on {task.chain.profile}"
    screen.say(f"{task.id.hex()[:16]}  {task.name} · {task.adapter} on {task.data.name}{pays}")
    screen.say(f"{'':16}  {task.rounds} rounds · {task.seats} seats · asked by {manifest.requester}")
    if manifest.note or day:
        screen.say(f"{'':16}  " + " · ".join(part for part in (manifest.note, day and f"until {day}") if part))


def _told(notice: Notice) -> dict[str, object]:
    manifest, task = notice.manifest, notice.manifest.task
    return {
        "id": task.id.hex(),
        "name": task.name,
        "requester": manifest.requester,
        "adapter": task.adapter,
        "data": task.data.name,
        "chain": task.chain.profile,
        "chain_id": task.chain.chain_id,
        "rounds": task.rounds,
        "seats": task.seats,
        "issued": manifest.issued,
        "until": manifest.until,
        "note": manifest.note,
        "invitation": notice.text,
    }


def fetched(wanted: str, at: Sequence[str], network: NetworkSettings) -> list[tuple[str, Manifest]]:
    """The invitations to one task that hang on boards, each of another requester; PlanError where there is none."""
    from p2pfd.node import boards

    prefix, _, who = wanted.lower().partition("@")
    reading = trio.run(boards.fetch, prefix, addresses(at), network, now)
    found = [each for each in reading.notices.of(prefix) if each.manifest.requester.lower().startswith(who)]
    tasks = sorted({each.manifest.task.id.hex() for each in found})
    if not tasks:
        silent = "".join(f"; {error.what}" for error in reading.silent)
        raise PlanError(f"no board has an invitation to {wanted[:80]}{silent}", "p2pfd task find says which there are")
    if len(tasks) > 1:
        raise UsageError(f"{len(tasks)} tasks begin with {prefix}", "write more of it: " + ", ".join(tasks[:8]))
    return [(each.text, each.manifest) for each in found]


def settings_of(args: argparse.Namespace) -> NetworkSettings:
    """The network of whoever asks a board: all are one, but private ones."""
    if args.swarm_key is None:
        return NetworkSettings()
    return NetworkSettings(network_key=str(Path(args.swarm_key).absolute()))


def at_option(parser: Parser, what: str) -> None:
    """The option that names boards."""
    parser.add_argument("--at", action="append", default=[], metavar="ADDR", help=what)


def find_options(parser: Parser) -> None:
    """What `p2pfd task find` takes besides words."""
    parser.add_argument("--most", type=number(1, 1000), default=20, metavar="N", help="find: so many at most (20)")


def swarm_option(parser: Parser) -> None:
    """The option for boards of a private mesh."""
    parser.add_argument("--swarm-key", type=Path, metavar="FILE", help="the boards are of a private mesh: its key")


def _options(parser: Parser) -> None:
    parser.add_argument("invitation", help="what p2pfd task publish wrote: a file, an address, - or its text")
    at_option(parser, f"a notice board: any relay, or any node that came by an invitation; several ({VARIABLE})")
    swarm_option(parser)


PUBLISH = Command(
    "publish",
    "hang an invitation up on notice boards, where strangers find it",
    "p2pfd publish digits.p2pfd --at /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW...",
    _options,
    publish,
)

"""Which task's money a command is about, and the way to its chain: a node's directory, a mesh's, or a task and URL."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import trio

from p2pfd.cli.parse import Parser, number
from p2pfd.cli.task_file import load as load_task
from p2pfd.core.spec import TaskSpec
from p2pfd.errors import PlanError, UsageError
from p2pfd.node import config, keys, keystore
from p2pfd.settlement.profiles import Chain, capped, embedded_chain, open_chain, profile_of

HOME = Path("p2pfd-node")
_CHAIN_STATE = Path("chain")
_CHAIN_FILE = "chain.sqlite"
_KNOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """A task, where its chain answers, where an embedded chain keeps its files, and where the node's keys are."""

    task: TaskSpec
    url: str
    state: Path | None
    keys_at: Path | None

    def own_keys(self, ask: Callable[[], str]) -> keys.NodeKeys:
        """The keys of the node whose directory was named; ``ask`` has their passphrase, if they have one."""
        if self.keys_at is None:
            raise UsageError("whose account? a mesh or a task has many", "name a node's directory: --home DIR")
        return keystore.open_keys(self.keys_at, ask)


def options(parser: Parser) -> None:
    """The options that name a place."""
    parser.add_argument(
        "--home", type=Path, default=HOME, metavar="DIR", help=f"a node's directory, or a local mesh's ({HOME})"
    )
    parser.add_argument("--task", type=Path, metavar="FILE", help="a task file, instead of the directory's")
    parser.add_argument("--chain-url", default="", metavar="URL", help="where the task's chain answers")


def gas_option(parser: Parser, what: str = "") -> None:
    """The option that bounds what is offered for gas."""
    most = f"{what}offer no more for a unit of gas (the profile's)"
    parser.add_argument("--max-gwei", type=number(0, 10**7), default=0, metavar="N", help=most)


def find(args: argparse.Namespace) -> Place:
    """The place that the options name; PlanError where there is none, or nothing settles there."""
    place = _of_task(args.task, args.chain_url, args.home) if args.task else _of_directory(args.home, args.chain_url)
    if place.task.chain.profile == "none":
        raise PlanError(f"the task {place.task.name} settles on no chain", "nobody stakes and nobody is paid in it")
    return place


@asynccontextmanager
async def opened(place: Place, max_gwei: int = 0) -> AsyncIterator[Chain]:
    """The place's chain, with no more than this offered for gas.

    An embedded chain that nobody runs now is run from its files while the block lasts.
    """
    profile = capped(profile_of(place.task.chain), max_gwei)
    if place.state is not None and not await _answers(place.url):
        async with (
            embedded_chain(place.state, ()) as own,
            open_chain(place.task.chain, own.url, profile=profile) as chain,
        ):
            yield chain
    elif place.url:
        async with open_chain(place.task.chain, place.url, profile=profile) as chain:
            yield chain
    else:
        raise UsageError("where does the task's chain answer?", "say it: --chain-url URL")


def _of_task(path: Path, url: str, home: Path) -> Place:
    at = home.absolute() / "keys"
    return Place(load_task(path), url, None, at if keystore.exists(at) else None)


def _of_directory(home: Path, url: str) -> Place:
    home = home.absolute()
    if (home / config.FILE).is_file():
        settings = config.load(home / config.FILE)
        state = None if url else _state(home.parent.parent)
        return Place(settings.load_task(), url or settings.chain_url, state, home / "keys")
    if (home / "task.json").is_file():
        return Place(load_task(home / "task.json"), url or _url_of_nodes(home), None if url else _state(home), None)
    raise PlanError(
        f"{home} is neither a node's directory nor a mesh's",
        "name one: --home p2pfd-node, --home .localnet/default; or --task FILE --chain-url URL",
    )


def _url_of_nodes(mesh: Path) -> str:
    """A mesh's nodes were told where the chain is."""
    for file in sorted(mesh.glob(f"nodes/*/{config.FILE}")):
        return config.load(file).chain_url
    return ""


def _state(mesh: Path) -> Path | None:
    state = mesh / _CHAIN_STATE
    return state if (state / _CHAIN_FILE).is_file() else None


async def _answers(url: str) -> bool:
    """Whether anybody listens there."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.port:
        return False
    try:
        with trio.fail_after(_KNOCK_SECONDS):
            stream = await trio.open_tcp_stream(parts.hostname, parts.port)
            await stream.aclose()
    except (OSError, trio.TooSlowError):
        return False
    return True

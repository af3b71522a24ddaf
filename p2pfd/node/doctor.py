"""What may be wrong with a node, looked for before it runs: this machine, its files, its network and its chain.

Nothing is changed, and nobody learns who the node is: whatever is dialled or asked is asked under keys made up for it.
"""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import trio

from p2pfd import plugins
from p2pfd.core.spec import TaskSpec
from p2pfd.core.ticks import SECOND, Clock
from p2pfd.errors import EnvironmentProblem, NetworkError, P2pfdError
from p2pfd.network.libp2p import open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.node import config, keys, keystore
from p2pfd.node.runtime import check_terms
from p2pfd.node.scrape import open_listener
from p2pfd.settlement import answers
from p2pfd.settlement.profiles import Chain, open_chain, profile_of

PYTHONS = ((3, 11), (3, 14))
DISK_BYTES = 1_000_000_000
AHEAD_SECONDS = 30
BEHIND_SECONDS = 120
PATIENCE = NetworkSettings(connect_seconds=5.0)
LISTEN = "/ip4/127.0.0.1/tcp/0"
_BOUND = re.compile(r"(>=|<=|==|<|>)([0-9][0-9a-z.]*)")


class State(Enum):
    """How a check came out."""

    WELL = "well"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, in a line, and what to do about it when it is wrong."""

    check: str
    state: State
    what: str
    fix: str = ""


Tell = Callable[[Finding], None]


def well(check: str, what: str) -> Finding:
    """All is well with it."""
    return Finding(check, State.WELL, what)


def wrong(check: str, error: P2pfdError) -> Finding:
    """It is not as it should be."""
    return Finding(check, State.WRONG, error.what, error.fix or "see the message")


def skipped(check: str, why: str) -> Finding:
    """There was nothing to look at."""
    return Finding(check, State.SKIPPED, why)


# --- This machine ----------------------------------------------------------------------------------------------------


def machine(home: Path) -> Iterator[Finding]:
    """Python, packages and disk."""
    low, high = PYTHONS
    here = platform.python_version()
    if low <= sys.version_info[:2] < high:
        yield well("python", here)
    else:
        fix = f"use Python {low[0]}.{low[1]} to {high[0]}.{high[1] - 1}"
        yield wrong("python", EnvironmentProblem(f"this is Python {here}", fix))
    yield packages()
    yield disk(home)


def packages() -> Finding:
    """Whether what p2pfd needs is installed, in versions that it was tested with."""
    needed = plugins.requirements("p2pfd")
    bad = [
        f"{name} {found or 'is missing'} (needs {bounds})"
        for name, bounds in needed
        if (found := plugins.version_of(name)) is None or not within(found, bounds)
    ]
    if bad:
        return wrong("packages", EnvironmentProblem("; ".join(bad), "run `make install`, or `pip install p2pfd` anew"))
    if not needed:
        return skipped("packages", "p2pfd is not installed as a package here")
    return well("packages", f"{len(needed)} in versions that fit")


def within(version: str, bounds: str) -> bool:
    """Whether a version lies within bounds such as ``>=1.2,<2``; letters after the numbers are passed over."""

    def parts(text: str) -> tuple[int, ...]:
        numbers = [int(found[0]) for part in text.split(".") if (found := re.match(r"\d+", part))]
        while numbers and numbers[-1] == 0:
            numbers.pop()
        return tuple(numbers)

    here = parts(version)
    tests: dict[str, Callable[[tuple[int, ...]], bool]] = {
        ">=": lambda bound: here >= bound,
        "<=": lambda bound: here <= bound,
        "==": lambda bound: here == bound,
        "<": lambda bound: here < bound,
        ">": lambda bound: here > bound,
    }
    return all(tests[sign](parts(text)) for sign, text in _BOUND.findall(bounds))


def disk(home: Path) -> Finding:
    """Whether there is room for what a node writes."""
    place = next(each for each in (home, *home.parents) if each.is_dir())
    free = shutil.disk_usage(place).free
    what = f"{free / 1e9:.1f} GB free at {place}"
    if free < DISK_BYTES:
        return wrong("disk", EnvironmentProblem(what, "free some space there, or keep the node on another disk"))
    return well("disk", what)


# --- Its files -------------------------------------------------------------------------------------------------------


def files(home: Path) -> tuple[list[Finding], config.NodeConfig | None, TaskSpec | None]:
    """The node's settings, its task and its keys; and the first two, where they can be read."""
    found: list[Finding] = []
    settings: config.NodeConfig | None = None
    task: TaskSpec | None = None
    try:
        settings = config.load(home / config.FILE)
        found.append(well("config", f"{home / config.FILE}: shard {settings.shard} of {settings.shards}"))
        task = settings.load_task()
        found.append(well("task", f"{task.name}: {task.rounds} rounds, {task.seats} seats, {task.adapter}"))
    except P2pfdError as error:
        found.append(wrong("config" if settings is None else "task", error))
    at = (home if settings is None else Path(settings.home)) / "keys"
    try:
        who = keystore.identity(at)
        if task is not None and task.chain.profile != "none" and profile_of(task.chain).live:
            keystore.require_encrypted(at, task.chain.profile)
        kind = "encrypted" if who.encrypted else "plain"
        found.append(well("keys", f"{kind}, for this user only: peer {who.peer}, account {who.account}"))
    except P2pfdError as error:
        found.append(wrong("keys", error))
    return found, settings, task


# --- Its network -----------------------------------------------------------------------------------------------------


async def network(settings: config.NodeConfig | None, tell: Tell) -> None:
    """Whether it can listen, be reached, and reach others."""
    listen = LISTEN if settings is None else settings.listen
    bootstrap = () if settings is None else settings.bootstrap
    async with open_transport(keys.fresh().peer_private, LISTEN, PATIENCE) as other:
        try:
            async with open_transport(keys.fresh().peer_private, listen, PATIENCE) as node:
                tell(well("listen", listen))
                for address in node.addresses:
                    shown = address.split("/p2p/")[0]
                    tell(await tried(f"reach {shown}", other.connect(address), "it can be dialled from here"))
                    await other.disconnect(node.peer)
        except P2pfdError as error:
            tell(wrong("listen", error))
        for address in bootstrap:
            tell(await tried(f"peer {address.split('/p2p/')[0]}", other.connect(address), ""))
    if settings is not None and settings.metrics:
        tell(await metrics(settings.metrics))
    looking = NetworkSettings().discover
    if looking or bootstrap:
        found = (
            "it looks for more peers by itself" if looking else "off: its peers are those of --bootstrap, and who dials"
        )
        tell(well("discovery", found))
    else:
        tell(skipped("discovery", "off, and there is no peer to dial: others have to dial this node"))


async def tried(check: str, dial: Awaitable[str], what: str) -> Finding:
    """A dial: who answered, and how long it took."""
    before = trio.current_time()
    try:
        peer = await dial
    except NetworkError as error:
        return wrong(check, error)
    return well(check, what or f"{peer} answered within {1000 * (trio.current_time() - before):.0f} ms")


async def metrics(endpoint: str) -> Finding:
    """Whether metrics can be served where they are to be."""
    try:
        listener = await open_listener(endpoint)
    except P2pfdError as error:
        return wrong("metrics", error)
    await listener.aclose()
    return well("metrics", endpoint)


# --- Its chain -------------------------------------------------------------------------------------------------------


async def chain(task: TaskSpec | None, url: str, clock: Clock, tell: Tell) -> None:
    """Whether the chain answers, is the one that the task means, holds it to the same terms, and has the same time."""
    if task is None or task.chain.profile == "none":
        tell(skipped("chain", "the task settles on none" if task is not None else "there is no task"))
        return
    looking_at = "chain"
    try:
        async with open_chain(task.chain, url) as opened:
            kind = f"{task.chain.profile} {task.chain.chain_id}"
            tell(well("chain", f"{kind} at {opened.rpc.url}, market {task.chain.market}"))
            looking_at = "terms"
            tell(await agreed(opened, task))
            looking_at = "clock"
            tell(await timed(opened, clock))
    except P2pfdError as error:
        tell(wrong(looking_at, error))


async def agreed(opened: Chain, task: TaskSpec) -> Finding:
    """Whether the chain holds the task to its own terms; ChainError when it does not."""
    await check_terms(opened.settlement(keys.fresh().account), task)
    return well("terms", "the chain holds the task to the terms of its file")


async def timed(opened: Chain, clock: Clock) -> Finding:
    """Whether this machine's clock goes with the chain's; one that makes blocks only when asked may be behind."""
    block = answers.record(await opened.rpc.call("eth_getBlockByNumber", "latest", False), "a block")
    behind = clock.now() / SECOND - answers.number(block.get("timestamp"), "a block's time")
    fix = "set this machine's clock, for example with `timedatectl set-ntp true`"
    if behind < -AHEAD_SECONDS:
        return wrong("clock", EnvironmentProblem(f"it is {-behind:.0f} s behind the chain's last block", fix))
    if opened.caps.live and behind > BEHIND_SECONDS:
        return wrong("clock", EnvironmentProblem(f"the chain's last block is {behind:.0f} s old by this clock", fix))
    return well("clock", f"the chain's last block is {max(behind, 0):.0f} s old by this clock")

"""What may be wrong with a node, looked for before it runs: this machine, its files, its network and its chain.

Nothing is changed, and nobody learns who the node is: whatever is dialled or asked is asked under keys made up for it.
What is looked at beyond this machine is in `p2pfd.node.surroundings`.
"""

from __future__ import annotations

import importlib
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from p2pfd import plugins
from p2pfd.core.spec import TaskSpec
from p2pfd.core.ticks import SECOND, Clock
from p2pfd.errors import EnvironmentProblem, P2pfdError
from p2pfd.node import config, keys, keystore
from p2pfd.node.findings import Finding, Tell, skipped, well, wrong
from p2pfd.node.terms import check_terms
from p2pfd.settlement import answers
from p2pfd.settlement.profiles import Chain, open_chain, profile_of

PYTHONS = ((3, 11), (3, 14))
DISK_BYTES = 1_000_000_000
AHEAD_SECONDS = 30
BEHIND_SECONDS = 120
_BOUND = re.compile(r"(>=|<=|==|<|>)([0-9][0-9a-z.]*)")


# --- This machine ----------------------------------------------------------------------------------------------------


def machine(home: Path) -> Iterator[Finding]:
    """Python, packages, torch and disk."""
    low, high = PYTHONS
    here = platform.python_version()
    if low <= sys.version_info[:2] < high:
        yield well("python", here)
    else:
        fix = f"use Python {low[0]}.{low[1]} to {high[0]}.{high[1] - 1}"
        yield wrong("python", EnvironmentProblem(f"this is Python {here}", fix))
    yield packages()
    yield torch()
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


def torch() -> Finding:
    """Whether what learns can be loaded and can calculate: a package may be there and not fit this machine."""
    fix = "run `make install`, or `pip install torch` in this environment"
    try:
        found = importlib.import_module("torch")
        two = float(found.ones(2).sum())
    except (ImportError, OSError, RuntimeError) as error:
        return wrong("torch", EnvironmentProblem(f"torch cannot be used: {error}", fix))
    if two != 2:
        return wrong("torch", EnvironmentProblem(f"torch says that 1 + 1 is {two:g}", fix))
    where = "with a GPU" if found.cuda.is_available() else "without a GPU"
    return well("torch", f"{found.__version__}, {found.get_num_threads()} threads, {where}")


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

"""Whether this machine can carry a mesh: packages, memory, disk, ports. Asked before anything starts."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import resource
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from p2pfd.errors import EnvironmentProblem
from p2pfd_localnet.cost import Cost, estimate
from p2pfd_localnet.plan import Plan

LOOPBACK = "127.0.0.1"
DISK_MB = 64
"""What is left free in any case."""
_FILES = 64
THREADS = 12
"""Of a node: torch has some, and trio one for each thing that waits aside."""
PORTS = 10
"""Of a node: what it listens on, its neighbours, and the chain."""
CGROUP = Path("/sys/fs/cgroup")
PIDS = CGROUP / "pids.max"
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
PACKAGES = ("torch", "libp2p", "numpy", "sklearn", "safetensors", "msgpack", "cryptography", "coincurve", "trio")
CHAIN_PACKAGES = ("eth_abi", "eth_account", "eth", "h11")


def check(plan: Plan, home: Path, port: int = 0) -> Cost:
    """What the mesh will take; EnvironmentProblem for the first thing that is missing."""
    if not hasattr(os, "fork"):
        raise EnvironmentProblem("this system cannot fork processes", "run local meshes on Linux, macOS or WSL")
    check_packages(PACKAGES + (CHAIN_PACKAGES if plan.chain != "none" else ()))
    cost = estimate(plan)
    check_memory(plan, cost)
    check_disk(home, cost)
    check_limits(plan)
    if port:
        check_port(port)
    return cost


def check_packages(names: tuple[str, ...]) -> None:
    """Whether these can be imported."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(
            f"the package {missing[0]} is not installed",
            "run `make install`, or `pip install p2pfd` in this environment",
        )


def check_memory(plan: Plan, cost: Cost) -> None:
    """Whether there is room for so many nodes, where the system tells."""
    free = available_mb()
    if free is None or cost.memory_mb <= free:
        return
    most = most_nodes(plan, lambda smaller: estimate(smaller).memory_mb <= free)
    fix = f"take at most {most} nodes with -n {most}, or close some programs" if most else "close some programs"
    raise EnvironmentProblem(
        f"{plan.nodes} nodes need about {cost.memory_mb} MB of memory, and {free} MB are free", fix
    )


def most_nodes(plan: Plan, fits: Callable[[Plan], bool]) -> int:
    """The largest number of nodes with which the plan fits; 0 where none does."""
    low, high = 0, plan.nodes
    while low < high:
        middle = (low + high + 1) // 2
        smaller = dataclasses.replace(plan, nodes=middle, attack={})
        low, high = (middle, high) if fits(smaller) else (low, middle - 1)
    return low


def check_limits(plan: Plan) -> None:
    """Whether the system lets so many processes, files and ports be, where it tells."""
    for what, have, need, fix in (
        ("open files of a process", _limit("RLIMIT_NOFILE"), _files(plan), "ulimit -n {need}"),
        ("processes and threads", _tasks(), _threads(plan), "ulimit -u, or the container's limit of pids"),
        ("ports for connections", _ports(), _connections(plan), "sysctl net.ipv4.ip_local_port_range"),
    ):
        if have is not None and need > have:
            raise EnvironmentProblem(
                f"{plan.nodes} nodes need about {need} {what}, and the limit is {have}",
                f"take fewer nodes with -n, or raise it: {fix.format(need=need)}",
            )


def _files(plan: Plan) -> int:
    """Of the process that needs most: who holds the nodes has a pipe to each, and a node its connections."""
    return _FILES + 2 * plan.nodes


def _threads(plan: Plan) -> int:
    return _FILES + THREADS * plan.nodes


def _connections(plan: Plan) -> int:
    return _FILES + PORTS * plan.nodes


def _limit(name: str) -> int | None:
    """A soft limit; None where there is none."""
    soft, _ = resource.getrlimit(getattr(resource, name))
    return None if soft == resource.RLIM_INFINITY else int(soft)


def _tasks() -> int | None:
    """How many processes and threads there may be: the container's limit, or the user's, unless that is root's."""
    most = _number(PIDS)
    user = None if os.geteuid() == 0 else _limit("RLIMIT_NPROC")
    return min((each for each in (most, user) if each is not None), default=None)


def _ports() -> int | None:
    try:
        low, high = (int(word) for word in PORT_RANGE.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return None
    return high - low + 1


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # there is no such file, or it says "max"
        return None


def available_mb() -> int | None:
    """The memory that new programs can have, in MB; None where the system does not tell."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    free = next((int(line.split()[1]) // 1000 for line in text.splitlines() if line.startswith("MemAvailable:")), None)
    most, used = _number(CGROUP / "memory.max"), _number(CGROUP / "memory.current")
    if most is None or used is None:
        return free
    room = max(0, most - used) // 1_000_000
    return room if free is None else min(free, room)


def check_disk(home: Path, cost: Cost) -> None:
    """Whether the disk has room for the mesh's files."""
    place = home.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free // 1_000_000
    want = max(DISK_MB, round(2 * cost.disk_mb))
    if free < want:
        raise EnvironmentProblem(
            f"{free} MB are free on the disk of {home}, and this mesh wants {want} MB",
            "free some space, or name a directory on another disk with --state",
        )


def check_port(port: int, host: str = LOOPBACK, option: str = "--port") -> None:
    """Whether a port is free, on loopback if nothing else is said."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)  # on some systems it is only here that a port turns out to be taken
        except OSError as error:
            where = f"port {port}" if host == LOOPBACK else f"port {port} of {host}"
            raise EnvironmentProblem(
                f"{where} cannot be used: {error.strerror}", f"name another one with {option}, or none at all"
            ) from error

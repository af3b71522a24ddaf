"""Whether this machine can carry a mesh: packages, memory, disk, ports. Asked before anything starts."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path

from p2pfd.errors import EnvironmentProblem

LOOPBACK = "127.0.0.1"
BASE_MB = 600
NODE_MB = 60
DISK_MB = 64
PACKAGES = ("torch", "libp2p", "numpy", "sklearn", "safetensors", "msgpack", "cryptography", "coincurve", "trio")
CHAIN_PACKAGES = ("eth_abi", "eth_account", "eth", "h11")


def check(nodes: int, home: Path, *, chain: bool, port: int) -> None:
    """EnvironmentProblem for the first thing that is missing."""
    if not hasattr(os, "fork"):
        raise EnvironmentProblem("this system cannot fork processes", "run local meshes on Linux, macOS or WSL")
    check_packages(PACKAGES + (CHAIN_PACKAGES if chain else ()))
    check_memory(nodes)
    check_disk(home)
    if port:
        check_port(port)


def check_packages(names: tuple[str, ...]) -> None:
    """Whether these can be imported."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(
            f"the package {missing[0]} is not installed",
            "run `make install`, or `pip install p2pfd` in this environment",
        )


def check_memory(nodes: int) -> None:
    """Whether there is room for so many nodes, where the system tells."""
    free = available_mb()
    want = BASE_MB + NODE_MB * nodes
    if free is not None and free < want:
        most = max((free - BASE_MB) // NODE_MB, 0)
        fix = f"take at most {most} nodes with -n {most}, or close some programs" if most else "close some programs"
        raise EnvironmentProblem(f"{nodes} nodes need about {want} MB of memory, and {free} MB are free", fix)


def available_mb() -> int | None:
    """The memory that new programs can have, in MB; None where the system does not tell."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1000
    return None


def check_disk(home: Path) -> None:
    """Whether the disk has room for the mesh's files."""
    place = home.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free // 1_000_000
    if free < DISK_MB:
        raise EnvironmentProblem(
            f"{free} MB are free on the disk of {home}, and a mesh wants {DISK_MB} MB",
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

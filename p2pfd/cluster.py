"""The machines of a Ray cluster: reached, listed, and asked whether they have what is here.

Ray is an extra (``pip install 'p2pfd[ray]'``) and is imported by nothing but what is started to speak with it.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import p2pfd
from p2pfd.errors import EnvironmentProblem, NetworkError, NotRunningError, P2pfdError, PlanError

AUTO = "auto"
NAMESPACE = "p2pfd"
REACH_SECONDS = 5.0
ANSWER_SECONDS = 120.0
"""How long a machine may take to start a process there and to answer."""
PACKAGES = ("p2pfd", "p2pfd_adapters", "p2pfd_localnet")
INSTALL = "install the extra: pip install 'p2pfd[ray]'"


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a cluster, as Ray and the machine itself tell of it."""

    id: str
    address: str
    cpus: float
    """As many as Ray was told of, which need not be as many as there are."""
    free_mb: int | None = None
    label: str = ""
    """What people call it: its address, and a number where several have the same."""

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def check_installed() -> None:
    """EnvironmentProblem where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise EnvironmentProblem("the package ray is not installed", INSTALL)


def labelled(machines: Sequence[Machine]) -> tuple[Machine, ...]:
    """The machines with names that differ, in the order of their addresses."""
    found: list[Machine] = []
    for one in sorted(machines, key=lambda machine: (_numbers(machine.address), machine.id)):
        same = sum(other.address == one.address for other in found)
        label = f"{one.address}#{same + 1}" if same else one.address
        found.append(Machine(one.id, one.address, one.cpus, one.free_mb, label))
    return tuple(found)


def _numbers(address: str) -> tuple[tuple[int, str], ...]:
    return tuple((len(part), part) for part in address.split("."))


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module ray, with a connection to this cluster; the P2pfdError says why there is none."""
    check_installed()
    _check_reachable(address)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    try:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            configure_logging=False,
        )
    except ConnectionError as error:
        raise NotRunningError(f"no Ray cluster answers at {address}", _start()) from error
    except (RuntimeError, ValueError, OSError, AssertionError) as error:
        raise _refused(address, str(error)) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _start() -> str:
    return "start one: ray start --head, and on each other machine ray start --address HOST:PORT"


def _check_reachable(address: str) -> None:
    """Ray itself would try for a minute."""
    if address == AUTO:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise PlanError(f"--address {address!r} is no cluster", "write HOST:PORT, as ray start --head shows it")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise NotRunningError(f"no Ray cluster answers at {address}: {error}", _start()) from error


def _refused(address: str, why: str) -> P2pfdError:
    lines = [line.strip() for line in why.splitlines() if line.strip()]
    if "ersion mismatch" in why:
        return EnvironmentProblem(
            "this machine and the cluster have different versions: " + " ".join(lines[:8]),
            "take the same Python and the same Ray on every machine",
        )
    first = lines[0] if lines else "no reason was given"
    return NetworkError(
        f"the Ray cluster at {address} cannot be used from this machine: {first}",
        "this machine must be one of the cluster's: ray start --address HOST:PORT",
    )


# -- what is there -----------------------------------------------------------------------------------------------------


def survey(ray: Any) -> tuple[Machine, ...]:
    """The machines that live, each asked what it has; EnvironmentProblem for the first that has not what is here."""
    nodes = living(ray)
    probe = _probe()
    mine = probe()
    asked = [(node, on(ray, node["NodeID"], probe)) for node in nodes]
    found = []
    for node, answer in asked:
        told = _answer(ray, node["NodeManagerAddress"], answer)
        compare(node["NodeManagerAddress"], mine, told)
        cpus = float(node["Resources"]["CPU"])
        found.append(Machine(node["NodeID"], node["NodeManagerAddress"], cpus, told["free_mb"]))
    if not found:
        raise NotRunningError("no machine of the Ray cluster has a CPU to offer", "ray start --num-cpus N")
    return labelled(found)


def living(ray: Any) -> list[dict[str, Any]]:
    """The machines that live and have a CPU to offer, as Ray tells of them."""
    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]


def on(ray: Any, machine: str, function: Callable[..., Any], *args: Any) -> Any:
    """Start a function on one machine; what Ray knows its outcome by."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(machine, soft=False)
    return ray.remote(function).options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(*args)


def here(ray: Any) -> str:
    """This machine, as the cluster knows it."""
    return str(ray.get_runtime_context().get_node_id())


def _answer(ray: Any, address: str, answer: Any) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = ray.get(answer, timeout=ANSWER_SECONDS)
    except ray.exceptions.RayError as error:
        raise NetworkError(
            f"the machine {address} does not answer: {str(error).splitlines()[0]}",
            "look at ray status; leave it out by ending Ray there: ray stop",
        ) from error
    return found


def _probe() -> Callable[[], dict[str, Any]]:
    """What a machine has; a function that needs nothing there but Python, so that it can tell what is missing."""
    packages = PACKAGES

    def probe() -> dict[str, Any]:
        import hashlib
        import importlib.metadata
        import importlib.util
        import pathlib
        import platform
        import sys

        def version(name: str) -> str:
            try:
                return importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                return ""

        digest, missing = hashlib.sha256(), []
        for name in packages:
            spec = importlib.util.find_spec(name)
            if spec is None or not spec.origin:
                missing.append(name)
                continue
            root = pathlib.Path(spec.origin).parent
            for path in sorted(root.rglob("*.py")):
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
        try:
            lines = pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
            free = next(int(line.split()[1]) // 1000 for line in lines if line.startswith("MemAvailable:"))
        except (OSError, StopIteration):
            free = None
        return {
            "python": platform.python_version(),
            "executable": sys.executable,
            "p2pfd": version("p2pfd"),
            "torch": version("torch"),
            "missing": missing,
            "code": digest.hexdigest(),
            "free_mb": free,
        }

    return probe


def compare(address: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """EnvironmentProblem where a machine has something else than this one, and what to install there."""
    where = f"the machine {address} ({theirs['executable']})"
    if theirs["missing"]:
        raise EnvironmentProblem(
            f"{where} has no {theirs['missing'][0]}",
            f"install p2pfd {p2pfd.__version__} there: {theirs['executable']} -m pip install 'p2pfd[ray]', "
            "and start Ray with that Python",
        )
    short = {key: ".".join(str(told["python"]).split(".")[:2]) for key, told in (("mine", mine), ("theirs", theirs))}
    if short["mine"] != short["theirs"]:
        raise EnvironmentProblem(
            f"{where} runs Python {theirs['python']}, and this one {mine['python']}",
            f"start Ray there with Python {short['mine']}",
        )
    for package in ("p2pfd", "torch"):
        if mine[package] != theirs[package]:
            raise EnvironmentProblem(
                f"{where} has {package} {theirs[package] or 'of no release'}, and this one {mine[package]}",
                f"install the same there: {theirs['executable']} -m pip install {package}=={mine[package]}",
            )
    if mine["code"] != theirs["code"]:
        raise EnvironmentProblem(
            f"{where} has other files of p2pfd {theirs['p2pfd']} than this one",
            "install the same release on every machine, or the same commit",
        )

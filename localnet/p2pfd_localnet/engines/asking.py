"""Asks a Ray cluster something, in a process of its own: ``python -m p2pfd_localnet.engines.asking WHAT ADDRESS …``.

The answer is one JSON object on stdout. Whoever asks has no thread of Ray's, and may go on to fork.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from p2pfd.cluster import connected, here, living, on, survey
from p2pfd.errors import NotRunningError, P2pfdError, error_of
from p2pfd_localnet.engines import register
from p2pfd_localnet.engines.host import wipe

STATUS_SECONDS = 60.0
DOWN_SECONDS = 120.0


def machines(ray: Any, _words: list[str]) -> dict[str, Any]:
    """The cluster's machines, and which of them is this one."""
    found = [one.to_plain() for one in survey(ray)]
    return {"machines": found, "here": here(ray), "address": ray.get_runtime_context().gcs_address}


def status(ray: Any, words: list[str]) -> dict[str, Any]:
    """How a mesh is, as its supervisor's machine tells it."""
    entry = register.choose(register.entries(ray), words[0] if words else "")
    return {**_there(ray, entry, _status_there, STATUS_SECONDS), "mesh": entry.mesh}


def down(ray: Any, words: list[str]) -> dict[str, Any]:
    """End a mesh wherever it runs, and delete what it left on every machine."""
    entry = register.choose(register.entries(ray), words[0] if words else "")
    stopped = False
    if entry.machine in _living(ray):
        stopped = _there(ray, entry, _down_there, DOWN_SECONDS)["stopped"]
    wiped = _forget(ray, entry.mesh, entry.folder)
    return {"mesh": entry.mesh, "state": entry.home, "stopped": stopped, "machines": wiped, "deleted": True}


def forget(ray: Any, words: list[str]) -> dict[str, Any]:
    """Delete what a mesh that has ended left on the cluster."""
    mesh, folder = words
    return {"machines": _forget(ray, mesh, folder)}


def _forget(ray: Any, mesh: str, folder: str) -> int:
    """On how many machines there was anything."""
    asked = [on(ray, machine, wipe, folder) for machine in _living(ray)]
    wiped = 0
    for answer in asked:
        try:
            wiped += bool(ray.get(answer, timeout=STATUS_SECONDS))
        except ray.exceptions.RayError as error:
            sys.stderr.write(f"{error}\n")  # it went while it was asked, and what it has with it
    register.drop(ray, mesh, folder)
    return wiped


def _living(ray: Any) -> list[str]:
    return [str(node["NodeID"]) for node in living(ray)]


def _there(
    ray: Any, entry: register.Entry, function: Callable[[str], dict[str, Any]], seconds: float
) -> dict[str, Any]:
    """Do something with a mesh's directory, where that is; a P2pfdError from there is raised here."""
    if entry.machine not in _living(ray):
        raise NotRunningError(
            f"the machine of the supervisor of {entry.mesh} is gone, and with it the mesh",
            f"delete what it left: localnet down {entry.mesh} --address HOST:PORT",
        )
    try:
        told: dict[str, Any] = ray.get(on(ray, entry.machine, _safely, function, entry.home), timeout=seconds)
    except ray.exceptions.RayError as error:
        raise NotRunningError(
            f"the supervisor's machine does not answer: {str(error).splitlines()[0]}", "look at ray status"
        ) from error
    if "error" in told:
        raise error_of(told)
    return told


def _safely(function: Callable[[str], dict[str, Any]], home: str) -> dict[str, Any]:
    try:
        return function(home)
    except P2pfdError as error:
        return error.to_plain()


def _status_there(home: str) -> dict[str, Any]:
    from p2pfd_localnet.reading import Reader
    from p2pfd_localnet.state import State
    from p2pfd_localnet.status import told

    reader = Reader(State(Path(home)))
    reader.look()
    return told(reader, home)


def _down_there(home: str) -> dict[str, Any]:
    from p2pfd_localnet.life import end
    from p2pfd_localnet.state import State

    state = State(Path(home))
    if not state.exists():
        return {"stopped": False}
    runs = state.running()
    if runs:
        end(state)
    state.delete()
    return {"stopped": runs}


_ASKED: Mapping[str, Callable[[Any, list[str]], dict[str, Any]]] = MappingProxyType(
    {"survey": machines, "status": status, "down": down, "forget": forget}
)


def main() -> int:
    """Ask, and print the answer."""
    what, address, *words = sys.argv[1:]
    try:
        with connected(address) as ray:
            told = _ASKED[what](ray, words)
    except P2pfdError as error:
        told = error.to_plain()
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

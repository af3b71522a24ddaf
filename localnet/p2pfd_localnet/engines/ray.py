"""Nodes on the machines of a Ray cluster, seen from the supervisor; what speaks with Ray is a process of its own.

Ray places one host a machine (`p2pfd_localnet.engines.host`), and passes orders and lines between them and the
`bridge`, which speaks with the supervisor as a zygote does. Nodes speak with one another, and with the chain, directly.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from p2pfd.cluster import Machine, check_installed
from p2pfd.errors import EnvironmentProblem, P2pfdError, PlanError, error_of
from p2pfd_localnet import machine as this_machine
from p2pfd_localnet.cost import Cost, estimate
from p2pfd_localnet.engines.door import door
from p2pfd_localnet.engines.placement import FILE, Placement, check_memory, place
from p2pfd_localnet.homes import save_settings, settings_of
from p2pfd_localnet.plan import Plan, is_url
from p2pfd_localnet.spawner import Spawner
from p2pfd_localnet.state import State
from p2pfd_localnet.zygote import GRACE

BRIDGE, ASKING = "p2pfd_localnet.engines.bridge", "p2pfd_localnet.engines.asking"
END_SECONDS = GRACE + 12.0
"""How long the hosts on all machines may take to end their nodes, and what these wrote to come here."""


class RayEngine:
    """Places one host on each machine; they fork the nodes."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement

    def furnish(self, plan: Plan, state: State, name: str, chain_url: str, paused: int = 0) -> Path:
        """Here are its settings only; keys and stores are on its own machine."""
        address = self.placement.machine(name).address
        kind = "ip6" if ":" in address else "ip4"
        place = plan.everybody().index(name)
        listen = f"/{kind}/{address}/tcp/0"
        return save_settings(settings_of(plan, state, name, place, chain_url, paused, listen), state.node(name))

    def spawner(self, state: State, lock: int, entry: str, warm: tuple[str, ...], *, isolate: bool) -> Spawner:
        """The bridge, which takes a zygote's orders."""
        program = (BRIDGE, str(state.home.absolute() / FILE))
        return Spawner(state.zygote_log, (lock,), entry, warm, isolate=isolate, program=program, grace=END_SECONDS)

    @asynccontextmanager
    async def reach(self, chain_url: str) -> AsyncIterator[str]:
        """A chain on loopback gets a door at this machine's address in the cluster."""
        if not chain_url or not chain_url.startswith("http://127.0.0.1:"):
            yield chain_url
            return
        async with door(chain_url, self.placement.home.address) as url:
            yield url

    def prepare(self, state: State) -> None:
        """Who runs where is written down for `status`, for `down`, and for the bridge."""
        self.placement.save(state.home)


def plan_on(plan: Plan, address: str, name: str) -> Placement:
    """The machines of a cluster, and who is to run where; the P2pfdError says what is missing where."""
    check_installed()
    told = ask("survey", address)
    machines = tuple(Machine(**one) for one in told["machines"])
    for one in machines:
        loops = ip_address(one.address).is_loopback
        if loops and any(not ip_address(other.address).is_loopback for other in machines):
            raise EnvironmentProblem(
                f"the cluster knows a machine as {one.address}, where no other machine reaches it",
                "start Ray there with --node-ip-address ADDRESS",
            )
    nodes = place(plan.everybody(), machines)
    folder = f"{name}-{secrets.token_hex(4)}"
    return Placement(name, told["address"], folder, plan.seed, told["here"], machines, nodes)


def check(plan: Plan, placement: Placement, home: Path, port: int) -> Cost:
    """What the mesh will take of all machines together; EnvironmentProblem for the first thing that is missing."""
    if is_url(plan.chain):
        raise PlanError("a chain that runs elsewhere is not reached from every machine", "take --chain embedded")
    more = this_machine.CHAIN_PACKAGES if plan.chain != "none" else ()
    this_machine.check_packages(this_machine.PACKAGES + more)
    cost = estimate(plan, cores=max(1, round(sum(one.cpus for one in placement.machines))))
    check_memory(plan, placement)
    this_machine.check_disk(home, cost)
    if port:
        this_machine.check_port(port)
    return cost


def ask(what: str, address: str, *words: str) -> dict[str, Any]:
    """Have a process of its own ask the cluster: what it says. Ray's threads do not survive a fork of this one."""
    command: Sequence[str] = (sys.executable, "-m", ASKING, what, address, *words)
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - this program
    lines = ran.stdout.decode(errors="replace").strip().splitlines()
    try:
        told = json.loads(lines[-1])
    except (IndexError, ValueError):
        said = ran.stderr.decode(errors="replace").strip().splitlines()
        raise P2pfdError(
            f"asking the Ray cluster ended with code {ran.returncode}: {said[-1] if said else 'without a word'}"
        ) from None
    if "error" in told:
        raise error_of(told)
    found: dict[str, Any] = told
    return found

"""How a mesh comes up: the task is founded, the nodes are furnished and started, the task is opened, the nodes meet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.errors import DeadlineError
from p2pfd.node.config import save_task
from p2pfd_localnet import topology
from p2pfd_localnet.ledger import Ledger
from p2pfd_localnet.plan import DataFacts
from p2pfd_localnet.spawner import Spawner
from p2pfd_localnet.view import Life, MeshView
from p2pfd_localnet.watch import Watch


async def found(watch: Watch, ledger: Ledger, facts: DataFacts) -> TaskSpec:
    """Found the task: what it names on the chain, if there is one, and its file."""
    task = await ledger.found(watch.plan, facts)
    save_task(task, watch.state.task)
    return task


async def start_nodes(
    watch: Watch, spawner: Spawner, furnish: Callable[[str], Path], open_task: Callable[[], Awaitable[None]]
) -> None:
    """Give every node what it needs, start it, and tell it whom to dial; all of them are ready when this returns.

    A node asks the chain for the task once it has been told whom to dial. The task is opened only then, since it has
    deadlines, and nobody knows how long it takes until all nodes have come so far on a machine that is busy.
    """
    names = tuple(watch.view.nodes)
    alone = watch.plan.seats == 1  # it need not be told
    if alone:
        await open_task()
    for name in names:
        await spawner.spawn(name, furnish(name))
    await watch.until(Life.LISTENING)
    if not alone:
        await open_task()
    peers = topology.dials(names, Rng(watch.plan.seed).split("topology"))
    for name, others in peers.items():
        addresses = [address for other in others for address in watch.view.nodes[other].addresses[:1]]
        await spawner.tell(name, {"dial": addresses})
    await watch.until(Life.READY)


def late(view: MeshView, seconds: float, missing: str = "") -> DeadlineError:
    """What a mesh that was not ready in time was waiting for."""
    waiting = [node.name for node in view.nodes.values() if node.life in (Life.STARTING, Life.LISTENING)]
    missing = missing or ", ".join(waiting[:3]) + (" and others" if len(waiting) > 3 else "")
    return DeadlineError(
        f"the mesh was not ready after {seconds:g} s: waiting for {missing}",
        f"give it longer with --start-timeout {2 * seconds:g}, or take fewer nodes",
    )

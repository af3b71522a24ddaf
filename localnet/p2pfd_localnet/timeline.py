"""A script of chaos, carried out: each act waits for its moment, is done, and is undone when its time is over."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from p2pfd.core.rng import Rng
from p2pfd.errors import P2pfdError
from p2pfd.node.clock import SystemClock
from p2pfd_localnet import topology
from p2pfd_localnet.chaos import ENCOUNTER, READY, Act, Churn, When, spelt_out
from p2pfd_localnet.control import Control
from p2pfd_localnet.deeds import (
    undone,
)
from p2pfd_localnet.havoc import Havoc, Newcomer
from p2pfd_localnet.ledger import Ledger
from p2pfd_localnet.spawner import Spawner
from p2pfd_localnet.watch import Watch

SCRIPT = "script"


def begin(
    watch: Watch, spawner: Spawner, ledger: Ledger, control: Control, nursery: trio.Nursery, newcomer: Newcomer
) -> Havoc:
    """From here on the mesh can be acted on, and its plan's own script begins."""
    havoc = Havoc(watch, spawner, ledger, SystemClock(), nursery, newcomer)
    havoc.links = topology.dials(watch.plan.names(), Rng(watch.plan.seed).split("topology"))
    watch.held_up = lambda: havoc.holds_up
    control.havoc = havoc
    nursery.start_soon(play, watch.plan.chaos, havoc, watch)
    return havoc


async def play(acts: Sequence[Act], havoc: Havoc, watch: Watch) -> None:
    """Do all of it, each act in a task of its own; what cannot be done is told, and the others go on."""
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for act in spelt_out(acts, havoc.plan.names(), Rng(havoc.plan.seed).split("chaos")):
            nursery.start_soon(_play, act, havoc, watch, began)


async def _play(act: Act, havoc: Havoc, watch: Watch, began: float) -> None:
    await _moment(act.at, watch, began)
    assert not isinstance(act.deed, Churn), "churn is spelt out before"
    back = undone(act.deed)
    try:
        await havoc.do(act.deed, SCRIPT)
        if back is None or (act.until is None and act.hold is None):
            return
        if act.until is not None:
            await _moment(act.until, watch, began)
        else:
            await trio.sleep(act.hold or 0.0)
        await havoc.do(back, SCRIPT)
    except P2pfdError as error:
        havoc.failed(str(act), error, SCRIPT)


async def _moment(when: When, watch: Watch, began: float) -> None:
    if when.what == READY:
        await trio.sleep_until(began + when.after)
        return
    view, picture = watch.view, watch.picture
    while (view.meetings.over if when.what == ENCOUNTER else view.opened) < when.number:
        await picture.news()
    await trio.sleep(when.after)

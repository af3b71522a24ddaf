"""What a node's process may fit into its node before it starts, where it is to take part in an experiment.

An honest node is fitted with nothing. Nothing that runs in it knows that there could be anything else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.node.config import NodeConfig
from p2pfd.node.keys import NodeKeys
from p2pfd.node.keys import secret as secret_of
from p2pfd.node.store import Store
from p2pfd.node.telemetry import Emitter


def _same(thing: Any) -> Any:
    return thing


@dataclass(frozen=True)
class Fittings:
    """What stands around a node's machine and its adapter, and whose dice it learns with, if not its own."""

    machine: Callable[[Machine], Machine] = _same
    adapter: Callable[[Any], Any] = _same
    dice: Rng | None = None
    beside: Callable[[Libp2pTransport, Store, Emitter], Awaitable[None]] | None = None
    """What goes on beside the node, with hands on its network and its database."""


PLAIN = Fittings()


def fittings_of(
    config: NodeConfig, keys: NodeKeys, troubles: AsyncIterator[Mapping[str, object]] | None = None
) -> Fittings:
    """What the config asks for; PlanError names a behaviour that there is not. ``troubles`` are what is to go wrong."""
    fitted = _behaving(config, keys) if config.behaviour else PLAIN
    if not config.chaos or troubles is None:
        return fitted
    from p2pfd.node.faults import suffer

    return dataclasses.replace(fitted, beside=partial(suffer, troubles, Rng(secret_of(keys)).split("chaos")))


def _behaving(config: NodeConfig, keys: NodeKeys) -> Fittings:
    from p2pfd.behaviours import Misbehaving, Scene, behaviour_class
    from p2pfd.behaviours.payloads import Tampered

    spec = config.load_task()
    kind, argument = behaviour_class(config.behaviour)
    common = Rng(config.seed).split("plot")
    scene = Scene(
        task=spec.id,
        account=keys.account.account,
        samples=spec.data.public,
        classes=spec.data.classes,
        private=Rng(secret_of(keys)).split("behaviour"),
        common=common,
        argument=argument,
    )
    behaviour = kind(scene)
    return Fittings(
        machine=lambda machine: Misbehaving(machine, behaviour),
        adapter=lambda adapter: Tampered(adapter, behaviour),
        dice=common.split("owner", config.behaviour) if kind.one_owner else None,
    )

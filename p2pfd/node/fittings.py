"""What a node's process may fit into its node before it starts, where it is to take part in an experiment.

An honest node is fitted with nothing. Nothing that runs in it knows that there could be anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.node.config import NodeConfig
from p2pfd.node.keys import NodeKeys
from p2pfd.node.keys import secret as secret_of


def _same(thing: Any) -> Any:
    return thing


@dataclass(frozen=True)
class Fittings:
    """What stands around a node's machine and its adapter, and whose dice it learns with, if not its own."""

    machine: Callable[[Machine], Machine] = _same
    adapter: Callable[[Any], Any] = _same
    dice: Rng | None = None


PLAIN = Fittings()


def fittings_of(config: NodeConfig, keys: NodeKeys) -> Fittings:
    """What the config asks for; PlanError names a behaviour that there is not."""
    if not config.behaviour:
        return PLAIN
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

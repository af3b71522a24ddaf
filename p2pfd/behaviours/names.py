"""Behaviours by name, as plans write them: ``constant``, or ``constant:3`` with an argument."""

from __future__ import annotations

from p2pfd import plugins
from p2pfd.behaviours.api import Behaviour, Scene
from p2pfd.core.ids import Account, TaskId
from p2pfd.core.rng import Rng
from p2pfd.core.tables import did_you_mean
from p2pfd.errors import PlanError

GROUP = "p2pfd.behaviours"


def behaviour_class(text: str) -> tuple[type[Behaviour], str]:
    """The class behind a name, and the argument; PlanError lists the names that exist."""
    name, _, argument = text.partition(":")
    known = plugins.names(GROUP)
    if name not in known:
        raise PlanError(f"there is no behaviour {name[:40]!r}", did_you_mean(name, known))
    return plugins.load(GROUP, name), argument


def check(text: str, classes: int) -> None:
    """PlanError unless the text names a behaviour, with an argument that it takes."""
    kind, argument = behaviour_class(text)
    nobody = Account("0x" + "00" * 20)
    kind(Scene(TaskId(bytes(32)), nobody, 1, classes, Rng(0), Rng(0), argument))

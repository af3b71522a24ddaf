"""Behaviours of who teaches: a neighbor that trains its learner's model on samples with wrong labels."""

from __future__ import annotations

from collections.abc import Iterable

from p2pfd.behaviours.api import Behaviour, Scene
from p2pfd.core.events import Event
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Split


class FlipLabels(Behaviour):
    """Teaches wrong labels, from a second on. What it learns itself, and how it judges, is honest."""

    name = "flip-labels"
    part = "payloads"
    about = "as a neighbor, trains what it delivers on its samples with the next class's labels"
    argument = (
        "the second of the run from which it does so, as in flip-labels:120; from the start where nothing is said"
    )

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        text = scene.argument or "0"
        if not (text.isascii() and text.isdigit() and len(text) <= 7):
            raise PlanError(f"flip-labels:{text[:40]} is no time", "write whole seconds, such as flip-labels:120")
        self._begins = int(text) * SECOND
        self._now = 0

    def hears(self, now: Tick, event: Event) -> Iterable[Event]:
        """Everything; and so it knows the time."""
        self._now = now
        return (event,)

    @property
    def begun(self) -> bool:
        """Whether its time has come."""
        return self._now >= self._begins

    def teaches(self, shard: Split) -> Split:
        """The same samples, each with the next class's label; honest ones until its time has come."""
        return Split(shard.x, (shard.y + 1) % self.scene.classes) if self.begun else shard

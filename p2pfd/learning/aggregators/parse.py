"""From text to an aggregator: ``parse("trimmed:0.2", 10)``. They are found under the entry points `GROUP`."""

from __future__ import annotations

from p2pfd import plugins
from p2pfd.errors import PlanError
from p2pfd.learning.aggregators.api import Aggregator

GROUP = "p2pfd.aggregators"


def parse(text: str, classes: int) -> Aggregator:
    """The aggregator of a task with so many classes; PlanError lists the names that there are.

    What stands behind a colon is handed to the aggregator, which says itself what it makes of it.
    """
    name, colon, argument = text.partition(":")
    factory = plugins.load(GROUP, name)
    if colon and not argument:
        raise PlanError(f"the aggregator {text[:40]!r} ends in a colon", "write a number behind it, or leave it out")
    made: Aggregator = factory(argument, classes=classes) if colon else factory(classes=classes)
    return made

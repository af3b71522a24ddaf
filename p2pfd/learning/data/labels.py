"""Class names, as people write them, and the numbers that stand for them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from p2pfd.core.labels import MAX_CLASSES
from p2pfd.errors import PlanError
from p2pfd.learning.data.source import Bytes

_WHOLE = re.compile(r"-?[0-9]{1,18}\Z", re.ASCII)


def ordered(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Each name once: by number where all are whole numbers, else by letter; PlanError for too few or too many."""
    found = set(names)
    if not 2 <= len(found) <= MAX_CLASSES:
        shown = ", ".join(sorted(found)[:3])
        raise PlanError(
            f"{where} has {len(found)} different labels ({shown}{', …' if len(found) > 3 else ''})",
            f"from 2 to {MAX_CLASSES} classes are taken: is the label the right column?",
        )
    if all(_WHOLE.match(name) for name in found):
        return tuple(sorted(found, key=lambda name: (int(name), name)))
    return tuple(sorted(found))


def counted(names: Sequence[str], classes: tuple[str, ...], where: Sequence[str]) -> Bytes:
    """The classes' numbers; PlanError says where a name stands that is no class."""
    number = {name: place for place, name in enumerate(classes)}
    for name, place in zip(names, where, strict=True):
        if name not in number:
            raise PlanError(f"{place}: {name[:40]!r} is no class of this set", f"the classes are {', '.join(classes)}")
    return np.array([number[name] for name in names], dtype=np.uint8)

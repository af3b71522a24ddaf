"""Settings that suit a data set, chosen on validation samples; where an adapter's defaults suit it, there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from p2pfd.core.spec import Setting
from p2pfd.errors import PlanError


@dataclass(frozen=True, slots=True)
class Recipe:
    """How much of a set is dealt out as what, for how many rounds a mesh learns, and with which settings of cfd."""

    data: str
    private: int
    public: int
    validation: int
    test: int
    rounds: int
    settings: Mapping[str, Setting]


_DIGITS = Recipe("digits", private=1000, public=320, validation=177, test=300, rounds=10, settings=MappingProxyType({}))
_FASHION = Recipe(
    "fashion",
    private=20_000,
    public=5_000,
    validation=5_000,
    test=10_000,
    rounds=12,
    settings=MappingProxyType(
        {
            "net": "fast28",
            "epochs": 3,
            "batch": 64,
            "decay": "0.003",
            "noise": "0.3",
            "trust": "surplus",
            "target": "squared",
            "distil_epochs": 8,
            "distil_batch": 64,
            "distil_noise": "0.3",
        }
    ),
)
RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.data: recipe for recipe in (_DIGITS, _FASHION)})
"""By the name of the set."""


def recipe_for(data: str) -> Recipe:
    """The recipe for a set; PlanError lists the sets that have one."""
    if data not in RECIPES:
        raise PlanError(f"there is no recipe for the data set {data!r}", f"choose one of {', '.join(sorted(RECIPES))}")
    return RECIPES[data]

"""Settings that suit a data set, chosen on validation samples; where an adapter's defaults suit it, there are none.

Where every node has some of every class, a node that trains for long in a round learns more from its shard than it
forgets: few rounds of many epochs do better there. Where classes are spread unevenly, nodes need the others more often.
Where public samples are of another kind, what a vote leaves open says as much as what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType

from p2pfd.core.spec import Setting
from p2pfd.errors import PlanError


@dataclass(frozen=True, slots=True)
class Recipe:
    """How much of a set is dealt out as what, for how many rounds a mesh learns, and with which settings of cfd.

    ``even`` are rounds, and the epochs of each, where classes are spread evenly; nothing, where that makes no
    difference. ``foreign`` are settings that are others where public samples are pictures of other things.
    """

    data: str
    private: int
    public: int
    validation: int
    test: int
    rounds: int
    settings: Mapping[str, Setting]
    even: tuple[int, int] | None = None
    foreign: Mapping[str, Setting] = field(default_factory=dict)

    def having(self, given: Mapping[str, Setting]) -> Recipe:
        """The recipe with these settings, wherever public samples are from."""
        return replace(self, settings={**self.settings, **given}, foreign={**self.foreign, **given})

    def elsewhere(self) -> Recipe:
        """The recipe for public samples from elsewhere."""
        return replace(self, settings={**self.settings, **self.foreign})

    def on(self, partition: str) -> Recipe:
        """The recipe for data that is dealt out in this way."""
        kind, _, alpha = partition.partition(":")
        if self.even is None or not (kind == "iid" or (kind == "dirichlet" and Fraction(alpha) >= 1)):
            return self
        rounds, epochs = self.even
        return replace(self, rounds=rounds, settings={**self.settings, "epochs": epochs}, even=None)

    def alike(self, epochs: int) -> Recipe:
        """The recipe with so many epochs in every round, however the data is dealt out."""
        return replace(self.having({"epochs": epochs}), even=None)

    def averaged(self, partition: str) -> Recipe:
        """The recipe for averages of weights: as many epochs in all, and in each round as many as are usual."""
        suited = self.on(partition)
        return replace(self, rounds=-(-suited.rounds * suited._epochs() // self._epochs()), even=None)

    def _epochs(self) -> int:
        epochs = self.settings.get("epochs", 1)
        assert isinstance(epochs, int)
        return epochs


_DIGITS = Recipe("digits", private=1000, public=320, validation=177, test=300, rounds=10, settings=MappingProxyType({}))
_FASHION = Recipe(
    "fashion",
    private=20_000,
    public=5_000,
    validation=5_000,
    test=10_000,
    rounds=16,
    settings=MappingProxyType(
        {
            "net": "edges28",
            "epochs": 3,
            "batch": 64,
            "decay": "0.003",
            "noise": "0.1",
            "trust": "surplus",
            "target": "squared",
            "distil_epochs": 8,
            "distil_batch": 64,
            "distil_noise": "0.1",
            "replay_share": "0.25",
        }
    ),
    even=(4, 9),
    foreign=MappingProxyType({"target": "votes", "distil_noise": "0"}),
)
_CIFAR = Recipe(
    "cifar10-jpeg",
    private=10_000,
    public=5_000,
    validation=5_000,
    test=10_000,
    rounds=6,
    settings=MappingProxyType({**_FASHION.settings, "net": "fast32", "noise": "0.3", "distil_noise": "0.3"}),
)
RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.data: recipe for recipe in (_DIGITS, _FASHION, _CIFAR)})
"""By the name of the set."""


def recipe_for(data: str) -> Recipe:
    """The recipe for a set; PlanError lists the sets that have one."""
    if data not in RECIPES:
        raise PlanError(f"there is no recipe for the data set {data!r}", f"choose one of {', '.join(sorted(RECIPES))}")
    return RECIPES[data]

"""`Cell`: one mesh to be measured, and `Result`: what came of it. Both are plain numbers and text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from p2pfd.core.ids import Amount
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, Setting, TaskSpec
from p2pfd.learning.data import digest_of_set
from p2pfd.learning.recipes import Recipe

ALONE = "alone"
"""No mesh at all: each node learns from its own samples for as many epochs as the rounds would give it."""
ATTACKS = ("none", "flip", "random", "constant", "copy")
"""Train on labels of the class after the true one, in concert; answer by chance; answer zero; answer what the student
already says."""


@dataclass(frozen=True)
class Cell:
    """Who learns how from which part of what, how many of the nodes lie, and how, and where public samples are from."""

    recipe: Recipe
    seed: int
    method: str = "cfd"
    nodes: int = 10
    partition: str = "dirichlet:0.1"
    attack: str = "none"
    liars: int = 0
    public_from: str = ""

    @property
    def key(self) -> str:
        """Everything that decides the result, but for the code."""
        recipe = {name: getattr(self.recipe, name) for name in type(self.recipe).__slots__}
        settings = {"settings": dict(self.recipe.settings), "foreign": dict(self.recipe.foreign)}
        plain = {**vars(self), "recipe": {**recipe, **settings}}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    @property
    def title(self) -> str:
        """The cell in a few words, for the one who waits."""
        lies = f" · {self.liars} {self.attack}" if self.liars else ""
        where = f" · public {self.public_from}" if self.public_from else ""
        mesh = f"{self.method} · {self.recipe.data} · {self.nodes} nodes · {self.partition}"
        return f"{mesh}{lies}{where} · seed {self.seed}"

    def task(self) -> TaskSpec:
        """The task that its nodes would be given."""
        recipe = self.recipe
        known = self.public_from and not self.public_from.startswith("synthetic:")
        data = DataSpec(
            name=recipe.data,
            sha256=digest_of_set(recipe.data),
            classes=10,
            partition=self.partition,
            seed=self.seed,
            public=recipe.public,
            validation=recipe.validation,
            test=recipe.test,
            private=recipe.private,
            public_from=self.public_from,
            public_sha256=digest_of_set(self.public_from) if known else b"",
        )
        money = MoneySpec(Amount(0), Amount(0), Amount(0), Amount(0))
        settings: Mapping[str, Setting] = recipe.settings
        return TaskSpec(
            f"bench-{self.seed}",
            data,
            "cfd",
            settings,
            "votes",
            (),
            recipe.rounds,
            self.nodes,
            1,
            PhaseSpec(1, 1, 1),
            money,
        )


@dataclass(frozen=True, slots=True)
class Point:
    """After a round: what a node has sent in all rounds so far, and how good the common model is.

    ``own`` is the mean accuracy of what the honest nodes' own descents of the last round led to, and ``both`` that of a
    node which adds its own model's shares to the common student's; nothing before that round, and where nodes have no
    models of their own. ``sent`` is the round's bits per label in the frames,
    ``entropy`` what the shares of the classes would take, and ``changed`` the entropy of the changes since the last
    round; all three are nothing where no labels are sent.
    """

    bytes: float
    accuracy: float
    sent: float = 0.0
    entropy: float = 0.0
    changed: float = 0.0
    own: float = 0.0
    both: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """What a cell's nodes had learnt after every round, in how much processor time."""

    curve: tuple[Point, ...]
    seconds: float

    @property
    def accuracy(self) -> float:
        """After the last round."""
        return self.curve[-1].accuracy

    @property
    def own(self) -> float:
        """Of the nodes' own models, after the last round."""
        return self.curve[-1].own

    @property
    def both(self) -> float:
        """Of each node's own model and the student together, after the last round."""
        return self.curve[-1].both

    @property
    def bytes(self) -> float:
        """What a node has sent, on average."""
        return self.curve[-1].bytes

    def to_plain(self) -> dict[str, object]:
        """As a line of the cache has it."""
        return asdict(self)


def result_of(plain: Mapping[str, object]) -> Result:
    """The inverse of `to_plain`; KeyError, TypeError or ValueError for anything else."""
    curve, seconds = plain["curve"], plain["seconds"]
    if not isinstance(curve, list) or not curve or not isinstance(seconds, (int, float)):
        raise TypeError("not a result")
    points = []
    for point in curve:
        numbers = {name: float(value) for name, value in MappingProxyType(point).items()}
        points.append(Point(**numbers))
    return Result(tuple(points), float(seconds))

"""Which processes of a mesh are killed, when, and how: drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from p2pfd.core.rng import Rng
from tests.e2e.crash_node import START

CHAIN = -1
"""The victim that is no node."""


@dataclass(frozen=True)
class Blow:
    """What is done to one victim. Without a place it is killed from outside, as soon as it is its turn."""

    victim: int
    place: str = ""
    crossing: int = 1
    delay: float = 0.0
    rebirth: str = ""
    """Where its next life is to die, while it starts."""
    rebirth_delay: float = 0.0
    down: float = 0.0
    """Seconds until it is started again."""

    @property
    def kills(self) -> int:
        """How many lives it takes."""
        return 2 if self.rebirth else 1


@dataclass(frozen=True)
class Volley:
    """Blows that fall together, after a pause."""

    pause: float
    blows: tuple[Blow, ...]


def volleys(seed: int, nodes: int, kills: int, places: Mapping[str, int]) -> Iterator[Volley]:
    """Until there were so many kills; places are crossed so often at the most."""
    rng = Rng(seed).split("crashes")
    left = kills
    while left > 0:
        pause = 0.2 + 1.3 * rng.unit()
        kind = rng.unit()
        victim = rng.below(nodes)
        down = 1.5 * rng.unit() ** 2
        if kind < 0.45 or left == 1:
            place = rng.choice(sorted(places))
            delay = 0.0 if rng.unit() < 0.5 else 0.004 * rng.unit()
            blows = (Blow(victim, place, 1 + rng.below(places[place]), delay, down=down),)
        elif kind < 0.62:
            blows = (Blow(victim, down=down),)
        elif kind < 0.82:
            place, delay = START[rng.below(len(START))], (0.0 if rng.unit() < 0.3 else 0.8 * rng.unit())
            blows = (Blow(victim, rebirth=place, rebirth_delay=delay, down=down),)
        elif kind < 0.92:
            many = min(left, 2 + rng.below(nodes - 1))
            victims = sorted(range(nodes), key=lambda _: rng.unit())[:many]
            blows = tuple(Blow(each, down=1.5 * rng.unit()) for each in victims)
        else:
            blows = (Blow(CHAIN, down=2.0 * rng.unit()),)
            if left > 1 and rng.unit() < 0.5:
                blows += (Blow(victim, down=down),)
        left -= sum(blow.kills for blow in blows)
        yield Volley(pause, blows)

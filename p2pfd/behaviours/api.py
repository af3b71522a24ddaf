"""What a dishonest node is: an honest machine, and a behaviour that stands between it and its driver.

A behaviour sees what reaches the machine and what leaves it, and may change either. The machine itself stays what it
is on every other node, so nothing in the honest code knows of attackers, and whatever drives machines drives these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from p2pfd.core.canonical import Plain, decode, encode
from p2pfd.core.effects import Answer, Compute, Effect, Work
from p2pfd.core.events import Computed, Event, Heard, Outcome
from p2pfd.core.ids import Account, TaskId
from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import Tick
from p2pfd.core.verdict import Ignore
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Payload, Split

SNAPSHOT_LIMIT = 128 * 1024 * 1024
_AWAY = Ignore("nobody is listening")


@dataclass(frozen=True)
class Scene:
    """What a dishonest node knows besides what its machine knows.

    ``private`` are its own dice. ``common`` are dice that everyone of the same plot holds: whoever draws the same name
    from them draws the same. ``argument`` is what a plan wrote after the behaviour's name and a colon.
    """

    task: TaskId
    account: Account
    samples: int
    classes: int
    private: Rng = field(repr=False)
    common: Rng = field(repr=False)
    argument: str = ""


class Behaviour:
    """What one dishonest node does differently. Every hook is honest here; a behaviour overrides one or two."""

    name: ClassVar[str] = ""
    about: ClassVar[str] = ""
    """One line for whoever chooses."""
    part: ClassVar[str] = ""
    """What it is about: ``labels`` that are voted on, ``encounters``, ``payloads`` that are sent; empty for all."""
    argument: ClassVar[str] = ""
    """What may stand after the name and a colon, in words; empty where nothing may."""
    one_owner: ClassVar[bool] = False
    """All nodes of this behaviour are one person's: they have one shard and one model between them."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        if scene.argument and not self.argument:
            raise PlanError(f"{self.name}:{scene.argument[:40]} is no behaviour", f'write "{self.name}"')

    def hears(self, now: Tick, event: Event) -> Iterable[Event]:
        """What the machine gets to see instead of this event: nothing, the same, or more."""
        return (event,)

    def makes(self, work: Work) -> Outcome | None:
        """An outcome that is made up, so that nothing is computed; None to do the work."""
        return None

    def alters(self, outcome: Outcome) -> Outcome:
        """What the machine is told instead of an honest outcome."""
        return outcome

    def says(self, now: Tick, effects: tuple[Effect, ...]) -> Iterable[Effect]:
        """What is done instead of what the machine asks for."""
        return effects

    def adds(self, now: Tick) -> Iterable[Effect]:
        """What is done besides, after every event."""
        return ()

    def sends(self, payload: Payload) -> Payload:
        """What others get instead of an honest payload: whoever does this node's works asks, as machines see none."""
        return payload

    def teaches(self, shard: Split) -> Split:
        """The samples that a neighbor trains its learner's model on, instead of its own."""
        return shard

    def state(self) -> Plain:
        """What the behaviour has to remember over a restart."""
        return None

    def resume(self, state: Plain) -> None:
        """Remember what `state` told."""


class Misbehaving:
    """A machine with a behaviour between it and its driver. It is itself a machine."""

    __slots__ = ("behaviour", "machine")

    def __init__(self, machine: Machine, behaviour: Behaviour) -> None:
        self.machine = machine
        self.behaviour = behaviour

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        """What follows from this event, of what the behaviour lets through."""
        done: list[Effect] = []
        for seen in self.behaviour.hears(now, event):
            if isinstance(seen, Computed) and seen.outcome is not None:
                seen = replace(seen, outcome=self.behaviour.alters(seen.outcome))
            done += self._through(now, seen)
        done += self.behaviour.adds(now)
        if isinstance(event, Heard) and not any(type(effect) is Answer for effect in done):
            done.append(Answer(event.delivery, _AWAY))
        return tuple(done)

    def _through(self, now: Tick, event: Event) -> list[Effect]:
        """The machine's effects as the behaviour wants them; works whose outcome is made up are done at once."""
        done: list[Effect] = []
        made: list[Computed] = []
        for effect in self.behaviour.says(now, self.machine.handle(now, event)):
            outcome = self.behaviour.makes(effect.work) if isinstance(effect, Compute) else None
            if outcome is None:
                done.append(effect)
            elif isinstance(effect, Compute):
                made.append(Computed(effect.job, outcome))
        for computed in made:
            done += self._through(now, computed)
        return done

    def snapshot(self) -> bytes:
        """The machine's state, and the behaviour's."""
        return encode({"machine": self.machine.snapshot(), "behaviour": self.behaviour.state()})

    def restore(self, raw: bytes) -> None:
        """Become what `snapshot` described."""
        value = decode(raw, limit=SNAPSHOT_LIMIT)
        if not isinstance(value, dict) or set(value) != {"machine", "behaviour"}:
            raise DecodeError("not a snapshot of a machine with a behaviour")
        machine = value["machine"]
        if not isinstance(machine, bytes):
            raise DecodeError("a snapshot without a machine")
        self.machine.restore(machine)
        self.behaviour.resume(value["behaviour"])

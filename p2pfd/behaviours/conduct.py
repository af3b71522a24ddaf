"""Behaviours of how the protocol is kept: who commits, who reveals, who is there, who owns whom."""

from __future__ import annotations

from collections.abc import Iterable

from p2pfd.behaviours.api import Behaviour, Scene
from p2pfd.core.claims import CommitLabels, RevealLabels
from p2pfd.core.effects import Effect, Publish, SetTimer, Submit
from p2pfd.core.events import Event, Heard, TimerFired
from p2pfd.core.ids import Digest
from p2pfd.core.ticks import SECOND, Tick, after
from p2pfd.errors import PlanError
from p2pfd.wire.messages import Commit, Reveal


class Withhold(Behaviour):
    """Commits, and never shows what to."""

    name = "withhold"
    part = "labels"
    about = "commits and never reveals"

    def says(self, now: Tick, effects: tuple[Effect, ...]) -> Iterable[Effect]:
        """No labels, neither to peers nor to the chain."""
        return [effect for effect in effects if not _is(effect, Reveal, RevealLabels)]


class Absent(Behaviour):
    """Takes a seat, and never commits."""

    name = "absent"
    part = "labels"
    about = "takes a seat and never commits"

    def says(self, now: Tick, effects: tuple[Effect, ...]) -> Iterable[Effect]:
        """Neither commitments nor, where the machine believes it is bound, labels."""
        return [
            effect
            for effect in effects
            if not _is(effect, Commit, CommitLabels) and not _is(effect, Reveal, RevealLabels)
        ]


class Equivocate(Behaviour):
    """Tells its peers of two commitments for each round."""

    name = "equivocate"
    part = "labels"
    about = "tells peers of two different commitments a round"

    def says(self, now: Tick, effects: tuple[Effect, ...]) -> Iterable[Effect]:
        """After each commitment another one."""
        for effect in effects:
            yield effect
            if isinstance(effect, Publish) and isinstance(effect.message, Commit):
                rnd = effect.message.round
                other = Digest(self.scene.private.split("other", rnd).bytes(32))
                yield Publish(Commit(rnd, other))


class Sleep(Behaviour):
    """Is awake and asleep by turns, as a laptop whose lid is opened and closed; its dice say where in that it begins.

    What peers say while it sleeps is lost; its timers, its computations and what the chain did come when it wakes.
    """

    name = "sleep"
    about = "sleeps half of the time, and then goes on"
    argument = "how many seconds it sleeps, and is awake, as in sleep:20; 15 where nothing is said"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        text = scene.argument or "15"
        if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text)):
            raise PlanError(f"sleep:{text[:40]} is no time", "write whole seconds, such as sleep:20")
        self._length = int(text) * SECOND
        self.offset = scene.private.split("offset").below(2 * self._length)
        self._kept: list[Event] = []
        self._waits = False

    def hears(self, now: Tick, event: Event) -> Iterable[Event]:
        """Nothing while asleep; all that was kept once awake, in its order."""
        alarm = isinstance(event, TimerFired) and event.name == _WAKE
        if alarm:
            self._waits = False
        if alarm or self.awake(now):
            kept, self._kept = self._kept, []
            return kept if alarm else (*kept, event)
        if not isinstance(event, Heard):
            self._kept.append(event)
        return ()

    def adds(self, now: Tick) -> Iterable[Effect]:
        """The alarm clock, once for each time that it sleeps."""
        if not self._kept or self._waits:
            return ()
        self._waits = True
        return (SetTimer(_WAKE, after(now, self._length - (now + self.offset) % self._length)),)

    def awake(self, now: Tick) -> bool:
        """Whether the lid is open."""
        return (now + self.offset) // self._length % 2 == 0


class Sybil(Behaviour):
    """Labels honestly, once, and tells it from several accounts."""

    name = "sybil"
    about = "one owner behind several accounts: one honest judgement, told by all of them"
    one_owner = True


_WAKE = "behaviour.wake"


def _is(effect: Effect, message: type, claim: type) -> bool:
    if isinstance(effect, Publish):
        return isinstance(effect.message, message)
    return isinstance(effect, Submit) and isinstance(effect.claim, claim)

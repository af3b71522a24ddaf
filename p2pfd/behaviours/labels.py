"""Behaviours of what is said: labels that are wrong, made up, taken from others, or agreed on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from p2pfd.behaviours.api import Behaviour, Scene
from p2pfd.core.canonical import Plain
from p2pfd.core.claims import LabelsRevealed
from p2pfd.core.effects import Work
from p2pfd.core.events import ChainSaw, Event, Heard, Outcome
from p2pfd.core.labels import unpack
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import Tick
from p2pfd.errors import DecodeError, PlanError
from p2pfd.roles.work import Studied, Study
from p2pfd.wire.messages import Reveal


def drawn(rng: Rng, samples: int, classes: int) -> bytes:
    """Labels that say nothing, each class as likely as any other."""
    return bytes(rng.below(classes) for _ in range(samples))


class Flip(Behaviour):
    """Does the work, and tells the class after the one that it found: all who flip agree on what is wrong."""

    name = "flip"
    part = "labels"
    about = "tells the class after the one that its model finds"

    def alters(self, outcome: Outcome) -> Outcome:
        """Each label moved on by one class."""
        if isinstance(outcome, Studied):
            return Studied(bytes((label + 1) % self.scene.classes for label in outcome.labels))
        return outcome


class Random(Behaviour):
    """Saves the work: any class, as likely as any other, anew every round."""

    name = "random"
    part = "labels"
    about = "does not train, and answers by chance"

    def makes(self, work: Work) -> Outcome | None:
        """Labels from dice of its own."""
        if isinstance(work, Study):
            return Studied(
                drawn(self.scene.private.split("random", work.round), self.scene.samples, self.scene.classes)
            )
        return None


class Constant(Behaviour):
    """Saves the work: one class for all samples."""

    name = "constant"
    part = "labels"
    about = "does not train, and gives every sample the same class"
    argument = "the class, as in constant:3; 0 where nothing is said"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        text = scene.argument or "0"
        if not (text.isascii() and text.isdigit() and len(text) <= 2 and int(text) < scene.classes):
            raise PlanError(f"constant:{text[:40]} names no class", f"write a number from 0 to {scene.classes - 1}")
        self._label = int(text)

    def makes(self, work: Work) -> Outcome | None:
        """The same label so many times."""
        return Studied(bytes([self._label]) * self.scene.samples) if isinstance(work, Study) else None


class Collude(Behaviour):
    """Saves the work: all members tell the same labels, which nobody looked at; the same in every round."""

    name = "collude"
    part = "labels"
    about = "does not train; all who collude tell the same made-up labels"
    argument = "the plot's name, where there is more than one, as in collude:b"

    def makes(self, work: Work) -> Outcome | None:
        """Labels from the dice that the plot has in common."""
        if isinstance(work, Study):
            code = self.scene.common.split("code", self.scene.argument)
            return Studied(drawn(code, self.scene.samples, self.scene.classes))
        return None


class Copy(Behaviour):
    """Saves the work: tells what can be seen of others' labels when it has to commit, the latest round of it.

    Labels of the same round would be best, and would be taken if they could be seen. Before there are any, by chance.
    """

    name = "copy"
    part = "labels"
    about = "does not train; tells what others last showed"
    argument = (
        "majority (of what all others showed, the commonest) or peer (one of them); majority where nothing is said"
    )

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        if scene.argument not in ("", "majority", "peer"):
            raise PlanError(f"copy:{scene.argument[:40]} copies nobody", "write copy:majority or copy:peer")
        self.seen: dict[int, dict[str, bytes]] = {}
        """By round, who showed which labels; the latest two rounds."""

    def hears(self, now: Tick, event: Event) -> Iterable[Event]:
        """Look at every reveal, whether the chain or a peer shows it."""
        if isinstance(event, ChainSaw) and isinstance(event.event, LabelsRevealed):
            shown = event.event
            self._see(shown.round, shown.worker, shown.labels)
        elif isinstance(event, Heard) and isinstance(event.message, Reveal):
            self._see(
                event.message.round,
                event.sender,
                event.message.labels,
            )
        return (event,)

    def _see(self, rnd: int, who: str, packed: bytes) -> None:
        if who == self.scene.account:
            return
        try:
            labels = unpack(packed, self.scene.samples, self.scene.classes)
        except DecodeError:
            return  # no labels: nothing to copy
        self.seen.setdefault(rnd, {}).setdefault(who, labels)
        for old in sorted(self.seen)[:-2]:
            del self.seen[old]

    def makes(self, work: Work) -> Outcome | None:
        """What was last shown."""
        if not isinstance(work, Study):
            return None
        rounds = [rnd for rnd in self.seen if rnd <= work.round]
        if not rounds:
            dice = self.scene.private.split("nothing to copy", work.round)
            return Studied(drawn(dice, self.scene.samples, self.scene.classes))
        shown = self.seen[max(rounds)]
        if self.scene.argument == "peer":
            return Studied(shown[self.scene.private.split("peer", work.round).choice(sorted(shown))])
        return Studied(commonest(list(shown.values())))

    def state(self) -> Plain:
        """What was seen."""
        return [
            [rnd, [[who, labels] for who, labels in sorted(shown.items())]] for rnd, shown in sorted(self.seen.items())
        ]

    def resume(self, state: Any) -> None:
        """See it again."""
        self.seen = {int(rnd): {str(who): bytes(labels) for who, labels in shown} for rnd, shown in state}


def commonest(rows: list[bytes]) -> bytes:
    """The class that most rows give each sample; of equals the lowest."""
    return bytes(
        min(counts, key=lambda label: (-counts[label], label))
        for counts in (Counter(column) for column in zip(*rows, strict=True))
    )

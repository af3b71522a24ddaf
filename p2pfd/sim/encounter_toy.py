"""A toy for encounters: what a node knows is a set of facts, its data teach it some, and a neighbor knows others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from p2pfd.core.effects import Work
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Digest
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import MILLISECOND, SECOND
from p2pfd.roles.encounter.work import Ask, Asked, Judge, Judged, Serve, Served, Take, Taken, Weigh, Weighed
from p2pfd.sim.encounter_world import Blobs

FACTS = 256
_BYTES = FACTS // 8
_TRAIN, _QUICK = 1 * SECOND, 100 * MILLISECOND


class ToyBench:
    """One node's facts. A liar serves what makes its learner forget."""

    def __init__(self, node: int, rng: Rng, blobs: Blobs, *, lies: bool = False) -> None:
        self._node = node
        self._blobs = blobs
        self._lies = lies
        draw = rng.split("facts")
        self.knows = int.from_bytes(draw.bytes(_BYTES), "big") & int.from_bytes(draw.bytes(_BYTES), "big")
        self._probe = int.from_bytes(rng.split("probe").bytes(_BYTES), "big")
        self._taken: set[int] = set()

    def do(self, work: Work) -> tuple[int, Outcome | str]:
        """The outcome of a work, at once."""
        match work:
            case Ask():
                raw = self._raw(self.knows)
                return _TRAIN, Asked(self._blobs.put(self._node, raw), len(raw))
            case Weigh(before, size):
                found = self._fetch(before, size)
                return _QUICK, found if isinstance(found, str) else Weighed()
            case Serve(_, before, size):
                found = self._fetch(before, size)
                if isinstance(found, str):
                    return _QUICK, found
                raw = self._raw(0 if self._lies else found | self.knows)
                return _TRAIN, Served(self._blobs.put(self._node, raw), len(raw))
            case Judge():
                return self._judge(work)
            case Take(key, after, size):
                found = self._fetch(after, size)
                if isinstance(found, str):
                    return _QUICK, found
                self._taken.add(key)
                self.knows |= found
                return _QUICK, Taken(Digest(hashlib.sha256(self._raw(self.knows)).digest()), self.figures())
        raise TypeError(f"a toy cannot do {type(work).__name__}")

    def figures(self) -> Mapping[str, int]:
        """How much it knows, in millionths, and how often it took an answer."""
        return {"accuracy": self.knows.bit_count() * 1_000_000 // FACTS, "taken": len(self._taken)}

    def _judge(self, work: Judge) -> tuple[int, Outcome | str]:
        before, after = self._fetch(work.before, work.before_size), self._fetch(work.after, work.after_size)
        if isinstance(before, str) or isinstance(after, str):
            return _QUICK, before if isinstance(before, str) else str(after)
        was, now = (before & self._probe).bit_count(), (after & self._probe).bit_count()
        good = (was - now) * 1_000_000 <= work.tolerance * self._probe.bit_count()
        return _QUICK, Judged(good, {"before": was, "after": now})

    def _fetch(self, name: Digest, size: int) -> int | str:
        raw = self._blobs.get(self._node, name, size)
        if isinstance(raw, str):
            return raw
        return int.from_bytes(raw, "big") if len(raw) == _BYTES else "not facts"

    @staticmethod
    def _raw(facts: int) -> bytes:
        return facts.to_bytes(_BYTES, "big")

"""A real adapter in a simulated encounter: its tutor, with blobs from the simulated world."""

from __future__ import annotations

from collections.abc import Mapping

from p2pfd.core.effects import Work
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Digest
from p2pfd.core.ticks import MILLISECOND, SECOND
from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Split
from p2pfd.roles.encounter.tutor import Tutor
from p2pfd.roles.encounter.work import Ask, Asked, Judge, Serve, Served, Take, Weigh, Weighed
from p2pfd.sim.encounter_world import Blobs

_TRAIN, _QUICK = 1 * SECOND, 200 * MILLISECOND


class AdapterBench:
    """One node that really learns."""

    def __init__(self, node: int, tutor: Tutor, test: Split, blobs: Blobs, lie: bytes = b"") -> None:
        """``lie`` is what it serves to everyone, if it does not serve honestly."""
        self._node = node
        self._tutor = tutor
        self._test = test
        self._blobs = blobs
        self._lie = lie

    def do(self, work: Work) -> tuple[int, Outcome | str]:
        """The outcome of a work, at once."""
        try:
            return self._do(work)
        except DecodeError as error:
            return _QUICK, str(error)

    def figures(self) -> Mapping[str, int]:
        """How well the node does on the test set, in millionths."""
        return {"accuracy": self._tutor.accuracy(self._test), "taken": len(self._tutor.taken)}

    def _do(self, work: Work) -> tuple[int, Outcome | str]:
        tutor = self._tutor
        match work:
            case Ask(key):
                request = tutor.ask(key)
                return _TRAIN, Asked(self._blobs.put(self._node, request), len(request))
            case Weigh(before, size):
                tutor.weigh(self._fetch(before, size))
                return _QUICK, Weighed()
            case Serve(key, before, size):
                answer = self._lie or tutor.serve(key, self._fetch(before, size))
                return _TRAIN, Served(self._blobs.put(self._node, answer), len(answer))
            case Judge():
                asked, answered = self._fetch(work.before, work.before_size), self._fetch(work.after, work.after_size)
                return _QUICK, tutor.judge(asked, answered, work.tolerance)
            case Take(key, after, size):
                return _QUICK, tutor.take(key, self._fetch(after, size))
        raise TypeError(f"an adapter cannot do {type(work).__name__}")

    def _fetch(self, name: Digest, size: int) -> bytes:
        raw = self._blobs.get(self._node, name, size)
        if isinstance(raw, str):
            raise DecodeError(raw)
        return raw

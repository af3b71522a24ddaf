"""An adapter's part in encounters, in bytes: whatever crosses the network is encoded, bounded and checked here.

For drivers, which run it in a thread and carry the bytes as blobs. Pure given its rngs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from p2pfd.core import canonical
from p2pfd.core.ids import Digest
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import (
    Budget,
    EncounterAdapter,
    Judgement,
    Payload,
    Split,
    Task,
)
from p2pfd.learning.codecs import Codec, CodecState, form_of, parse, plainest
from p2pfd.roles.encounter.work import Judged, Taken
from p2pfd.wire.limits import MAX_OFFERED

MILLION = 1_000_000
_SAVED_BYTES = 512 * 2**20
_REMEMBERED = 256
"""So many of the last encounters are remembered, so that no answer is taken twice after a restart."""


class Tutor:
    """One node's learning by encounters."""

    def __init__(
        self,
        adapter: EncounterAdapter[Any],
        task: Task,
        shard: Split,
        probe: Split,
        budget: Budget,
        private: Rng,
        shared: Rng,
    ) -> None:
        """``shard`` is what it learns from and teaches with, ``probe`` what it judges by; ``shared`` is all nodes'."""
        self._adapter = adapter
        self._task = task
        self._shard = shard
        self._probe = probe
        self._budget = budget
        self._private = private
        self.state = adapter.init(task, shared.split("init"))
        self.taken: list[int] = []
        self.trained = False
        asked = adapter.request(self.state, task)
        none = Split(shard.x[:0], shard.y[:0])
        answered = adapter.serve(self.state, asked, none, budget, private.split("form"))
        self._codec = _codec_for(asked, task.spec.codecs), _codec_for(answered, task.spec.codecs)
        classes = task.spec.data.classes
        self._form = form_of(asked, classes), form_of(answered, classes)

    @property
    def most(self) -> tuple[int, int]:
        """The bytes of the largest request and of the largest answer: what is larger need not be fetched."""
        sizes = [codec.most(form) for codec, form in zip(self._codec, self._form, strict=True)]
        return min(sizes[0], MAX_OFFERED), min(sizes[1], MAX_OFFERED)

    def ask(self, key: int) -> bytes:
        """Train, then the request."""
        self._train(self._private.split("train", key))
        return self._write(0, self._adapter.request(self.state, self._task))

    def weigh(self, request: bytes) -> None:
        """DecodeError for a request that cannot be served."""
        none = Split(self._shard.x[:0], self._shard.y[:0])
        self._adapter.serve(self.state, self._read(0, request), none, self._budget, self._private.split("weigh"))

    def serve(self, key: int, request: bytes) -> bytes:
        """The answer; DecodeError for a request that cannot be served. Who teaches has learnt something itself."""
        if not self.trained:
            self._train(self._private.split("train"))
        rng = self._private.split("serve", key)
        served = self._adapter.serve(self.state, self._read(0, request), self._shard, self._budget, rng)
        return self._write(1, served)

    def judge(self, before: bytes, after: bytes, tolerance: int) -> Judged:
        """The finding on one's own probe; an answer that is none of this task's is worse than any."""
        try:
            was = self._read(0, before)
        except DecodeError:
            return Judged(None)
        try:
            now = self._read(1, after)
        except DecodeError:
            return Judged(False)
        found: Judgement = self._adapter.judge(self.state, was, now, self._probe, tolerance / MILLION)
        return Judged(found.good, {"before": round(found.before * MILLION), "after": round(found.after * MILLION)})

    def take(self, key: int, answer: bytes) -> Taken:
        """Go on from the answer, once for each encounter; DecodeError for one that is not usable."""
        if key not in self.taken:
            self.state = self._adapter.accept(self.state, self._read(1, answer))
            self.taken = [*self.taken[1 - _REMEMBERED :], key]
        name = Digest(hashlib.sha256(self._adapter.dump(self.state)).digest())
        return Taken(name, {"accuracy": self.accuracy(self._probe)})

    def accuracy(self, split: Split) -> int:
        """How often it is right on these samples, in millionths."""
        return round(self._adapter.evaluate(self.state, split)["accuracy"] * MILLION) if len(split) else 0

    def dump(self) -> bytes:
        """The state, and which answers are in it."""
        return canonical.encode([self._adapter.dump(self.state), self.taken, self.trained])

    def load(self, raw: bytes) -> None:
        """Go on from what `dump` wrote; DecodeError for anything else."""
        match canonical.decode(raw, limit=_SAVED_BYTES):
            case [bytes(state), list(taken), bool(trained)] if all(type(key) is int for key in taken):
                self.state, self.taken, self.trained = self._adapter.load(state, self._task), taken, trained
            case _:
                raise DecodeError("not the state of a node that learns by encounters")

    def _train(self, rng: Rng) -> None:
        self.state = self._adapter.train(self.state, self._shard, self._budget, rng)
        self.trained = True

    def _write(self, which: int, payload: Payload) -> bytes:
        frame, _ = self._codec[which].encode(payload, self._form[which], CodecState())
        if len(frame) > MAX_OFFERED:
            raise PlanError(
                f"a model of {len(frame)} bytes, at most {MAX_OFFERED} are taken",
                'take a smaller net, or codecs as "fp16"',
            )
        return frame

    def _read(self, which: int, raw: bytes) -> Payload:
        if len(raw) > self.most[which]:
            raise DecodeError(f"{len(raw)} bytes, at most {self.most[which]} are of this task")
        return self._codec[which].decode(raw, self._form[which], CodecState())[0]


def _codec_for(payload: Payload, named: Sequence[str]) -> Codec:
    if named:
        codec = parse("+".join(named))
        if codec.name.startswith(("delta", "feedback")):
            raise PlanError(f"the codec {codec.name} remembers what was sent before", "partners of encounters change")
        return codec
    return plainest(payload)

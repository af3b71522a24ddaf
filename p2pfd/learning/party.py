"""A participant of encounters: an adapter with its data and its state, and what it sends and gets as frames of bytes.

What a stranger sends is of the task's form or a `DecodeError`, and no frame is longer than `most`. Two strangers have
no frame in common, so every frame is a first one.
"""

from __future__ import annotations

import hashlib
from typing import Generic, TypeVar

from p2pfd.core.ids import Digest
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, EncounterAdapter, Judgement, Metrics, Payload, Split, Task
from p2pfd.learning.codecs import CodecState, Form, form_of, parse

S = TypeVar("S")
_MILLION = 1_000_000
_FEW = 8
"""Samples on which an answer is made to see what one looks like."""


class Party(Generic[S]):
    """One participant. Everything here takes a while and is synchronous: it is called aside."""

    def __init__(
        self,
        adapter: EncounterAdapter[S],
        task: Task,
        shard: Split,
        probe: Split,
        budget: Budget,
        private: Rng,
        shared: Rng,
    ) -> None:
        self._adapter = adapter
        self._task = task
        self._shard = shard
        self._probe = probe
        self._budget = budget
        self._private = private
        self._codec = parse("+".join(task.spec.codecs) if task.spec.codecs else "raw")
        if self._codec.name.startswith("delta"):
            raise PlanError(
                f"the codec {self._codec.name} remembers what was sent before",
                'strangers have heard nothing before: take one without "delta"',
            )
        self._state = adapter.init(task, shared.split("init"))
        request = adapter.request(self._state, task)
        few = Split(shard.x[:_FEW], shard.y[:_FEW])
        answer = adapter.serve(self._state, request, few, Budget(1), shared.split("form"))
        classes = task.spec.data.classes
        self._request, self._answer = form_of(request, classes), form_of(answer, classes)
        self.most = max(self._codec.most(form) for form in (self._request, self._answer))
        """So many bytes the largest frame of this task has."""
        self.saved = adapter.dump(self._state)
        """The state after whatever was done last, for a store."""

    @property
    def weights(self) -> Digest:
        """The state's name: its hash."""
        return Digest(hashlib.sha256(self.saved).digest())

    def restore(self, saved: bytes) -> None:
        """Go on from a saved state; DecodeError for bytes that are none."""
        self._state, self.saved = self._adapter.load(saved, self._task), saved

    def ask(self, key: int) -> bytes:
        """As a learner: train on one's own data, and make a request of what one has.

        ``key`` names the encounter: the same one gets the same training, however often it is asked for.
        """
        rng = self._private.split("ask", key)
        self._keep(self._adapter.train(self._state, self._shard, self._budget, rng))
        return self._frame(self._adapter.request(self._state, self._task), self._request)

    def weigh(self, request: bytes) -> None:
        """As a neighbor: DecodeError when a frame is no request of this task."""
        self._payload(request, self._request)

    def serve(self, key: int, request: bytes) -> bytes:
        """As a neighbor: make of a request what the learner pays for."""
        rng = self._private.split("serve", key)
        payload = self._payload(request, self._request)
        return self._frame(self._adapter.serve(self._state, payload, self._shard, self._budget, rng), self._answer)

    def judge(self, before: bytes, after: bytes, tolerance: int) -> Judgement:
        """As a validator: compare both on one's own data, the tolerance in millionths.

        An answer that is no model of this task is bad. A request that is none is the learner's own fault: whatever came
        of it is not worse.
        """
        try:
            asked = self._payload(before, self._request)
        except DecodeError:
            return Judgement(good=True, before=0.0, after=0.0)
        try:
            answered = self._payload(after, self._answer)
        except DecodeError:
            return Judgement(good=False, before=0.0, after=0.0)
        return self._adapter.judge(self._state, asked, answered, self._probe, tolerance / _MILLION)

    def take(self, answer: bytes) -> None:
        """As a learner: go on from an answer; DecodeError when it is of no use."""
        self._keep(self._adapter.accept(self._state, self._payload(answer, self._answer)))

    def evaluate(self, split: Split) -> Metrics:
        """How good the state is."""
        return self._adapter.evaluate(self._state, split)

    def _keep(self, state: S) -> None:
        self._state, self.saved = state, self._adapter.dump(state)

    def _frame(self, payload: Payload, form: Form) -> bytes:
        return self._codec.encode(payload, form, CodecState())[0]

    def _payload(self, frame: bytes, form: Form) -> Payload:
        if len(frame) > self.most:
            raise DecodeError(f"a frame of {len(frame)} bytes, at most {self.most} are taken")
        return self._codec.decode(frame, form, CodecState())[0]

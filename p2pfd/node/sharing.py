"""Where a node learns by exchange: contributions become blobs, and others' blobs become contributions.

Every blob has a size and a form that are known before it is fetched: the contributions of a task are all of the form of
one's own. What does not fit, or cannot be had, is left out and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import trio

from p2pfd.core.canonical import decode, encode
from p2pfd.core.effects import Work
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Account, Digest, RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, NetworkError, PlanError
from p2pfd.learning.adapter import (
    Budget,
    Contribution,
    LearningAdapter,
    Payload,
    Tensors,
)
from p2pfd.learning.codecs import Codec, CodecState, Form, dump_state, form_of, load_state, parse, plainest
from p2pfd.network.api import Cid, Transport
from p2pfd.node.workbench import MILLION, Aside, Materials, budget_of
from p2pfd.roles.exchange import Merge, Merged, Share, Shared
from p2pfd.roles.work import Conclude, Concluded
from p2pfd.wire.limits import MAX_OFFERED

_SAVED_BYTES = 512 * 2**20
_AT_ONCE = 4
"""So many contributions are fetched at once."""


class SharingBench:
    """Turns works into outcomes, for any adapter that need not have the same student on all nodes."""

    def __init__(
        self, adapter: LearningAdapter[Any], materials: Materials, private: Rng, shared: Rng, me: Account
    ) -> None:
        self._adapter = adapter
        self._materials = materials
        self._private = private
        self._shared = shared
        self._me = me
        spec = materials.task.spec
        self._budget = budget_of(adapter, materials.task)
        self._codec = parse("+".join(spec.codecs)) if spec.codecs else None
        if self._codec is not None and self._codec.name.startswith("delta"):
            raise PlanError(
                f"the codec {self._codec.name} remembers what was sent before",
                'partners change from round to round and miss some: take one without "delta"',
            )
        self._state = adapter.init(materials.task, shared.split("init"))
        self._weights = _name(adapter.dump(self._state))
        """The state's hash: it is known whenever the state was dumped, and no second dump is made for it."""
        self._before = self._after = CodecState()
        """The codec's memory before and after the last contribution, which can so be made once more."""
        self._own: Payload | None = None
        self._form: Form | None = None
        self.saved = b""

    def restore(self, saved: bytes) -> None:
        """Go on from a saved state; nothing saved means the state before the first round."""
        if not saved:
            return
        value = decode(saved, limit=_SAVED_BYTES)
        match value:
            case [bytes(state), bytes(before), bytes(after)]:
                self._state, self._own = self._adapter.load(state, self._materials.task), None
                form = self._look()[1]
                self._weights = _name(state)
                self._before, self._after = load_state(before, form), load_state(after, form)
                self.saved = saved
            case _:
                raise DecodeError("not a state of a node that learns by exchange")

    @property
    def weights_bytes(self) -> int:
        """What the arrays that a node shares take unpacked; 0 before the first, and where it shares no weights."""
        own = self._own
        return 4 * sum(array.size for array in own.arrays.values()) if isinstance(own, Tensors) else 0

    async def begin(self, transport: Transport) -> None:
        """Nothing is offered before the first round."""

    async def perform(self, work: Work, transport: Transport, aside: Aside) -> Outcome:
        """What comes of a work."""
        match work:
            case Share():
                frame: bytes = await aside(self._share, work)
                return Shared(Digest(await transport.put(frame)), len(frame))
            case Merge():
                heard = await self._fetch(work, transport)
                merged: Outcome = await aside(self._merge, work.round, heard, len(work.offers))
                return merged
            case Conclude():
                concluded: Outcome = await aside(self._conclude)
                return concluded
            case _:
                raise TypeError(f"nobody who learns by exchange does {type(work).__name__}")

    async def _fetch(self, work: Merge, transport: Transport) -> dict[Account, bytes]:
        """The blobs that can be had, and are no larger than a contribution can be."""
        most = min(self._codec_of(self._look()[0]).most(self._look()[1]), MAX_OFFERED)
        sizes: dict[Digest, int] = {}
        for _, blob, size in work.offers:  # several may offer the same, and some of them lie about its size
            if size <= most:
                sizes[blob] = max(size, sizes.get(blob, 0))
        found: dict[Digest, bytes] = {}
        room = trio.CapacityLimiter(_AT_ONCE)

        async def fetch(blob: Digest, size: int) -> None:
            async with room:
                try:
                    found[blob] = await transport.get(Cid(blob), size)
                except NetworkError:
                    return  # counted by who reads how many came

        async with trio.open_nursery() as nursery:
            for blob, size in sizes.items():
                nursery.start_soon(fetch, blob, size)
        return {who: found[blob] for who, blob, size in work.offers if len(found.get(blob, b"")) == size}

    # -- in a thread ---------------------------------------------------------------------------------------------------

    def _share(self, work: Share) -> bytes:
        task, state = self._materials.task, self._state
        before = self._before if work.again else self._after
        if not work.again:
            rng = self._private.split("train", work.round)
            state = self._adapter.train(state, self._materials.shard, self._budget, rng)
        payload = self._adapter.share(state, task, work.round)
        form = form_of(payload, task.spec.data.classes)
        frame, after = self._codec_of(payload).encode(payload, form, before)
        if len(frame) > MAX_OFFERED:
            raise PlanError(
                f"a contribution of {len(frame)} bytes, at most {MAX_OFFERED} are taken",
                'make it smaller: a smaller net, or codecs such as "fp16"',
            )
        self._own, self._form = payload, form
        self._before, self._after = before, after
        self._keep(state)
        return frame

    def _merge(self, rnd: RoundId, heard: Mapping[Account, bytes], offered: int) -> Outcome:
        own, form = self._look()
        said = [Contribution(self._me, own)]
        for who, frame in heard.items():
            try:
                said.append(Contribution(who, self._codec_of(own).decode(frame, form, CodecState())[0]))
            except DecodeError:
                continue  # counted below: who offered and is not among those merged
        said.sort(key=lambda each: each.sender)
        state = self._adapter.absorb(self._state, said, rnd, self._shared.split("absorb", rnd))
        self._keep(state)
        accuracy = self._adapter.evaluate(state, self._materials.validation)["accuracy"]
        missed = offered + 1 - len(said)
        return Merged(self._weights, {"accuracy": round(accuracy * MILLION), "merged": len(said), "unusable": missed})

    def _conclude(self) -> Outcome:
        task, test = self._materials.task, self._materials.test
        together = self._adapter.evaluate(self._state, test)
        # Alone: the same adapter from the same start, its whole budget spent on this node's own samples.
        start = self._adapter.init(task, self._shared.split("init"))
        budget = Budget(self._budget.epochs * task.spec.rounds)
        lonely = self._adapter.train(start, self._materials.shard, budget, self._private.split("alone"))
        self._look()
        figures = {
            "accuracy_together": round(together["accuracy"] * MILLION),
            "accuracy_alone": round(self._adapter.evaluate(lonely, test)["accuracy"] * MILLION),
            "fedavg_bytes": self.weights_bytes * task.spec.rounds,
        }
        return Concluded(self._weights, figures)

    def _look(self) -> tuple[Payload, Form]:
        """One's own contribution as it stands, and its form: the others' have the same."""
        if self._own is None or self._form is None:
            task = self._materials.task
            self._own = self._adapter.share(self._state, task, RoundId(0))
            self._form = form_of(self._own, task.spec.data.classes)
        return self._own, self._form

    def _codec_of(self, payload: Payload) -> Codec:
        return plainest(payload) if self._codec is None else self._codec

    def _keep(self, state: Any) -> None:
        dumped = self._adapter.dump(state)
        self._state, self._weights = state, _name(dumped)
        self.saved = encode([dumped, dump_state(self._before), dump_state(self._after)])


def _name(dumped: bytes) -> Digest:
    return Digest(hashlib.sha256(dumped).digest())

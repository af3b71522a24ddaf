"""Where a node's works of encounters are done: its tutor learns aside, its key signs, and its chain is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from p2pfd.core.effects import Effect, Work
from p2pfd.core.encounter_claims import RULES
from p2pfd.core.events import Event, Outcome
from p2pfd.core.ids import Digest
from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.core.ticks import Tick
from p2pfd.errors import ChainError, DecodeError
from p2pfd.learning.adapter import Budget, EncounterAdapter, Tensors
from p2pfd.network.api import Cid, Transport
from p2pfd.node.workbench import MILLION, Aside, Materials, budget_of
from p2pfd.roles.encounter import Device, Habits
from p2pfd.roles.encounter.tutor import Tutor
from p2pfd.roles.encounter.work import (
    Ask,
    Asked,
    Audit,
    Audited,
    Confirm,
    Confirmed,
    Held,
    Judge,
    Recall,
    Recalled,
    Serve,
    Served,
    Sign,
    Signed,
    Take,
    Weigh,
    Weighed,
)
from p2pfd.roles.work import Conclude, Concluded
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import EncounterSettlement
from p2pfd.settlement.encounters import sign

if TYPE_CHECKING:
    from p2pfd.node.driver import Observer
    from p2pfd.node.ports import NodePorts

QUICK = (Sign, Recall, Confirm, Audit)
"""Works that wait for no model, and that no model is to keep waiting."""


def habits_of(spec: TaskSpec) -> Habits:
    """How a member of the task takes part: by its terms, as learner, neighbor and validator."""
    terms = spec.encounters
    return Habits(
        encounters=terms.own,
        serves=spec.seats,
        validates=True,
        prepayment=terms.prepayment,
        bond=terms.bond,
        threshold=terms.threshold,
        stake=terms.stake,
        longest=terms.longest,
        unbond_seconds=terms.unbond_seconds,
        share=terms.share,
        size=terms.size,
        rule=RULES.index(terms.rule),
        tolerance=terms.tolerance,
        open_seconds=terms.open_seconds,
        learn_seconds=terms.learn_seconds,
        vote_seconds=terms.vote_seconds,
        margin_seconds=terms.margin_seconds,
    )


def until_done(device: Device, ports: NodePorts) -> Observer:
    """For the driver: once the device has had all encounters of its own, its last figures are taken. It goes on."""
    concluded = False

    def observe(at: Tick, event: Event, effects: tuple[Effect, ...]) -> None:
        nonlocal concluded
        ports.observe(at, event, effects)
        if not concluded and device.done >= device.desk.habits.encounters:
            concluded = True
            ports.conclude()

    return observe


class EncounterBench:
    """Turns works into outcomes. ``private`` is this node's own randomness, ``shared`` is the same on every node."""

    def __init__(
        self, adapter: EncounterAdapter[Any], materials: Materials, private: Rng, shared: Rng, key: AccountKey
    ) -> None:
        task = materials.task
        self._adapter = adapter
        self._budget = budget_of(adapter, task)
        self._materials = materials
        self._private = private
        self._shared = shared
        self._key = key
        self._tutor = Tutor(adapter, task, materials.shard, materials.validation, self._budget, private, shared)
        sample = adapter.request(self._tutor.state, task)
        self.weights_bytes = 4 * sum(a.size for a in sample.arrays.values()) if isinstance(sample, Tensors) else 0
        """What the weights that are sent take, as numbers of four bytes."""
        self.saved = b""
        """The state after the last work, for the store."""
        self.desk: Callable[[], EncounterSettlement] = _no_desk
        """The chain as it is reached now; ChainAwayError while it is not."""

    def restore(self, saved: bytes) -> None:
        """Go on from a saved state; nothing saved means the state before anything."""
        if saved:
            self._tutor.load(saved)
            self.saved = saved

    async def begin(self, transport: Transport) -> None:
        """What others may ask for was put on disk when it was made."""

    async def perform(self, work: Work, transport: Transport, aside: Aside) -> Outcome:
        """What comes of a work; a `P2pfdError` where it cannot be done."""
        match work:
            case Sign(paper):
                return Signed(sign(self._key, self.desk().papers.digest(paper)))
            case Recall(key):
                opening = await self.desk().opening(key)
                return Recalled(opening.terms, opening.name)
            case Confirm(key):
                return Confirmed(await self.desk().answer(key))
            case Audit():
                return await self._audit()
            case Conclude():
                concluded: Outcome = await aside(self._conclude)
                return concluded
        outcome = await self._learn(work, transport, aside)
        self.saved = await aside(self._tutor.dump)
        return outcome

    async def _learn(self, work: Work, transport: Transport, aside: Aside) -> Outcome:
        tutor = self._tutor

        async def fetch(name: Digest, size: int, most: int) -> bytes:
            if size > most:
                raise DecodeError(f"{size} bytes, at most {most} are of this task")
            return await transport.get(Cid(name), size)

        largest_request, largest_answer = tutor.most
        match work:
            case Ask(key):
                request: bytes = await aside(tutor.ask, key)
                return Asked(Digest(await transport.put(request)), len(request))
            case Weigh(before, size):
                await aside(tutor.weigh, await fetch(before, size, largest_request))
                return Weighed()
            case Serve(key, before, size):
                answer: bytes = await aside(tutor.serve, key, await fetch(before, size, largest_request))
                return Served(Digest(await transport.put(answer)), len(answer))
            case Judge():
                asked = await fetch(work.before, work.before_size, largest_request)
                answered = await fetch(work.after, work.after_size, largest_answer)
                judged: Outcome = await aside(tutor.judge, asked, answered, work.tolerance)
                return judged
            case Take(key, after, size):
                # Where the chain alone named the answer, nobody has said how large it is.
                most = min(size, largest_answer)
                taken: Outcome = await aside(tutor.take, key, await fetch(after, most, largest_answer))
                return taken
        raise TypeError(f"nobody who learns in encounters does {type(work).__name__}")

    async def _audit(self) -> Outcome:
        desk, me = self.desk(), self._key.account
        held = await desk.account(me)
        seats = tuple(
            Held(number, seat.balance, seat.left_at if seat.left else 0)
            for number, seat in enumerate(await desk.seats())
            if seat is not None and seat.holder == me
        )
        ready = await desk.ready(me) if held.unbonding else 0
        return Audited(held.wallet, held.free, held.unbonding, ready, seats)

    def _conclude(self) -> Outcome:
        adapter, task, test = self._adapter, self._materials.task, self._materials.test
        own = task.spec.encounters.own
        # Alone: the same adapter from the same start, its whole budget spent on this node's own samples.
        start = adapter.init(task, self._shared.split("init"))
        budget = Budget(self._budget.epochs * own)
        lonely = adapter.train(start, self._materials.shard, budget, self._private.split("alone"))
        figures = {
            "accuracy_together": self._tutor.accuracy(test),
            "accuracy_alone": round(MILLION * adapter.evaluate(lonely, test)["accuracy"]),
            "fedavg_bytes": self.weights_bytes * own,
        }
        return Concluded(Digest(hashlib.sha256(adapter.dump(self._tutor.state)).digest()), figures)


def _no_desk() -> EncounterSettlement:
    raise ChainError("this node has no chain", "encounters are settled on one")

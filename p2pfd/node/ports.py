"""The real ports of a node: effects become gossip, threads, transactions, rows and lines."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import trio

from p2pfd.core.agenda import Kind
from p2pfd.core.claims import Claim
from p2pfd.core.effects import Effect, Field, Work
from p2pfd.core.events import ChainSaw, Computed, Event, Heard, Message, Outcome, Settled
from p2pfd.core.ids import PeerId, TaskId
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.core.verdict import ACCEPT, Reject, Verdict
from p2pfd.errors import DecodeError, P2pfdError
from p2pfd.network.api import Delivery, Topic, Transport
from p2pfd.network.statefile import StateFile
from p2pfd.node.encounters import QUICK
from p2pfd.node.keys import NodeKeys, verify
from p2pfd.node.saying import Places, Saying
from p2pfd.node.settling import ChainSide
from p2pfd.node.store import Saved, Store
from p2pfd.node.telemetry import Emitter
from p2pfd.node.workbench import Bench
from p2pfd.roles.work import Conclude, Concluded
from p2pfd.settlement.accounts import recover
from p2pfd.settlement.api import GENESIS
from p2pfd.wire.envelope import judge, open_envelope, seal
from p2pfd.wire.messages import Hello, Reveal, Whereabouts
from p2pfd.wire.messages import Message as WireMessage
from p2pfd.wire.vouch import check_vouch

if TYPE_CHECKING:
    from p2pfd.node.driver import Driver

T = TypeVar("T")
TOLD_IN_FULL = 32
_CONCLUDE = "the node's own conclusion"
REMEMBERED = 4096
"""So many of its own last numbers a node knows again."""
VOUCHED = 1024
"""Of so many peers the signatures in a hello are not checked again when it comes again."""
LEEWAY = 10 * SECOND
"""By so much this life's clock may be behind the last one's: numbers that are no higher may be of that."""
MOST_UNANSWERED = 256
"""So many deliveries are with the machine at once; the transport's bounded queue holds what comes on top."""


def topic_of(task: TaskId) -> Topic:
    """The pubsub topic of a task: half of its id is enough for a name, and the whole of it is signed."""
    return Topic(f"/p2pfd/2/{task.hex()[:32]}")


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """Call it in a thread. A thread cannot be stopped: on cancellation nobody waits for it any longer."""
    # A dependency installs stubs of an older trio, which know this argument by another name.
    return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=True)  # type: ignore[call-arg]


class NodePorts:
    """Everything that a machine's effects need. `run_*` methods are the node's background tasks."""

    def __init__(
        self,
        task: TaskId,
        keys: NodeKeys,
        transport: Transport,
        chain: ChainSide | None,
        bench: Bench,
        store: Store,
        emit: Emitter,
        nursery: trio.Nursery,
        first_seq: int,
        alone: bool = False,
        places: StateFile | None = None,
    ) -> None:
        """``alone``: the machine also says things to single peers, and this node tells where it can be dialled.

        ``places`` is where it keeps where others can be.
        """
        self._task = task
        self._keys = keys
        self._transport = transport
        self.chain = chain
        self._bench = bench
        self._store = store
        self._emit = emit
        self._nursery = nursery
        self._seq = self._began = first_seq
        self._said: deque[int] = deque(maxlen=REMEMBERED)
        self._deliveries: dict[int, Delivery] = {}
        self._room = trio.Event()
        self._told: dict[str, int] = {}
        self._vouched: dict[PeerId, Hello] = {}
        """Who vouched for whom, of the latest that did."""
        self._heard = 0
        self._places = Places(transport, places)
        self._saying = Saying(transport, self._places, self._take, emit) if alone else None
        self._out, self._outbox = trio.open_memory_channel[WireMessage](math.inf)
        self._jobs, self._jobbox = trio.open_memory_channel[tuple[str, Work]](math.inf)
        self.label_bytes = 0
        self.driver: Driver | None = None
        self.finished = trio.Event()
        """Set when the task is over and its last figures are taken."""
        self.figures: Mapping[str, Field] = {}

    def _post(self, kind: Kind, event: Heard | Computed | Settled | ChainSaw) -> None:
        if self.driver is None:
            raise RuntimeError("the ports have no driver yet")
        self.driver.post(kind, event)

    # -- network -------------------------------------------------------------------------------------------------------

    def answer(self, delivery: int, verdict: Verdict) -> None:
        """Tell the network what the machine thinks of a delivery."""
        held = self._deliveries.pop(delivery, None)
        if held is None:
            return
        held.answer(verdict)
        self._room.set()
        if isinstance(verdict, Reject):
            told = {"peer": held.sender, "reason": verdict.reason, "evidence": verdict.evidence}
            self._tell_seldom("peer.rejected", told)

    def _tell_seldom(self, name: str, fields: Mapping[str, object]) -> None:
        """Tell the first few in full and then ever fewer of them: peers must not fill this node's disk."""
        count = self._told[name] = self._told.get(name, 0) + 1
        if count <= TOLD_IN_FULL or count & (count - 1) == 0:
            self._emit(name, {**fields, "count": count})

    def publish(self, message: Message) -> None:
        """Queue it for `run_publishing`; a machine speaks a few times a round, so the queue stays short."""
        if isinstance(message, Reveal):
            self.label_bytes += len(message.labels)
        self._out.send_nowait(message)  # type: ignore[arg-type]

    def send(self, peer: PeerId, message: Message) -> None:
        """Begin to say it to one peer; what is said to the same peer stays in order."""
        if self._saying is None:
            raise TypeError(f"a {type(message).__name__} to {peer} alone, in a task in which all speak to all")
        self._nursery.start_soon(self._saying.say, peer, self._seal(message))  # type: ignore[arg-type]

    def _seal(self, message: WireMessage) -> bytes:
        # By the clock, so that a number tells when it was given: see `echoed`.
        self._seq = max(self._seq + 1, 0 if self.driver is None else self.driver.clock.now())
        self._said.append(self._seq)
        return seal(message, self._task, self._seq, self._keys.peer, self._keys.sign)

    def echoed(self, raw: bytes) -> None:
        """Something came in under this node's name: from a former life, unless it was said since this one began."""
        try:
            envelope = open_envelope(raw, verify, task=self._task, sender=self._keys.peer)
        except DecodeError:
            return  # not of this task: whoever has the key may take part in others
        if envelope.seq > self._began + LEEWAY and envelope.seq not in self._said:
            fix = "stop the other one; if it is not yours, the key was stolen: withdraw what you own and take new keys"
            self._tell_seldom("identity.twice", {"peer": self._keys.peer, "fix": fix})

    async def run_publishing(self) -> None:
        """Sign and publish what the machine says, in its order."""
        topic = topic_of(self._task)
        async for message in self._outbox:
            await self._transport.publish(topic, self._seal(message))

    async def run_placing(self) -> None:
        """Tell where this node can be spoken to alone: at first, and whenever there is somebody who may not know."""
        while self._saying is not None:
            where = self._places.own()
            if where is not None:
                await self._transport.publish(topic_of(self._task), self._seal(where))
            await self._places.news()

    async def run_listening(self) -> None:
        """Check what is heard, and hand the machine what is worth its time."""
        async for delivery in self._transport.heard(topic_of(self._task)):
            message = self._open(delivery)
            if message is None:
                continue
            while len(self._deliveries) >= MOST_UNANSWERED:
                self._room = trio.Event()
                await self._room.wait()
            self._hand_over(delivery, message)

    def _take(self, peer: PeerId, raw: bytes) -> bool:
        """What a peer says to this node alone; False while the machine has too much to answer already."""
        if len(self._deliveries) >= MOST_UNANSWERED:
            return False

        def answer(verdict: Verdict) -> None:
            if isinstance(verdict, Reject):
                self._transport.blame(peer, verdict.reason)

        delivery = Delivery(peer, peer, raw, answer)
        message = self._open(delivery)
        if message is not None:
            self._hand_over(delivery, message)
        return True

    def _open(self, delivery: Delivery) -> WireMessage | None:
        """What is in an envelope, if it is for the machine; what is not is answered here."""
        try:
            envelope = open_envelope(delivery.raw, verify, task=self._task, sender=delivery.sender)
            if isinstance(envelope.body, Hello):
                self._check_vouch(envelope.body)
            if isinstance(envelope.body, Whereabouts):
                if not self._places.note(envelope.sender, envelope.body):
                    raise DecodeError("whereabouts of somebody else")
                delivery.answer(ACCEPT)
                return None
        except DecodeError as error:
            verdict = judge(error)
            delivery.answer(verdict)
            self._tell_seldom("peer.garbled", {"peer": delivery.sender, "reason": verdict.reason})
            return None
        return envelope.body

    def _check_vouch(self, hello: Hello) -> None:
        """Both halves, unless they were right before: whoever misses somebody greets all others once more."""
        if self._vouched.get(hello.peer) != hello:
            check_vouch(hello, self._task, verify, recover)
            if len(self._vouched) == VOUCHED:
                del self._vouched[next(iter(self._vouched))]
            self._vouched[hello.peer] = hello

    def _hand_over(self, delivery: Delivery, message: WireMessage) -> None:
        self._heard += 1
        self._deliveries[self._heard] = delivery
        self._post(Kind.HEARD, Heard(self._heard, delivery.sender, message, delivery.raw))

    # -- computing -----------------------------------------------------------------------------------------------------

    def compute(self, job: str, work: Work) -> None:
        """Queue it: a model learns one thing after the other. What needs no model is done at once."""
        if isinstance(work, QUICK):
            self._nursery.start_soon(self._work, job, work)
        else:
            self._jobs.send_nowait((job, work))

    def conclude(self) -> None:
        """The machine has done all of its own, and goes on for the others: take the last figures."""
        self._jobs.send_nowait((_CONCLUDE, Conclude()))

    async def run_computing(self) -> None:
        """Do the works in a thread, so that the event loop never waits for a model."""
        async for job, work in self._jobbox:
            await self._work(job, work)

    async def _work(self, job: str, work: Work) -> None:
        outcome: Outcome | None = None
        failure = ""
        try:
            outcome = await self._bench.perform(work, self._transport, in_thread)
        except P2pfdError as error:
            if isinstance(work, Conclude):
                raise  # nothing comes after it: without its figures the task never ends
            failure = str(error)
        if job == _CONCLUDE and isinstance(outcome, Concluded):  # the machine did not ask for it
            self.emit("task.finished", {**outcome.figures, "weights": outcome.weights})
        else:
            self._post(Kind.COMPUTED, Computed(job, outcome, failure))

    # -- settling ------------------------------------------------------------------------------------------------------

    def submit(self, intent: str, claim: Claim) -> None:
        """Send a claim, unless it was sent before; then only ask what became of it."""
        if self.chain is not None:
            self._nursery.start_soon(self._settle, self.chain, intent, claim)

    async def _settle(self, chain: ChainSide, intent: str, claim: Claim) -> None:
        receipt = await chain.settle(intent, claim)
        if receipt is not None:
            self._post(Kind.CHAIN, Settled(intent, receipt))

    async def run_following(self, chain: ChainSide) -> None:
        """Hand the machine what the chain says of its task, from where it last was."""
        await chain.run(lambda event, block: self._post(Kind.CHAIN, ChainSaw(event, block)))

    def observe(self, _at: Tick, event: Event, _effects: tuple[Effect, ...]) -> None:
        """For the driver: what has been handled, before its effects are carried out."""
        if isinstance(event, ChainSaw) and self.chain is not None:
            self.chain.handled()

    # -- keeping and telling -------------------------------------------------------------------------------------------

    def persist(self, snapshot: bytes) -> None:
        """On disk before anything that follows leaves this node."""
        self._store.save(
            self._task, Saved(snapshot, self._bench.saved, self.chain.cursor if self.chain is not None else GENESIS)
        )

    def emit(self, name: str, fields: Mapping[str, Field]) -> None:
        """One line in the node's stream of events."""
        if name == "task.finished":
            self.figures = fields
            self.finished.set()
            return
        shown: dict[str, object] = dict(fields)
        if isinstance(shown.get("accuracy"), int):
            shown["accuracy"] = int(str(shown["accuracy"])) / 1_000_000
        with suppress(trio.ClosedResourceError):
            self._emit(name, shown)

"""A node without sockets: its ports, a chain, a database and a network in this process, and a clock that jumps."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import trio

from p2pfd.core.agenda import Kind
from p2pfd.core.claims import Deposit, Included, OpenTask, Unknown
from p2pfd.core.events import Restored, Started
from p2pfd.core.ids import Account, Amount
from p2pfd.core.rng import Rng
from p2pfd.core.spec import ChainSpec
from p2pfd.core.terms import terms_of
from p2pfd.errors import ChainError, DecodeError, StorageError
from p2pfd.learning.adapter import Labels, Split, Task
from p2pfd.network.memory import open_memory_network
from p2pfd.node import ports as ports_module
from p2pfd.node.clock import TrioClock
from p2pfd.node.driver import Driver
from p2pfd.node.keys import throwaway
from p2pfd.node.ports import MOST_UNANSWERED, TOLD_IN_FULL, NodePorts, topic_of
from p2pfd.node.runtime import _restore, machine_for
from p2pfd.node.settling import LONGEST_PAUSE, PATIENCE, ChainSide
from p2pfd.node.store import Saved, Store
from p2pfd.node.workbench import Materials, Workbench
from p2pfd.roles.work import Adopt, Conclude, Study
from p2pfd.settlement.accounts import recover
from p2pfd.settlement.api import GENESIS, ChainAwayError
from p2pfd.settlement.reference import ReferenceChain
from p2pfd.wire.envelope import seal
from p2pfd.wire.messages import Commit
from p2pfd.wire.vouch import vouch
from tests.unit.node.test_config import SPEC as PLAIN

SAMPLES = 4
SPEC = dataclasses.replace(
    PLAIN,
    data=dataclasses.replace(PLAIN.data, public=SAMPLES),
    rounds=2,
    seats=2,
    quorum=2,
    chain=ChainSpec("embedded", 31337, Account("0x" + "aa" * 20), Account("0x" + "bb" * 20)),
)
KEYS = [throwaway(5, f"node-{number}") for number in range(2)]
REQUESTER = Account("0x" + "ee" * 20)
WALLETS = {REQUESTER: 10**6, **{keys.account.account: 1_000 for keys in KEYS}}
ROWS = Split(np.zeros((SAMPLES, 64), np.float32), np.zeros(SAMPLES, np.int64))


class Votes:
    """The student is a table of how often each sample got label one; whoever trains labels everything one."""

    name, defaults = "votes", {}

    def init(self, task, rng):
        return np.zeros(SAMPLES, np.uint8)

    def train(self, state, shard, budget, rng):
        return state

    def share(self, state, task, rnd):
        return Labels(bytes([1] * SAMPLES))

    def absorb(self, state, heard, rnd, rng):
        return sum((np.frombuffer(said.payload.classes, np.uint8) for said in heard), state)

    def evaluate(self, state, split):
        return {"accuracy": 0.5}

    def dump(self, state):
        return state.tobytes()

    student = dump

    def load(self, raw, task):
        if len(raw) != SAMPLES:
            raise DecodeError("not a table of votes")
        return np.frombuffer(raw, np.uint8)

    def adopt(self, state, student):
        return self.load(student, None)

    def parameters(self, state):
        return SAMPLES


class Tap:
    """A chain that can be cut off, and counts what it was sent."""

    def __init__(self, settlement) -> None:
        self.settlement, self.caps = settlement, settlement.caps
        self.cut = False
        self.lose_answer = False
        self.sent: list[object] = []
        self.since: list[object] = []
        self.scope = trio.CancelScope()

    def check(self):
        if self.cut:
            raise ChainAwayError("no chain answers at test")

    def drop(self):
        self.cut = True
        self.scope.cancel()

    @asynccontextmanager
    async def open(self):
        self.check()
        yield self

    async def submit(self, claim):
        self.check()
        ref = await self.settlement.submit(claim)
        self.sent.append(claim)
        if self.lose_answer:
            self.lose_answer = False
            raise ChainAwayError("the answer was lost")
        return ref

    async def final(self, ref):
        self.check()
        return await self.settlement.final(ref)

    async def account(self, who):
        self.check()
        return await self.settlement.account(who)

    def events(self, since, task):
        self.since.append(since)
        return Cuttable(self, self.settlement.events(since, task))


class Cuttable:
    """A chain's events, until it is cut off."""

    def __init__(self, tap: Tap, feed) -> None:
        self.tap, self.feed = tap, feed

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.tap.check()
        with trio.CancelScope() as self.tap.scope:
            return await self.feed.__anext__()
        raise ChainAwayError("the connection broke")
        raise StopAsyncIteration


class Rig:
    """What outlives a node's process: its disk, the chain and the network."""

    def __init__(self, path: Path, network, chain: ReferenceChain, number: int) -> None:
        self.path, self.network, self.keys = path / f"node-{number}.db", network, KEYS[number]
        self.tap = Tap(chain.settlement(self.keys.account.account))
        self.told: list[tuple[str, Mapping[str, object]]] = []
        self._news = trio.Event()

    def emit(self, name: str, fields: Mapping[str, object]) -> None:
        self.told.append((name, fields))
        self._news.set()

    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    async def until(self, holds) -> None:
        """Wait until what was told makes it true."""
        with trio.fail_after(900):
            while not holds():
                self._news = trio.Event()
                await self._news.wait()

    @asynccontextmanager
    async def life(self):
        """One run of the process, killed when the block ends."""
        task = Task(SPEC, ROWS.x)
        bench = Workbench(Votes(), Materials(task, ROWS, ROWS, ROWS), Rng(1), Rng(2))
        machine = machine_for(SPEC, self.keys)
        with Store(self.path) as store:
            saved = store.load(SPEC.id)
            side = ChainSide(SPEC.id, self.keys.account.account, self.tap.open, store, self.emit)
            if saved is not None:
                _restore(self.path, saved, machine, bench)
                side.cursor, side.patient = saved.cursor, True
            async with self.network.open_transport(self.keys.peer_private) as transport, trio.open_nursery() as nursery:
                ports = NodePorts(SPEC.id, self.keys, transport, side, bench, store, self.emit, nursery, first_seq=1)
                ports.driver = Driver(machine, ports, TrioClock(), ports.observe)
                ports.transport, ports.side, ports.machine, ports.store = transport, side, machine, store
                for run in (ports.run_publishing, ports.run_computing, ports.run_listening, ports.driver.run):
                    nursery.start_soon(run)
                nursery.start_soon(ports.run_following, side)
                ports.driver.post(Kind.LIFE, Started() if saved is None else Restored())
                yield ports
                nursery.cancel_scope.cancel()


async def _at_once(function, *arguments):
    return function(*arguments)


@pytest.fixture
async def world(tmp_path, monkeypatch):
    """Two nodes of a settled task. Each test asks for the clock itself, or trio would run it by the wall clock."""
    monkeypatch.setattr("p2pfd.node.ports.in_thread", _at_once)  # a clock that jumps would not wait for a thread
    chain = ReferenceChain(WALLETS, 60, lambda: int(trio.current_time()))
    requester = chain.settlement(REQUESTER)
    await requester.submit(Deposit(Amount(SPEC.money.pot * SPEC.rounds)))
    await requester.submit(OpenTask(terms_of(SPEC)))
    async with open_memory_network() as network:
        yield [Rig(tmp_path, network, chain, number) for number in range(2)]


async def test_two_nodes_settle_and_agree(autojump_clock, world):
    one, two = world
    async with one.life() as first, two.life() as second:
        await first.finished.wait()
        await second.finished.wait()
        assert first.figures["weights"] == second.figures["weights"]
    assert [type(claim).__name__ for claim in one.tap.sent].count("Deposit") == 1


@pytest.mark.parametrize(
    "stop", ["task.enrolled", "round.opened", "round.committed", "round.revealed", "round.absorbed"]
)
async def test_a_node_that_dies_at_any_moment_goes_on_and_claims_nothing_twice(autojump_clock, world, stop):
    one, two = world
    async with two.life() as second:
        async with one.life() as first:
            await one.until(lambda: stop in one.names())
            cursor = first.side.cursor
            saved = first.store.load(SPEC.id)
            assert saved is None or saved.cursor <= cursor
        async with one.life() as first:
            await first.finished.wait()
            await second.finished.wait()
            assert first.figures["weights"] == second.figures["weights"]
    made = [str(claim) for claim in one.tap.sent if type(claim).__name__ not in ("Advance", "SettleRound")]
    assert len(made) == len(set(made)) == 6, "a deposit, an enrolment, two commitments, two reveals"


async def test_a_chain_that_goes_away_is_waited_for_and_read_on(autojump_clock, world):
    one, two = world
    async with one.life() as first, two.life() as second:
        await one.until(lambda: "round.committed" in one.names())
        one.tap.drop()
        await one.until(lambda: one.names().count("chain.unreachable") >= 4)
        assert (
            max(fields.get("again_in", 0) for name, fields in one.told if name == "chain.unreachable") <= LONGEST_PAUSE
        )
        one.tap.cut = False
        await first.finished.wait()
        await second.finished.wait()
    assert one.tap.since[0] == GENESIS
    assert one.tap.since[1] > GENESIS, "nothing is read twice"


async def test_a_chain_that_is_away_at_the_start_is_waited_for(autojump_clock, world):
    one, two = world
    one.tap.cut = True
    async with one.life() as first, two.life():
        await one.until(lambda: one.names().count("chain.unreachable") >= 3)
        one.tap.cut = False
        await first.finished.wait()


async def test_a_chain_that_never_answers_ends_the_start_with_its_reason(autojump_clock, tmp_path, world):
    one, _ = world
    one.tap.cut = True
    with Store(tmp_path / "x.db") as store:
        side = ChainSide(SPEC.id, REQUESTER, one.tap.open, store, lambda name, fields: None)
        began = trio.current_time()
        with pytest.raises(ChainError, match="no chain answers at test"):
            await side.run(lambda event, block: None)
        assert PATIENCE <= trio.current_time() - began <= PATIENCE + LONGEST_PAUSE


async def test_the_wrong_chain_is_told_at_once(tmp_path, autojump_clock):
    @asynccontextmanager
    async def wrong():
        raise ChainError("is chain 5, the task settles on 7")
        yield

    with Store(tmp_path / "x.db") as store, pytest.raises(ChainError, match="is chain 5"):
        await ChainSide(SPEC.id, REQUESTER, wrong, store, lambda name, fields: None).run(lambda event, block: None)
    assert trio.current_time() == 0


async def test_a_claim_that_cannot_be_sent_ends_as_unknown_and_a_lost_answer_pays_once(autojump_clock, tmp_path, world):
    one, _ = world
    me = one.keys.account.account
    with Store(tmp_path / "x.db") as store:
        side = ChainSide(SPEC.id, me, one.tap.open, store, lambda name, fields: None)
        assert isinstance(await side.settle("deposit", Deposit(Amount(9))), Unknown)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(side.run, lambda event, block: None)
            await side.reached.wait()
            one.tap.lose_answer = True
            assert isinstance(await side.settle("deposit", Deposit(Amount(9))), Included)
            nursery.cancel_scope.cancel()
    assert one.tap.sent == [Deposit(Amount(9))]


async def test_what_follows_persist_leaves_after_it_is_on_disk(autojump_clock, world, tmp_path):
    one, two = world
    seen: list[bool] = []
    async with two.life(), one.life() as ports:
        publish = ports.publish

        def checked(message) -> None:
            if isinstance(message, Commit):
                for suffix in ("", "-wal"):  # what would be there after a crash now
                    copy = one.path.with_name(f"copy.db{suffix}")
                    copy.write_bytes(one.path.with_name(one.path.name + suffix).read_bytes())
                with Store(one.path.with_name("copy.db")) as other:
                    saved = other.load(SPEC.id)
                seen.append(saved is not None and saved.machine == ports.machine.snapshot())
            publish(message)

        ports.publish = checked
        await ports.finished.wait()
    assert seen
    assert all(seen)


@pytest.mark.parametrize("saved", [Saved(b"junk", b"", GENESIS), Saved(b"", b"wrong", GENESIS)])
def test_a_damaged_state_is_told_with_its_file(saved, tmp_path):
    bench = Workbench(Votes(), Materials(Task(SPEC, ROWS.x), ROWS, ROWS, ROWS), Rng(1), Rng(2))
    machine = machine_for(SPEC, KEYS[0])
    if not saved.machine:
        saved = dataclasses.replace(saved, machine=machine.snapshot())
    saved = dataclasses.replace(saved, release="0.0.9")
    with pytest.raises(StorageError, match=r"node\.db holds a state that cannot be read.*p2pfd 0\.0\.9 wrote it"):
        _restore(tmp_path / "node.db", saved, machine, bench)


async def test_garbage_from_peers_is_judged_bounded_and_rarely_told(autojump_clock, world):
    one, _ = world
    async with one.life() as ports, one.network.open_transport(KEYS[1].peer_private) as other:
        await other.connect(ports.transport.addresses[0])
        await other.wait_for_subscribers(topic_of(SPEC.id), 1)
        deliveries = len(ports._deliveries)
        for number in range(200):
            with trio.move_on_after(1):
                await other.publish(topic_of(SPEC.id), b"\1garbage %d" % number)
        await trio.sleep(1)
        assert len(ports._deliveries) == deliveries <= MOST_UNANSWERED
        assert 1 <= one.names().count("peer.garbled") <= TOLD_IN_FULL + 8


async def test_a_hello_that_comes_again_is_not_checked_again(autojump_clock, world, monkeypatch):
    one, asked = world[0], []
    monkeypatch.setattr(ports_module, "recover", lambda message, by: asked.append(by) or recover(message, by))
    hello = vouch(SPEC.id, KEYS[1])
    forged = dataclasses.replace(hello, by_account=hello.by_account[:-1] + bytes([55 - hello.by_account[-1]]))
    async with one.life() as ports, one.network.open_transport(KEYS[1].peer_private) as other:
        await other.connect(ports.transport.addresses[0])
        await other.wait_for_subscribers(topic_of(SPEC.id), 1)
        for number, each in enumerate((hello, hello, forged, forged, hello)):
            await other.publish(topic_of(SPEC.id), seal(each, SPEC.id, number + 1, KEYS[1].peer, KEYS[1].sign))
            await trio.sleep(1)
    assert asked == [hello.by_account, forged.by_account, forged.by_account]
    assert one.names().count("peer.garbled") == 2, "what was right once excuses nothing else"


class Sulky(Votes):
    def train(self, state, shard, budget, rng):
        raise DecodeError("this adapter does not like the data")

    def evaluate(self, state, split):
        raise DecodeError("nor the figures")


async def test_an_adapter_that_fails_fails_the_job_and_the_round_goes_on(autojump_clock, world, monkeypatch):
    one, two = world
    monkeypatch.setattr(Votes, "train", Sulky.train)
    async with one.life() as first, two.life():
        await one.until(lambda: "compute.failed" in one.names())
        await first.finished.wait()


def test_a_student_of_another_size_or_hash_is_refused():
    bench = Workbench(Votes(), Materials(Task(SPEC, ROWS.x), ROWS, ROWS, ROWS), Rng(1), Rng(2))
    before = bench.student
    for raw in (b"", b"garbage", b"\0" * 100):
        with pytest.raises(DecodeError):
            bench.adopt(Adopt(0, hashlib.sha256(raw).digest()), raw)
    with pytest.raises(DecodeError, match="other weights"):
        bench.adopt(Adopt(0, b"\0" * 32), b"\1\2\3\4")
    assert bench.student == before
    bench.do(Study(0))
    assert bench.do(Conclude()).figures["accuracy_together"] == 500_000

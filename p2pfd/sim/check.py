"""What must hold whatever goes wrong: nobody is paid twice, no money appears, nobody honest pays, everybody finishes.

A worker that bound itself and showed nothing forfeits part of its bond, because only it can know what it hid. So a
forfeit is just where the worker was not there to show its labels, or could not reach the chain. Here all are honest
and the simulation knows who was where: a forfeit is a fault of ours if the worker had a chance, which is to be alive
and to reach the chain for longer than the longest pause between two of its tries, before the reveals were closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p2pfd.core.claims import (
    BondForfeited,
    RevealsOpened,
    RoundOpened,
    RoundSettled,
    WorkerPaid,
    WorkerSuspended,
)
from p2pfd.core.effects import Answer, Effect, Emit
from p2pfd.core.events import ChainSaw, Event
from p2pfd.core.ids import Account
from p2pfd.core.machine import Machine
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.core.verdict import Accept, Ignore, Reject
from p2pfd.sim.chain import Claimed, LedgerChain, News
from p2pfd.sim.faults import Span
from p2pfd.sim.heap import HeapDriver
from p2pfd.sim.run import Cast, SimPlan
from p2pfd.sim.schedules import Schedule

CHANCE = 9 * SECOND
"""A node tries to reach its chain with pauses of up to eight seconds between."""
LONGEST = 4 * 3600 * SECOND
MOST_EVENTS = 3_000_000
_MOST_OF_A_KIND = 10

MakeCast = Callable[[Schedule], Cast]
"""How the nodes of a schedule are made: tests put machines with known faults in it."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something that must not be: by its kind, and in words."""

    kind: str
    what: str


class _EndlessError(Exception):
    """The simulation does not come to an end."""


class Audited:
    """A ledger whose every step is looked at."""

    def __init__(self, chain: LedgerChain) -> None:
        self._chain = chain
        self.wrong: list[Wrong] = []
        self.forfeits = self.suspensions = 0
        self._all = sum(chain.wallets.values())
        self._outages = tuple((Tick(fault.begin), Tick(fault.end)) for fault in chain.away)
        self._numbers: dict[Account, int] = {}
        self._paid: set[tuple[int, Account]] = set()
        self._bound: set[tuple[int, Account]] = set()
        self._settled: set[int] = set()
        self._commits: dict[int, tuple[Tick, Tick]] = {}
        self._reveals: dict[int, tuple[Tick, Tick]] = {}
        """From when until when the chain took commitments, or reveals, of a round."""

    def open(self, now: Tick) -> News:
        """What is on the chain from the start."""
        return self._chain.open(now)

    def send(self, now: Tick, node: int, claimed: Claimed) -> tuple[Tick, Event] | None:
        """When a claim reaches the chain, or what the node hears instead."""
        return self._chain.send(now, node, claimed)

    def news_at(self, now: Tick) -> Tick:
        """When nodes see what happens on the chain now."""
        return self._chain.news_at(now)

    def take(self, now: Tick, claimed: Claimed) -> News:
        """The claim, and then the books."""
        self._numbers[claimed.sender] = claimed.node
        news = self._chain.take(now, claimed)
        for to, event in news:
            if to is None and isinstance(event, ChainSaw):
                self._look(now, event)
        market = self._chain.market
        wallets = sum(market.balances(who).wallet for who in self._chain.wallets)
        if wallets + market.staking.held != self._all:
            self._tell("value", f"after {claimed.intent}: {wallets} in wallets, {market.staking.held} held")
        return news

    def _look(self, now: Tick, saw: ChainSaw) -> None:
        match saw.event:
            case WorkerPaid(_, rnd, worker):
                if (rnd, worker) in self._paid:
                    self._tell("paid twice", f"{worker} for round {rnd}")
                if (rnd, worker) not in self._bound:
                    self._tell("paid for nothing", f"{worker} for round {rnd}")
                self._paid.add((rnd, worker))
            case RoundSettled(_, rnd):
                if rnd in self._settled:
                    self._tell("settled twice", f"round {rnd}")
                self._settled.add(rnd)
            case RoundOpened(_, rnd, deadline):
                self._commits[rnd] = now, Tick((deadline + 1) * SECOND)
            case RevealsOpened(_, rnd, deadline, committed):
                self._reveals[rnd] = now, Tick((deadline + 1) * SECOND)
                self._bound.update((rnd, worker) for worker in committed)
            case BondForfeited(_, rnd, worker):
                self.forfeits += 1
                if self._had_chance(worker, *self._reveals[rnd]):
                    self._tell("forfeit", f"{self._name(worker)} in round {rnd}, though it could have shown its labels")
            case WorkerSuspended(_, rnd, worker):
                self.suspensions += 1
                missed = rnd not in self._reveals  # or else its bond has run out
                if missed and self._had_chance(worker, *self._commits[rnd]):
                    self._tell("suspended", f"{self._name(worker)} in round {rnd}, though it could have bound itself")

    def _had_chance(self, worker: Account, begin: Tick, end: Tick) -> bool:
        spans = self._chain.absences.get(self._numbers[worker], ())
        return had_chance(begin, end, (*spans, *self._outages))

    def _name(self, worker: Account) -> str:
        return f"node {self._numbers[worker]}"

    def _tell(self, kind: str, what: str) -> None:
        self.wrong.append(Wrong(kind, what))


def had_chance(begin: Tick, end: Tick, troubles: Sequence[Span]) -> bool:
    """Whether there were `CHANCE` ticks without any of these troubles between the two."""
    free = begin
    for away, back in sorted(troubles, key=lambda span: span[0]):
        if min(away, end) - free >= CHANCE:
            return True
        if back is None:
            return False
        free = max(free, back)
    return end - free >= CHANCE


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a schedule: what must not be, how messages were judged, and whom the ledger punished."""

    wrong: tuple[Wrong, ...]
    accepted: int
    ignored: int
    rejected: int
    forfeits: int
    suspensions: int
    finished: int


class _Witness:
    """Counts what machines make of messages, and notes whom they hold something against."""

    def __init__(self, machine: Machine, node: int, counts: Counter[type], wrong: list[Wrong]) -> None:
        self._machine = machine
        self._node = node
        self._counts = counts
        self._wrong = wrong

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        effects = self._machine.handle(now, event)
        for effect in effects:
            if type(effect) is Answer:
                verdict = effect.verdict
                self._counts[type(verdict)] += 1
                if isinstance(verdict, Reject):
                    self._wrong.append(
                        Wrong("rejected", f"by node {self._node} at {now / SECOND:.3f} s: {verdict.reason}")
                    )
        return effects

    def snapshot(self) -> bytes:
        return self._machine.snapshot()

    def restore(self, raw: bytes) -> None:
        self._machine.restore(raw)


def wrongs(schedule: Schedule, make: MakeCast | None = None) -> tuple[Wrong, ...]:
    """Play a schedule; everything in it that must not be, and nothing if all is well."""
    return play(schedule.plan(), Cast(schedule.plan()) if make is None else make(schedule)).wrong


def play(plan: SimPlan, cast: Cast) -> Played:
    """Play a plan with these nodes, all of them honest, and look at every step."""
    wrong: list[Wrong] = []
    verdicts: Counter[type] = Counter()
    finished = [0] * plan.world.nodes

    def watch(now: Tick, node: int, told: Emit) -> None:
        if told.name == "task.finished":
            finished[node] += 1

    def bound(now: Tick, events: int) -> None:
        if now > LONGEST or events > MOST_EVENTS:
            raise _EndlessError

    machines = [_Witness(machine, node, verdicts, wrong) for node, machine in enumerate(cast.machines)]
    chain = Audited(cast.ledger()) if plan.settled else None
    driver = HeapDriver(machines, cast.peers, cast.world, cast.work, watch, None, chain, cast.accounts)
    for at, node, event in cast.lives():
        driver.post(at, node, event)
    try:
        driver.run(bound)
    except _EndlessError:
        wrong.append(Wrong("endless", f"{driver.now / SECOND:.0f} s and {driver.events:,} events, and no end"))
    except Exception as error:  # noqa: BLE001 - whatever a machine raises is a finding
        wrong.append(Wrong("crash", f"{type(error).__name__}: {error}"))
    else:
        for node, times in enumerate(finished):
            gone = any(end is None for _, end in cast.away.get(node, ()))
            if not times and not gone:
                wrong.append(Wrong("unfinished", f"node {node} is alive and never finished"))
    forfeits = suspensions = 0
    if chain is not None:
        wrong += chain.wrong
        forfeits, suspensions = chain.forfeits, chain.suspensions
    return Played(
        _few(wrong),
        verdicts[Accept],
        verdicts[Ignore],
        verdicts[Reject],
        forfeits,
        suspensions,
        sum(map(bool, finished)),
    )


def _few(wrong: Sequence[Wrong]) -> tuple[Wrong, ...]:
    """The first ones of every kind."""
    counts: Counter[str] = Counter()
    told = []
    for one in wrong:
        counts[one.kind] += 1
        if counts[one.kind] <= _MOST_OF_A_KIND:
            told.append(one)
    return tuple(told)

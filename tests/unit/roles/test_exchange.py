"""The exchange of contributions: who merges with whom, what is awaited, and what happens to those who are late."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2pfd.core.effects import Answer, Compute, Emit, Persist, Publish, SetTimer
from p2pfd.core.events import Computed, Heard, Restored, Started, TimerFired
from p2pfd.core.ids import Account, Digest, PeerId, RoundId, TaskId
from p2pfd.core.ticks import Tick
from p2pfd.core.verdict import Accept, Ignore, Reject
from p2pfd.errors import DecodeError
from p2pfd.roles.circle import MOST_STRANGERS
from p2pfd.roles.distill import Seat
from p2pfd.roles.exchange import DEADLINE, LOOKAHEAD, Exchange, Merge, Merged, Share, Shared, Stage, partners_of
from p2pfd.roles.work import Conclude, Concluded
from p2pfd.wire.messages import Commit, Hello, Offer

TASK = TaskId(b"\1" * 32)
PEERS = [PeerId(f"peer-{number}") for number in range(12)]
ACCOUNTS = [Account("0x" + f"{number:02x}" * 20) for number in range(12)]
ROUNDS = 3


def blob(who: int, rnd: int) -> Digest:
    return Digest(hashlib.sha256(bytes([who, rnd])).digest())


def seat(who: int, nodes: int, **changes: object) -> Seat:
    known = dict(zip(PEERS[:nodes], ACCOUNTS[:nodes], strict=True))
    made = Seat(
        task=TASK,
        peer=PEERS[who],
        account=ACCOUNTS[who],
        secret=b"s",
        samples=4,
        classes=3,
        rounds=ROUNDS,
        quorum=2,
        seats=nodes,
        enrol_ticks=9,
        commit_ticks=50,
        reveal_ticks=5,
        hello=Hello(PEERS[who], ACCOUNTS[who], b"", b""),
        members={peer: account for peer, account in known.items() if peer != PEERS[who]},
    )
    return dataclasses.replace(made, **changes)


class Mesh:
    """Machines whose words arrive at once, and whose works end as soon as they are asked for; some nodes are silent."""

    def __init__(self, nodes: int, partners: int = 0, silent: frozenset[int] = frozenset()) -> None:
        self.machines = [Exchange(seat(who, nodes), partners) for who in range(nodes)]
        self.silent = silent
        self.merges: dict[tuple[int, int], tuple[Account, ...]] = {}
        self.told: list[tuple[int, str]] = []
        self.timers: dict[int, Tick] = {}
        self.queue: list[tuple[int, object]] = []

    def run(self) -> None:
        for who in range(len(self.machines)):
            if who not in self.silent:
                self.queue.append((who, Started()))
        now = Tick(0)
        while True:
            while self.queue:
                who, event = self.queue.pop(0)
                self.perform(who, self.machines[who].handle(now, event))
            due = [who for who, _ in sorted(self.timers.items())]
            if not due or all(m.stage is Stage.OVER for n, m in enumerate(self.machines) if n not in self.silent):
                return
            now = Tick(min(self.timers.values()))
            for who in due:
                if self.timers[who] <= now:
                    del self.timers[who]
                    self.queue.append((who, TimerFired(DEADLINE)))

    def perform(self, who, effects) -> None:
        for effect in effects:
            match effect:
                case Publish(message) if not isinstance(message, Hello):
                    heard = Heard(1, PEERS[who], message, b"raw")
                    self.queue += [
                        (other, heard)
                        for other in range(len(self.machines))
                        if other != who and other not in self.silent
                    ]
                case SetTimer(name, at) if name == DEADLINE:
                    self.timers[who] = at
                case Compute(job, Share(rnd)):
                    self.queue.append((who, Computed(job, Shared(blob(who, rnd), 100))))
                case Compute(job, Merge(rnd, offers)):
                    self.merges[who, rnd] = tuple(account for account, _, _ in offers)
                    assert all(found == blob(ACCOUNTS.index(account), rnd) for account, found, _ in offers)
                    self.queue.append((who, Computed(job, Merged(blob(who, rnd), {"accuracy": 1}))))
                case Compute(job, Conclude()):
                    self.queue.append((who, Computed(job, Concluded(blob(who, 0), {}))))
                case Emit(name):
                    self.told.append((who, name))


@pytest.mark.parametrize("nodes", [2, 3, 4, 5, 8, 11, 12])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_partners_are_each_others(nodes: int, count: int) -> None:
    everyone = tuple(ACCOUNTS[:nodes])
    seen = set()
    for rnd in range(6):
        chosen = {who: partners_of(who, everyone, count, TASK, rnd) for who in everyone}
        for who, near in chosen.items():
            assert who not in near
            assert all(who in chosen[other] for other in near)
            assert len(near) == (
                nodes - 1 if not count or count >= nodes - 1 else count + (1 if count % 2 and nodes % 2 else 0)
            )
        seen.add(tuple(sorted(chosen.items())))
    assert len(seen) > 1 or not 0 < count < nodes - 2


def test_everyone_merges_with_its_partners_each_round() -> None:
    mesh = Mesh(8, partners=4)
    mesh.run()
    assert [name for _, name in mesh.told].count("task.finished") == 8
    for who in range(8):
        for rnd in range(ROUNDS):
            assert mesh.merges[who, rnd] == partners_of(ACCOUNTS[who], tuple(ACCOUNTS[:8]), 4, TASK, rnd)


def test_who_hears_the_others_before_it_starts_trains_once() -> None:
    machine = Exchange(seat(0, 2, members={}))
    asked = machine.handle(Tick(0), Heard(1, PEERS[1], Hello(PEERS[1], ACCOUNTS[1], b"", b"")))
    assert Compute("share/0", Share(RoundId(0))) in asked
    assert machine.handle(Tick(1), Started()) == (Publish(seat(0, 2).hello),)


def test_one_node_goes_on_alone() -> None:
    mesh = Mesh(1)
    mesh.run()
    assert mesh.merges == {(0, rnd): () for rnd in range(ROUNDS)}


def test_a_partner_that_is_silent_is_waited_for_until_the_deadline() -> None:
    mesh = Mesh(4, silent=frozenset({3}))
    mesh.run()
    assert [name for _, name in mesh.told].count("task.finished") == 3
    assert all(ACCOUNTS[3] not in merged and len(merged) == 2 for merged in mesh.merges.values())
    assert len(mesh.merges) == 3 * ROUNDS


def test_short_of_the_quorum_one_keeps_what_one_has() -> None:
    machine = Exchange(seat(0, 4, quorum=3))
    machine.handle(Tick(0), Started())
    machine.handle(Tick(1), Computed("share/0", Shared(blob(0, 0), 9)))
    machine.handle(Tick(2), Heard(1, PEERS[1], Offer(RoundId(0), blob(1, 0), 5)))
    effects = machine.handle(Tick(50), TimerFired(DEADLINE))
    assert [effect.name for effect in effects if isinstance(effect, Emit)] == ["round.short"]
    assert [effect.work for effect in effects if isinstance(effect, Compute)] == [Merge(RoundId(0), ())]


def test_who_trains_past_the_deadline_offers_all_the_same_and_merges_with_what_there_is() -> None:
    machine = Exchange(seat(0, 3))
    machine.handle(Tick(0), Started())
    machine.handle(Tick(2), Heard(1, PEERS[1], Offer(RoundId(0), blob(1, 0), 5)))
    assert machine.handle(Tick(50), TimerFired(DEADLINE)) == ()
    effects = machine.handle(Tick(60), Computed("share/0", Shared(blob(0, 0), 9)))
    assert Publish(Offer(RoundId(0), blob(0, 0), 9)) in effects
    assert effects[-1] == Compute("merge/0", Merge(RoundId(0), ((ACCOUNTS[1], blob(1, 0), 5),)))


def test_a_node_that_was_away_goes_on_where_most_others_are() -> None:
    machine = Exchange(seat(0, 4, rounds=9))
    machine.handle(Tick(0), Started())
    for other in (1, 2):
        machine.handle(Tick(1), Heard(other, PEERS[other], Offer(RoundId(7), blob(other, 7), 5)))
    machine.handle(Tick(2), Computed("share/0", Shared(blob(0, 0), 9)))
    machine.handle(Tick(50), TimerFired(DEADLINE))
    effects = machine.handle(Tick(51), Computed("merge/0", Merged(blob(0, 0))))
    assert Compute("share/7", Share(RoundId(7))) in effects


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (Offer(RoundId(0), blob(1, 0), 5), Accept),
        (Offer(RoundId(LOOKAHEAD), blob(1, 0), 5), Accept),
        (Offer(RoundId(LOOKAHEAD + 1), blob(1, 0), 5), Ignore),
        (Offer(RoundId(20), blob(1, 0), 5), Reject),
        (Commit(RoundId(0), blob(1, 0)), Ignore),
    ],
)
def test_what_is_heard_is_judged(message, verdict) -> None:
    machine = Exchange(seat(0, 4, rounds=20))
    machine.handle(Tick(0), Started())
    answer, *told = machine.handle(Tick(1), Heard(7, PEERS[1], message, b"raw"))
    assert isinstance(answer, Answer)
    assert all(isinstance(effect, Emit) for effect in told)
    assert answer.delivery == 7
    assert isinstance(answer.verdict, verdict)


def test_offers_of_the_next_four_rounds_are_kept() -> None:
    machine = Exchange(seat(0, 4, rounds=20))
    machine.handle(Tick(0), Started())
    for rnd in range(8):
        machine.handle(Tick(1), Heard(1, PEERS[1], Offer(RoundId(rnd), blob(1, rnd), 5)))
    assert sorted(machine.offers) == [0, 1, 2, 3, 4]


def test_the_first_offer_of_a_round_counts() -> None:
    machine = Exchange(seat(0, 4))
    machine.handle(Tick(0), Started())
    machine.handle(Tick(1), Heard(1, PEERS[1], Offer(RoundId(0), blob(1, 0), 5)))
    (answer,) = machine.handle(Tick(1), Heard(2, PEERS[1], Offer(RoundId(0), blob(2, 0), 5)))
    assert isinstance(answer.verdict, Ignore)
    assert machine.offers[0][ACCOUNTS[1]] == (blob(1, 0), 5)


def test_what_a_stranger_offers_counts_once_it_has_introduced_itself() -> None:
    machine = Exchange(seat(0, 2, members={}))
    machine.handle(Tick(0), Started())
    (answer,) = machine.handle(Tick(1), Heard(1, PEERS[1], Offer(RoundId(0), blob(1, 0), 5), b"raw"))
    assert isinstance(answer.verdict, Ignore)
    effects = machine.handle(Tick(2), Heard(2, PEERS[1], Hello(PEERS[1], ACCOUNTS[1], b"", b"")))
    assert Compute("share/0", Share(RoundId(0))) in effects
    assert machine.offers[0] == {ACCOUNTS[1]: (blob(1, 0), 5)}


@pytest.mark.parametrize("stage", ["share", "gather", "merge"])
def test_a_restart_goes_on_where_the_snapshot_stood(stage: str) -> None:
    machine = Exchange(seat(0, 2))
    machine.handle(Tick(0), Started())
    if stage != "share":
        effects = machine.handle(Tick(1), Computed("share/0", Shared(blob(0, 0), 9)))
        assert isinstance(effects[0], Persist)  # on disk before anyone hears of it
    if stage == "merge":
        effects = machine.handle(Tick(2), Heard(1, PEERS[1], Offer(RoundId(0), blob(1, 0), 5)))
        assert Persist() in effects
    again = Exchange(seat(0, 2))
    again.restore(machine.snapshot())
    assert again.snapshot() == machine.snapshot()
    asked = again.handle(Tick(5), Restored())
    assert Compute("share/0", Share(RoundId(0), again=stage != "share")) in asked
    effects = again.handle(Tick(6), Computed("share/0", Shared(blob(0, 0), 9)))
    assert Publish(Offer(RoundId(0), blob(0, 0), 9)) in effects
    if stage == "merge":
        assert effects[-1] == Compute("merge/0", Merge(RoundId(0), ((ACCOUNTS[1], blob(1, 0), 5),)))


def test_who_restarts_after_the_last_round_concludes_and_trains_no_more() -> None:
    machine, again = (Exchange(seat(0, 1, quorum=1, rounds=1)) for _ in range(2))
    told = Computed("share/0", Shared(blob(0, 0), 9)), Computed("merge/0", Merged(blob(0, 0), {}))
    effects = [machine.handle(Tick(1), event) for event in (Started(), *told)][-1]
    assert effects[-2:] == (Persist(), Compute("conclude", Conclude()))
    again.restore(machine.snapshot())
    works = [effect for effect in again.handle(Tick(5), Restored()) if isinstance(effect, Compute)]
    assert works == [Compute("conclude", Conclude())]


@pytest.mark.parametrize("failing", ["share", "merge"])
def test_a_failure_costs_a_round_and_no_more(failing: str) -> None:
    machine = Exchange(seat(0, 1, quorum=1))
    machine.handle(Tick(0), Started())
    if failing == "merge":
        machine.handle(Tick(1), Computed("share/0", Shared(blob(0, 0), 9)))
    effects = machine.handle(Tick(2), Computed(f"{failing}/0", None, "no memory"))
    assert Compute("share/1", Share(RoundId(1))) in effects


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\xc0"])
def test_garbage_is_no_snapshot(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        Exchange(seat(0, 2)).restore(raw)
    whole = Exchange(seat(0, 2)).snapshot()
    with pytest.raises(DecodeError):
        Exchange(seat(0, 2, task=TaskId(b"\2" * 32))).restore(whole)


def test_a_node_goes_on_from_the_round_that_more_than_half_of_the_others_have_reached() -> None:
    for heard, reached in (((3, 3), 1), ((3, 3, 2), 2), ((3, 2, 2), 2), ((3, 3, 3), 3), ((1, 1, 1), 1)):
        machine = Exchange(seat(0, 5, rounds=9))
        machine.handle(Tick(0), Started())
        for other, rnd in enumerate(heard, 1):
            machine.handle(Tick(1), Heard(other, PEERS[other], Offer(RoundId(rnd), blob(other, rnd), 5)))
        machine.handle(Tick(2), Computed("share/0", Shared(blob(0, 0), 9)))
        machine.handle(Tick(50), TimerFired(DEADLINE))
        effects = machine.handle(Tick(51), Computed("merge/0", Merged(blob(0, 0))))
        assert machine.round == reached
        assert ("round.outrun" in [each.name for each in effects if isinstance(each, Emit)]) == (reached > 1)


def test_a_partner_that_is_further_ahead_is_not_waited_for() -> None:
    machine = Exchange(seat(0, 3, rounds=9))
    machine.handle(Tick(0), Started())
    machine.handle(Tick(1), Computed("share/0", Shared(blob(0, 0), 9)))
    machine.handle(Tick(1), Heard(1, PEERS[1], Offer(RoundId(1), blob(1, 1), 5)))
    assert machine.stage is Stage.GATHER
    effects = machine.handle(Tick(2), Heard(2, PEERS[2], Offer(RoundId(0), blob(2, 0), 5)))
    assert [effect.work for effect in effects if isinstance(effect, Compute)] == [
        Merge(RoundId(0), ((ACCOUNTS[2], blob(2, 0), 5),))
    ]


def test_how_many_have_offered_is_told_with_ones_own() -> None:
    machine = Exchange(seat(0, 3))
    machine.handle(Tick(0), Started())
    counts = []
    for event in (
        Heard(1, PEERS[1], Offer(RoundId(0), blob(1, 0), 5)),
        Heard(1, PEERS[2], Offer(RoundId(1), blob(2, 1), 5)),
        Computed("share/0", Shared(blob(0, 0), 9)),
    ):
        effects = machine.handle(Tick(1), event)
        counts += [each.fields["have"] for each in effects if isinstance(each, Emit) and each.name == "round.offered"]
    assert counts == [1, 2], "an offer of another round is not counted in this one"


def test_waits_end_when_they_would_have_and_newcomers_are_greeted_once_a_second() -> None:
    machine = Exchange(seat(0, 3, members={}))
    assert machine.handle(Tick(100), Started())[1:] == (SetTimer(DEADLINE, Tick(109)),)
    greeted = machine.handle(Tick(101), Heard(1, PEERS[1], Hello(PEERS[1], ACCOUNTS[1], b"", b"")))
    assert SetTimer("greet", Tick(1_000_101)) in greeted
    opened = machine.handle(Tick(109), TimerFired(DEADLINE))
    assert SetTimer(DEADLINE, Tick(159)) in opened
    for now, due in ((120, 159), (170, 170)):
        again = Exchange(seat(0, 3, members={}))
        again.restore(machine.snapshot())
        assert SetTimer(DEADLINE, Tick(due)) in again.handle(Tick(now), Restored())


def test_newcomers_come_in_crowds_and_are_greeted_together() -> None:
    machine = Exchange(seat(0, 9, members={}))
    machine.handle(Tick(0), Started())
    timers = []
    for other in (1, 2, 3):
        effects = machine.handle(Tick(5), Heard(1, PEERS[other], Hello(PEERS[other], ACCOUNTS[other], b"", b"")))
        timers += [each for each in effects if isinstance(each, SetTimer)]
    assert timers == [SetTimer("greet", Tick(1_000_005))]
    assert machine.handle(Tick(1_000_005), TimerFired("greet")) == (Publish(machine.seat.hello),)


def test_a_merge_that_nobody_waits_for_is_told_and_left() -> None:
    machine = Exchange(seat(0, 3))
    machine.handle(Tick(0), Started())
    for stage in (Stage.SHARE, Stage.GATHER):
        assert machine.stage is stage
        effects = machine.handle(Tick(1), Computed("merge/0", Merged(blob(0, 0))))
        assert [each.name for each in effects if isinstance(each, Emit)] == ["compute.late"]
        assert (machine.round, machine.stage) == (0, stage)
        machine.handle(Tick(2), Computed("share/0", Shared(blob(0, 0), 9)))


def test_a_quorum_never_asks_for_more_than_there_are_partners() -> None:
    machine = Exchange(seat(0, 4, quorum=4), partners=1)
    machine.handle(Tick(0), Started())
    (partner,) = machine.chosen
    who = ACCOUNTS.index(partner)
    machine.handle(Tick(1), Heard(1, PEERS[who], Offer(RoundId(0), blob(who, 0), 5)))
    effects = machine.handle(Tick(2), Computed("share/0", Shared(blob(0, 0), 9)))
    assert effects[-1] == Compute("merge/0", Merge(RoundId(0), ((partner, blob(who, 0), 5),)))


WHO = st.integers(0, 8)
NUMBERS = st.integers(0, 8).map(RoundId)
EVENTS = st.one_of(
    st.builds(Started),
    st.builds(Restored),
    st.builds(TimerFired, st.sampled_from(["deadline", "greet", "other"])),
    st.builds(
        lambda who, rnd, n: Heard(3, PEERS[who], Offer(rnd, blob(who, n), 1 + n), b"raw"),
        WHO,
        NUMBERS,
        st.integers(0, 2),
    ),
    st.builds(lambda who, other: Heard(3, PEERS[who], Hello(PEERS[who], ACCOUNTS[other], b"", b"")), WHO, WHO),
    st.builds(lambda who, rnd: Heard(3, PEERS[who], Commit(rnd, blob(who, 1))), WHO, NUMBERS),
    st.builds(lambda rnd, n: Computed(f"share/{rnd}", Shared(blob(0, n), 9)), NUMBERS, st.integers(0, 2)),
    st.builds(lambda rnd: Computed(f"merge/{rnd}", Merged(blob(0, 0))), NUMBERS),
    st.builds(lambda job, rnd: Computed(f"{job}/{rnd}", None, "failed"), st.sampled_from(["share", "merge"]), NUMBERS),
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(events=st.lists(EVENTS, max_size=60), partners=st.integers(0, 3))
def test_anything_in_any_order_is_answered_once_and_what_is_remembered_is_bounded(events, partners) -> None:
    machine = Exchange(seat(0, 4, members={}, rounds=9), partners)
    for number, event in enumerate(events):
        effects = machine.handle(Tick(number), event)
        assert sum(isinstance(effect, Answer) for effect in effects) == isinstance(event, Heard)
        assert len(machine.circle) <= 4
        assert len(machine.circle.strangers) <= MOST_STRANGERS
        assert all(machine.round <= rnd <= machine.round + LOOKAHEAD for rnd in machine.offers)
        other = Exchange(seat(0, 4, members={}, rounds=9), partners)
        other.restore(machine.snapshot())
        assert other.snapshot() == machine.snapshot()

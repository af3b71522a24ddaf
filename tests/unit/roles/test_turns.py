"""Anyone may settle and advance: nodes take turns, some seconds apart, so that one transaction does."""

from __future__ import annotations

import pytest

from p2pfd.core.claims import (
    Advance,
    Enrol,
    Included,
    RevealsClosed,
    RevealsOpened,
    Reverted,
    RoundOpened,
    RoundSettled,
    SettleRound,
    TaskClosed,
    TaskOpened,
    WorkerSuspended,
)
from p2pfd.core.effects import CancelTimer, Compute, Effect, Emit, SetTimer, Submit
from p2pfd.core.events import ChainSaw, Computed, Restored, Settled, Started, TimerFired
from p2pfd.core.ids import Account, Amount, PeerId, RoundId, TaskId
from p2pfd.core.ticks import Tick
from p2pfd.roles.distill import Phase, Seat, SettledDistill
from p2pfd.roles.distill.settled import ADVANCE, SETTLE
from p2pfd.roles.work import Conclude, Studied, Study

TASK = TaskId(b"\1" * 32)
CROWD = tuple(Account(f"0x{number:040x}") for number in range(1, 5))
STRANGER = Account(f"0x{99:040x}")
MILLION = 1_000_000


def node(me: Account = CROWD[0], rounds: int = 9, quorum: int = 2) -> SettledDistill:
    made = SettledDistill(Seat(TASK, PeerId("me"), me, b"s", samples=4, classes=2, rounds=rounds, quorum=quorum))
    made.handle(Tick(0), Started())
    return made


def opened(rnd: int = 0, deadline: int = 100) -> ChainSaw:
    return ChainSaw(RoundOpened(TASK, RoundId(rnd), deadline, CROWD))


def closed(rnd: int = 0) -> ChainSaw:
    return ChainSaw(RevealsClosed(TASK, RoundId(rnd), CROWD))


def timers(effects: tuple[Effect, ...]) -> dict[str, float]:
    """Timers that were set, and their seconds."""
    return {each.name: each.at / MILLION for each in effects if isinstance(each, SetTimer)}


def claims(effects: tuple[Effect, ...]) -> list[object]:
    return [each.claim for each in effects if isinstance(each, Submit)]


@pytest.mark.parametrize(
    ("me", "second"),
    [(CROWD[0], 101), (CROWD[1], 103), (CROWD[2], 105), (CROWD[3], 107), (STRANGER, 109)],
    ids=["first", "second", "third", "fourth", "no worker"],
)
def test_a_second_after_the_deadline_the_first_asks_for_the_timed_exit_and_the_others_two_seconds_apart(
    me: Account, second: int
) -> None:
    made = node(me)
    assert timers(made.handle(Tick(5), opened()))[ADVANCE] == second
    reveals = made.handle(Tick(6), ChainSaw(RevealsOpened(TASK, RoundId(0), 200, CROWD)))
    assert timers(reveals)[ADVANCE] == second + 100


def test_each_round_somebody_else_goes_first() -> None:
    made = node(CROWD[2])
    seconds = [timers(made.handle(Tick(5), opened(rnd)))[ADVANCE] for rnd in range(5)]
    assert seconds == [105, 103, 101, 107, 105]


def test_whose_turn_it_is_settles_at_once_and_the_others_are_ready_to() -> None:
    first, third = node(CROWD[0]), node(CROWD[2])
    for made in (first, third):
        made.handle(Tick(5), opened())
    effects = first.handle(Tick(7 * MILLION), closed())
    assert claims(effects) == [SettleRound(TASK, RoundId(0))]
    assert CancelTimer(ADVANCE) in effects
    effects = third.handle(Tick(7 * MILLION), closed())
    assert claims(effects) == []
    assert timers(effects) == {SETTLE: 11.0}
    assert claims(third.handle(Tick(11 * MILLION), TimerFired(SETTLE))) == [SettleRound(TASK, RoundId(0))]
    assert claims(third.handle(Tick(12 * MILLION), TimerFired(ADVANCE))) == [], "the reveals are over"


def test_an_exit_is_asked_for_again_when_all_have_had_their_turn_and_after_each_refusal_twice_as_late() -> None:
    made = node()
    made.handle(Tick(5), opened())
    waits, now = [], Tick(200 * MILLION)
    for attempt in range(1, 9):
        effects = made.handle(now, TimerFired(ADVANCE))
        (submit,) = [each for each in effects if isinstance(each, Submit)]
        assert (submit.intent, submit.claim) == (f"advance/commits/0/{attempt}", Advance(TASK))
        waits.append(timers(effects)[ADVANCE] - now / MILLION)
        made.handle(now, Settled(submit.intent, Reverted("1", "market: too early")))
    assert waits == [8, 16, 32, 64, 128, 256, 512, 600]


def test_while_a_task_gathers_its_exit_is_asked_for_after_the_deadline() -> None:
    made = node()
    gathers = ChainSaw(TaskOpened(TASK, CROWD[1], 40))
    assert timers(made.handle(Tick(0), gathers)) == {ADVANCE: 41.0}, "nobody is enrolled yet: all go first"
    assert made.handle(Tick(0), gathers) == (), "seen twice"
    assert claims(made.handle(Tick(41 * MILLION), TimerFired(ADVANCE))) == [Advance(TASK)]


def test_what_is_over_is_seen_once() -> None:
    made = node()
    made.handle(Tick(5), opened())
    assert made.handle(Tick(5), opened()) == ()
    made.handle(Tick(6), ChainSaw(RevealsOpened(TASK, RoundId(0), 200, CROWD)))
    assert made.handle(Tick(6), ChainSaw(RevealsOpened(TASK, RoundId(0), 200, CROWD))) == ()
    made.handle(Tick(7), closed())
    assert made.handle(Tick(7), closed()) == ()
    void = ChainSaw(RoundSettled(TASK, RoundId(0), False, Amount(0), Amount(9)))
    told = made.handle(Tick(8), void)
    assert "round.settled" in [each.name for each in told if isinstance(each, Emit)]
    assert made.handle(Tick(8), void) == ()


def test_a_void_round_is_told_as_short_and_leaves_the_node_at_rest() -> None:
    made = node()
    made.handle(Tick(5), opened())
    void = ChainSaw(RoundSettled(TASK, RoundId(0), False, Amount(0), Amount(9)))
    told = made.handle(Tick(8), void)
    assert [each.name for each in told if isinstance(each, Emit)] == ["round.settled", "round.short"]
    assert made.phase is Phase.REST
    assert claims(made.handle(Tick(9), TimerFired(ADVANCE))) == claims(made.handle(Tick(9), TimerFired(SETTLE))) == []


def test_who_was_suspended_enrols_again_while_a_round_is_left_to_enter() -> None:
    for rounds, again in ((9, [Enrol(TASK)]), (2, [Enrol(TASK)]), (1, [])):
        made = node(rounds=rounds)
        made.handle(Tick(5), opened())
        assert claims(made.handle(Tick(6), ChainSaw(WorkerSuspended(TASK, RoundId(0), CROWD[0])))) == again
        assert claims(made.handle(Tick(6), ChainSaw(WorkerSuspended(TASK, RoundId(0), CROWD[1])))) == []


def test_each_enrolment_is_another_intent() -> None:
    made = node()
    intents = []
    for rnd in range(3):
        made.handle(Tick(5), opened(rnd))
        effects = made.handle(Tick(6), ChainSaw(WorkerSuspended(TASK, RoundId(rnd), CROWD[0])))
        intents += [each.intent for each in effects if isinstance(each, Submit)]
    assert intents == ["enrol/2", "enrol/3", "enrol/4"], "the first was when it started"


def test_labels_that_are_made_too_late_for_the_chain_are_not_sent() -> None:
    made = node()
    assert Compute("study/0", Study(RoundId(0))) in made.handle(Tick(5), opened())
    made.handle(Tick(6), ChainSaw(RevealsOpened(TASK, RoundId(0), 200, CROWD[1:])))
    assert made.phase is Phase.WATCH
    late = made.handle(Tick(7), Computed("study/0", Studied(b"\0\1\0\1")))
    assert claims(late) == []
    early = node()
    early.handle(Tick(5), opened())
    assert len(claims(early.handle(Tick(7), Computed("study/0", Studied(b"\0\1\0\1"))))) == 1


def test_a_closed_task_is_concluded_once_and_nothing_is_claimed_after_it() -> None:
    made = node()
    made.handle(Tick(5), opened())
    over = ChainSaw(TaskClosed(TASK, 1))
    effects = made.handle(Tick(9), over)
    assert Compute("conclude", Conclude()) in effects
    assert {CancelTimer(ADVANCE), CancelTimer(SETTLE)} <= set(effects)
    assert made.handle(Tick(9), over) == ()
    assert made.handle(Tick(10), opened(1)) == ()
    assert made.handle(Tick(10), TimerFired("enter")) == ()


@pytest.mark.parametrize(
    ("events", "timer"), [([opened()], ADVANCE), ([opened(), closed()], SETTLE)], ids=["commits", "settle"]
)
def test_after_a_restart_the_next_turn_is_two_seconds_away(events: list[ChainSaw], timer: str) -> None:
    made = node(CROWD[1], quorum=5)
    for event in events:
        made.handle(Tick(5), event)
    again = SettledDistill(made.seat)
    again.restore(made.snapshot())
    assert timers(again.handle(Tick(50 * MILLION), Restored())) == {timer: 52.0}


def test_a_deposit_that_got_through_is_followed_by_the_enrolment() -> None:
    seat = Seat(TASK, PeerId("me"), CROWD[0], b"s", samples=4, classes=2, rounds=9, quorum=2, bond=7)
    made = SettledDistill(seat)
    assert [each.intent for each in made.handle(Tick(0), Started()) if isinstance(each, Submit)] == ["deposit"]
    assert claims(made.handle(Tick(1), Settled("deposit", Included("1", 1, 0)))) == [Enrol(TASK)]
    assert claims(made.handle(Tick(1), Settled("enrol/1", Included("1", 1, 0)))) == []

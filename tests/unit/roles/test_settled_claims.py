"""What binds a node on its chain is claimed again when the chain was away, as long as it can still count."""

from __future__ import annotations

import pytest

from p2pfd.core.claims import (
    CommitLabels,
    Included,
    LabelsCommitted,
    RevealLabels,
    RevealsClosed,
    RevealsOpened,
    Reverted,
    RoundOpened,
    Unknown,
)
from p2pfd.core.effects import Effect, Emit, SetTimer, Submit
from p2pfd.core.events import ChainSaw, Computed, Settled, Started, TimerFired
from p2pfd.core.ids import Account, PeerId, RoundId, TaskId
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.roles.distill import Phase, Seat, SettledDistill
from p2pfd.roles.distill.settled import ADVANCE, CLAIM, CLAIM_AGAIN, PATIENCE, RARELY
from p2pfd.roles.work import Studied

TASK = TaskId(b"\1" * 32)
ME, OTHER = Account("0x" + "01" * 20), Account("0x" + "02" * 20)
ROUND = RoundId(0)
AWAY = Unknown("", "the chain could not be reached")
NOW = Tick(9 * SECOND)


@pytest.fixture
def bound() -> SettledDistill:
    """A worker that has studied, and has asked the chain to take its commitment."""
    seat = Seat(TASK, PeerId("me"), ME, b"s", samples=4, classes=2, rounds=3, quorum=2)
    node = SettledDistill(seat)
    node.handle(Tick(0), Started())
    node.handle(Tick(1), ChainSaw(RoundOpened(TASK, ROUND, 100, (ME, OTHER))))
    effects = node.handle(Tick(2), Computed("study/0", Studied(b"\0\1\0\1")))
    assert [claim.intent for claim in claims(effects)] == ["commit/0/1"]
    return node


def claims(effects: tuple[Effect, ...]) -> list[Submit]:
    return [effect for effect in effects if isinstance(effect, Submit)]


def timers(effects: tuple[Effect, ...]) -> list[SetTimer]:
    return [effect for effect in effects if isinstance(effect, SetTimer)]


def test_a_commitment_that_did_not_get_through_is_claimed_again(bound: SettledDistill):
    assert timers(bound.handle(NOW, Settled("commit/0/1", AWAY))) == [SetTimer(CLAIM, Tick(NOW + CLAIM_AGAIN))]
    (again,) = claims(bound.handle(Tick(NOW + CLAIM_AGAIN), TimerFired(CLAIM)))
    assert again.intent == "commit/0/1", "the same intent: should it have got through, it is not done twice"
    assert isinstance(again.claim, CommitLabels)
    assert not timers(bound.handle(NOW, Settled("commit/0/1", Included("1", 1, 0))))


def test_labels_that_did_not_get_through_are_shown_again(bound: SettledDistill):
    bound.handle(NOW, ChainSaw(LabelsCommitted(TASK, ROUND, ME, bound.bound())))
    (shown,) = claims(bound.handle(NOW, ChainSaw(RevealsOpened(TASK, ROUND, 100, (ME, OTHER)))))
    assert timers(bound.handle(NOW, Settled("reveal/0/1", AWAY)))
    (again,) = claims(bound.handle(Tick(NOW + CLAIM_AGAIN), TimerFired(CLAIM)))
    assert again == shown
    assert isinstance(again.claim, RevealLabels)


def test_what_came_too_late_is_not_claimed_again(bound: SettledDistill):
    bound.handle(NOW, Settled("commit/0/1", AWAY))
    bound.handle(NOW, ChainSaw(RevealsOpened(TASK, ROUND, 100, (OTHER,))))
    assert bound.phase is Phase.WATCH
    assert bound.handle(Tick(NOW + CLAIM_AGAIN), TimerFired(CLAIM)) == ()
    bound.handle(NOW, ChainSaw(RevealsClosed(TASK, ROUND, (OTHER,))))
    assert bound.handle(Tick(NOW + CLAIM_AGAIN), TimerFired(CLAIM)) == ()


def test_what_the_chain_refused_is_not_claimed_again(bound: SettledDistill):
    assert not timers(bound.handle(NOW, Settled("commit/0/1", Reverted("1", "market: too late"))))


def test_a_timed_exit_that_gets_no_answer_is_one_claim_however_long_the_chain_is_away(bound: SettledDistill):
    now, asked = NOW, set()
    for _ in range(10 * PATIENCE):
        effects = bound.handle(now, TimerFired(ADVANCE))
        asked |= {claim.intent for claim in claims(effects)}
        (timer,) = timers(effects)
        now = timer.at
    bound.handle(now, Settled("advance/commits/0/1", AWAY))
    assert asked == {"advance/commits/0/1"}
    (again,) = claims(bound.handle(now, TimerFired(ADVANCE)))
    assert again.intent == "advance/commits/0/1"


def test_a_timed_exit_that_is_refused_is_asked_for_rarely_in_the_end_and_for_ever(bound: SettledDistill):
    now, asked = NOW, []
    for _ in range(PATIENCE + 10):
        effects = bound.handle(now, TimerFired(ADVANCE))
        (claim,) = claims(effects)
        asked.append(claim.intent)
        bound.handle(now, Settled(claim.intent, Reverted("1", "market: too early")))
        (timer,) = timers(effects)
        stuck = any(isinstance(effect, Emit) and effect.name == "chain.stuck" for effect in effects)
        assert stuck == (len(asked) > PATIENCE) == (timer.at - now == RARELY)
        now = timer.at
    assert len(set(asked)) == len(asked), "what was refused is another claim the next time"
    bound.handle(now, ChainSaw(RevealsOpened(TASK, ROUND, 100, (OTHER,))))
    (claim,) = claims(bound.handle(now, TimerFired(ADVANCE)))
    assert claim.intent == "advance/reveals/0/1", "the next stage has its own count"

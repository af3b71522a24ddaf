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
from p2pfd.core.effects import Effect, SetTimer, Submit
from p2pfd.core.events import ChainSaw, Computed, Settled, Started, TimerFired
from p2pfd.core.ids import Account, PeerId, RoundId, TaskId
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.roles.distill import Phase, Seat, SettledDistill
from p2pfd.roles.distill.settled import CLAIM, CLAIM_AGAIN
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

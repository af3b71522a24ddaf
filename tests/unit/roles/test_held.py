"""What a chain says of later rounds while a node still learns from the present one waits, in its order and bounded."""

from __future__ import annotations

from p2pfd.core.canonical import decode, encode
from p2pfd.core.claims import (
    BondForfeited,
    LabelsCommitted,
    LabelsRevealed,
    RevealsClosed,
    RevealsOpened,
    RoundOpened,
    RoundSettled,
    TaskClosed,
)
from p2pfd.core.effects import Compute, Effect, Emit
from p2pfd.core.events import ChainSaw, Computed, Restored, Started
from p2pfd.core.ids import Account, Amount, Digest, PeerId, RoundId, TaskId
from p2pfd.core.labels import pack
from p2pfd.core.ticks import Tick
from p2pfd.roles.distill import Phase, Seat, SettledDistill
from p2pfd.roles.distill.held import from_plain, of_round, to_plain
from p2pfd.roles.work import Absorbed, Conclude, Study

TASK = TaskId(b"\1" * 32)
CROWD = tuple(Account(f"0x{number:040x}") for number in range(1, 4))
SHOWN = b"\0\1\0\1"


def saw(event: object) -> ChainSaw:
    return ChainSaw(event)


def opened(rnd: int) -> ChainSaw:
    return saw(RoundOpened(TASK, RoundId(rnd), 100, CROWD))


def learning() -> SettledDistill:
    """A node that watches round 0, and learns from what two of the others have shown."""
    made = SettledDistill(Seat(TASK, PeerId("me"), CROWD[0], b"s", samples=4, classes=2, rounds=99, quorum=2))
    made.handle(Tick(0), Started())
    made.handle(Tick(1), opened(0))
    for who in CROWD[1:]:
        made.handle(Tick(2), saw(LabelsCommitted(TASK, RoundId(0), who, Digest(bytes(32)))))
        made.handle(Tick(3), saw(LabelsRevealed(TASK, RoundId(0), who, pack(SHOWN))))
    made.handle(Tick(4), saw(RevealsClosed(TASK, RoundId(0), CROWD[1:])))
    assert made.phase is Phase.ABSORB
    return made


def learnt(made: SettledDistill) -> tuple[Effect, ...]:
    return made.handle(Tick(9), Computed(f"absorb/{made.round}", Absorbed(Digest(b"w" * 32))))


def told(effects: tuple[Effect, ...]) -> list[tuple[str, object]]:
    return [(each.name, each.fields.get("round")) for each in effects if isinstance(each, Emit)]


def test_the_next_round_begins_once_the_present_one_is_learnt() -> None:
    made = learning()
    assert made.handle(Tick(5), opened(1)) == ()
    assert made.round == 0
    effects = learnt(made)
    assert Compute("study/1", Study(RoundId(1))) in effects
    assert made.held == []


def test_of_the_present_round_the_chain_is_heard_at_once() -> None:
    made = learning()
    settled = saw(RoundSettled(TASK, RoundId(0), True, Amount(5), Amount(0)))
    assert ("round.settled", 0) in told(made.handle(Tick(5), settled))
    forfeited = saw(BondForfeited(TASK, RoundId(3), CROWD[1], Amount(5)))
    assert [name for name, _ in told(made.handle(Tick(5), forfeited))] == ["bond.forfeited"], "that is of no phase"
    assert made.held == []


def test_whole_rounds_that_passed_meanwhile_are_gone_through_in_their_order() -> None:
    made = learning()
    for event in (
        opened(1),
        saw(RevealsOpened(TASK, RoundId(1), 200, CROWD[1:])),
        saw(RoundSettled(TASK, RoundId(1), False, Amount(0), Amount(9))),
        opened(2),
        saw(TaskClosed(TASK, 3)),
    ):
        assert made.handle(Tick(5), event) == ()
    again = SettledDistill(made.seat)
    again.restore(made.snapshot())
    assert [type(each) for each in again.handle(Tick(6), Restored()) if isinstance(each, Compute)] == [Compute]
    effects = learnt(again)
    assert [name for name, _ in told(effects) if name.startswith("round.")] == [
        "round.absorbed",
        "round.opened",
        "round.settled",
        "round.short",
        "round.opened",
    ]
    assert effects[-1] == Compute("conclude", Conclude())
    assert again.phase is Phase.OVER


def test_of_more_than_sixteen_rounds_the_oldest_are_skipped_and_the_end_never() -> None:
    made = learning()
    for rnd in range(1, 17):
        made.handle(Tick(5), opened(rnd))
    assert [known.round for known in made.held if isinstance(known, RoundOpened)] == list(range(1, 17))
    made.handle(Tick(5), saw(TaskClosed(TASK, 18)))
    made.handle(Tick(5), opened(17))
    assert [known.round for known in made.held if isinstance(known, RoundOpened)] == list(range(2, 18))
    assert sum(isinstance(known, TaskClosed) for known in made.held) == 1


def test_only_events_of_how_a_later_round_goes_are_of_it() -> None:
    later, same = opened(2).event, opened(1).event
    assert (of_round(later, 1), of_round(same, 1)) == (True, False)
    assert not of_round(TaskClosed(TASK, 9), 1)
    assert not of_round(BondForfeited(TASK, RoundId(5), CROWD[0], Amount(1)), 1)


def test_an_event_survives_a_snapshot() -> None:
    for event in (
        RoundOpened(TASK, RoundId(2), 7, CROWD),
        LabelsCommitted(TASK, RoundId(2), CROWD[0], Digest(bytes(32))),
        RoundSettled(TASK, RoundId(2), True, Amount(5), Amount(0)),
        TaskClosed(TASK, 3),
    ):
        assert from_plain(TASK, decode(encode(to_plain(event)), limit=1_000)) == event

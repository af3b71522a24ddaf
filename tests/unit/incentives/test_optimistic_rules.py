"""What the optimistic market promises: who may claim what until when, and whom a wrong claim or challenge costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pfd.core.claims import Advance, BondForfeited, OpenTask, RevealLabels, RoundOpened, RoundSettled, SettleRound
from p2pfd.core.ids import Account, Amount, Digest, RoundId, TaskId
from p2pfd.core.labels import pack
from p2pfd.core.modes import (
    ChallengeRound,
    ClaimDropped,
    ClaimRound,
    DisputeDecided,
    OpenProof,
    PostCommitments,
    ProveChunk,
    RoundClaimed,
    SignedCommitment,
    WorkersPaid,
)
from p2pfd.core.trees import path, root, root_commitment
from p2pfd.incentives.optimistic import HALF_ORDER, OptimisticMarket
from p2pfd.incentives.rounds import Phase
from tests.unit.incentives import stories
from tests.unit.incentives.stories import (
    ANN,
    BOB,
    BOSS,
    CAT,
    DAN,
    EVE,
    LABELS,
    R0,
    R1,
    SALT,
    TASK,
    UNBOND,
    WORKERS,
    Story,
    kinds,
    named,
)

TERMS = replace(stories.TERMS, mode="optimistic", bond=Amount(40), stake=101, challenge_seconds=5, dispute_seconds=7)
DUE = (Amount(50), Amount(50), Amount(0))
"""What the serum pays Ann, Bob and Cat."""
BY_HAND = {named(number): number for number in range(10)}


def recover(task: TaskId, rnd: RoundId, one: SignedCommitment) -> Account | None:
    """A stand-in for signatures: r is the account's number, in hundreds, and the round's."""
    return next((who for who, number in BY_HAND.items() if one.r == 100 * number + rnd), None)


def signed(*who: Account, rnd: RoundId = R0, vs: int = 1) -> tuple[SignedCommitment, ...]:
    return tuple(SignedCommitment(bound(each, rnd), 100 * BY_HAND[each] + rnd, vs) for each in who)


def bound(who: Account, rnd: RoundId = R0) -> Digest:
    return root_commitment(TASK, rnd, who, SALT, root(pack(LABELS.get(who, bytes(4)))))


def show(who: Account) -> RevealLabels:
    return RevealLabels(TASK, R0, SALT, pack(LABELS[who]))


def proof(*who: Account) -> tuple[OpenProof, ProveChunk]:
    """The whole computation over the labels of these: four samples are one chunk."""
    packed = [pack(LABELS[each]) for each in who]
    opened = OpenProof(TASK, R0, (SALT,) * len(who), tuple(map(root, packed)))
    return opened, ProveChunk(TASK, R0, tuple(packed), tuple(path(each, 0) for each in packed))


def story(terms: Any = TERMS) -> Story:
    """All three are bound; the reveals are open until 30, claims until 35."""
    told = Story(OptimisticMarket({named(number): 1_000 for number in range(1, 7)}, UNBOND, recover)).opens(terms)
    told.does(EVE, PostCommitments(TASK, R0, signed(*WORKERS)))
    return told


def claim(*counted: Account, amounts: tuple[Amount, ...] = DUE) -> ClaimRound:
    return ClaimRound(TASK, R0, counted or WORKERS, amounts)


# -- terms and commitments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["challenge_seconds", "dispute_seconds"])
def test_both_windows_last_a_second_at_least_and_thirty_days_at_most(field: str) -> None:
    def fresh() -> Story:
        return Story(OptimisticMarket({named(number): 1_000 for number in range(1, 7)}, UNBOND, recover))

    for value in (1, 2_592_000):
        fresh().does(BOSS, OpenTask(replace(TERMS, **{field: value})))
    for value in (0, 2_592_001):
        assert fresh().refused(BOSS, OpenTask(replace(TERMS, **{field: value}))) == "market: seconds out of range"
    assert fresh().refused(BOSS, OpenTask(replace(TERMS, picks=1))) == "market: picks out of range"
    fresh().does(BOSS, OpenTask(replace(TERMS, samples=65_536)))
    assert fresh().refused(BOSS, OpenTask(replace(TERMS, samples=65_537))) == "market: samples out of range"


def test_a_batch_binds_all_in_it_or_nobody() -> None:
    told = Story(OptimisticMarket({named(number): 1_000 for number in range(1, 7)}, UNBOND, recover)).opens(TERMS)
    for batch, reason in (
        (signed(ANN, DAN), "not in this round"),
        (signed(ANN, ANN), "already committed"),
        (signed(ANN, rnd=R1), "not in this round"),
        (signed(ANN) + signed(BOB, vs=HALF_ORDER + 1), "malleable signature"),
        (signed(ANN) + signed(BOB, vs=2**255 + HALF_ORDER + 1), "malleable signature"),
    ):
        assert told.refused(EVE, PostCommitments(TASK, R0, batch)) == f"market: {reason}"
    told.does(EVE, PostCommitments(TASK, R0, signed(BOB, vs=2**255 + HALF_ORDER)))
    assert told.refused(EVE, PostCommitments(TASK, R0, signed(BOB))) == "market: already committed"
    assert told.at(20).does(EVE, PostCommitments(TASK, R0, signed(ANN, CAT)))[1].deadline == 50
    late = Story(OptimisticMarket({named(number): 1_000 for number in range(1, 7)}, UNBOND, recover)).opens(TERMS)
    assert late.at(21).refused(EVE, PostCommitments(TASK, R0, signed(ANN))) == "market: too late"


# -- a claim that stands -----------------------------------------------------------------------------------------------


def test_a_claim_that_nobody_contradicts_is_paid_after_its_window_and_the_stake_comes_back() -> None:
    told = story()
    backwards = ClaimRound(TASK, R0, (CAT, BOB, ANN), (Amount(0), Amount(50), Amount(50)))
    assert told.at(3).does(EVE, backwards) == (RoundClaimed(TASK, R0, EVE, 8, 0b111, (50, 50, 0)),), "by seat"
    assert told.locked(EVE) == [101]
    assert told.at(8).refused(DAN, SettleRound(TASK, R0)) == "market: too early"
    assert told.at(9).does(DAN, SettleRound(TASK, R0)) == (
        WorkersPaid(TASK, R0, 0b111, (50, 50, 0)),
        RoundSettled(TASK, R0, True, Amount(100), Amount(100)),
        RoundOpened(TASK, R1, 29, WORKERS),
    )
    assert told.free(BOSS, ANN, BOB, CAT, EVE) == [700, 1_010, 1_010, 960, 1_000]


def test_before_the_reveals_are_over_a_claim_names_all_who_are_bound() -> None:
    told = story().at(30)
    some = claim(ANN, BOB, amounts=(Amount(50), Amount(50)))
    assert told.refused(EVE, some) == "market: others may still reveal"
    told.at(31).does(EVE, some)
    assert told.deadline == 36


def test_a_claim_is_taken_in_the_last_second_of_its_window_and_not_after_it() -> None:
    story().at(35).does(EVE, claim())
    assert story().at(36).refused(EVE, claim()) == "market: too late"


def test_a_claim_pays_bound_workers_no_more_than_the_pot_and_leaves_out_nobody_who_revealed() -> None:
    told = story()
    told.does(CAT, show(CAT))
    told.at(31)
    half = Amount(100)
    for wrong, reason in (
        (claim(ANN, BOB, DAN), "not bound"),
        (claim(ANN, BOB, amounts=DUE[:2]), "leaves out a reveal"),
        (claim(CAT, amounts=DUE[:1]), "too few"),
        (claim(amounts=DUE[:2]), "lists differ in length"),
        (claim(amounts=(half, half, Amount(1))), "more than the pot"),
    ):
        assert told.refused(EVE, wrong) == f"market: {reason}"
    told.does(EVE, claim(amounts=(half, half, Amount(0))))
    assert told.refused(EVE, claim()) == "market: takes no claims"


def test_who_is_bound_and_in_no_claim_forfeits_to_those_who_count() -> None:
    told = story().at(31)
    told.does(EVE, claim(ANN, BOB, amounts=(Amount(50), Amount(50))))
    events = told.at(37).does(EVE, SettleRound(TASK, R0))
    assert kinds(events) == ["WorkersPaid", "BondForfeited", "RoundSettled", "RoundOpened"]
    assert events[0] == WorkersPaid(TASK, R0, 0b011, (50, 50))
    assert events[1] == BondForfeited(TASK, R0, CAT, Amount(20))
    assert told.free(ANN, BOB, CAT) == [1_020, 1_020, 960]


def test_who_is_left_out_shows_its_labels_and_the_claim_falls_without_cost() -> None:
    told = story().at(31)
    told.does(EVE, claim(ANN, BOB, amounts=(Amount(50), Amount(50))))
    assert told.refused(ANN, show(ANN)) == "market: already counted"
    assert told.refused(DAN, show(ANN)) == "market: nothing committed"
    events = told.at(36).does(CAT, show(CAT))
    assert events[1] == ClaimDropped(TASK, R0, EVE)
    assert told.locked(EVE) == [0]
    assert (told.phase, told.deadline) == (Phase.REVEAL, 36)
    assert told.refused(CAT, show(CAT)) == "market: already revealed"
    told.at(41).does(EVE, claim())
    late = story().at(31)
    late.does(EVE, claim(ANN, BOB, amounts=(Amount(50), Amount(50))))
    assert late.at(37).refused(CAT, show(CAT)) == "market: too late"


# -- disputes ----------------------------------------------------------------------------------------------------------


def disputed(amounts: tuple[Amount, ...]) -> Story:
    """Eve claims, Dan contradicts in the last second that he can."""
    told = story()
    told.does(EVE, claim(amounts=amounts))
    told.at(5).does(DAN, ChallengeRound(TASK, R0))
    assert told.locked(EVE, DAN) == [101, 101]
    assert told.deadline == 12
    return told


def test_a_claim_can_be_contradicted_until_its_window_is_over() -> None:
    told = story()
    told.does(EVE, claim())
    assert told.at(6).refused(DAN, ChallengeRound(TASK, R0)) == "market: too late"


def test_a_false_challenge_costs_its_stake_half_to_the_claimer_and_half_to_the_workers() -> None:
    told = disputed(DUE).at(12)
    opened, chunk = proof(*WORKERS)
    told.does(CAT, opened)
    events = told.does(CAT, chunk)
    assert kinds(events) == ["ChunkProved", "DisputeDecided", "WorkersPaid", "RoundSettled", "RoundOpened"]
    assert events[1] == DisputeDecided(TASK, R0, True, DAN, Amount(101))
    # Of 101, half, rounded down, is Eve's; of the other 51 each of three has 17.
    assert told.free(EVE, DAN, *WORKERS) == [1_050, 899, 1_027, 1_027, 977]


def test_a_wrong_claim_costs_its_stake_and_the_right_amounts_are_paid() -> None:
    told = disputed((Amount(50), Amount(50), Amount(1)))
    opened, chunk = proof(*WORKERS)
    told.does(CAT, opened)
    events = told.does(CAT, chunk)
    assert events[1] == DisputeDecided(TASK, R0, False, EVE, Amount(101))
    assert events[2] == WorkersPaid(TASK, R0, 0b111, (50, 50, 0))
    assert told.free(EVE, DAN, *WORKERS) == [899, 1_050, 1_027, 1_027, 977]


def test_a_proof_is_of_the_bound_labels_of_all_who_count_once_and_in_time() -> None:
    told = disputed(DUE)
    opened, chunk = proof(*WORKERS)
    assert told.refused(CAT, chunk) == "market: not opened"
    assert told.refused(CAT, replace(opened, salts=opened.salts[:2])) == "market: lists differ in length"
    assert told.refused(CAT, replace(opened, roots=opened.roots[:2])) == "market: lists differ in length"
    swapped = replace(opened, roots=(opened.roots[2], *opened.roots[1:]))
    assert told.refused(CAT, swapped) == "market: not what was committed"
    assert told.at(13).refused(CAT, opened) == "market: too late"
    told = disputed(DUE)
    told.does(CAT, opened)
    assert told.refused(CAT, opened) == "market: already opened"
    assert told.refused(CAT, replace(chunk, labels=chunk.labels[:2])) == "market: lists differ in length"
    assert told.refused(CAT, replace(chunk, paths=chunk.paths[:2])) == "market: lists differ in length"
    foreign = replace(chunk, labels=(chunk.labels[2], *chunk.labels[1:]))
    assert told.refused(CAT, foreign) == "market: not in the tree"
    long = replace(chunk, labels=(chunk.labels[0] + bytes(32), *chunk.labels[1:]))
    assert told.refused(CAT, long) == "market: wrong length"
    assert told.at(13).refused(CAT, chunk) == "market: too late"


def test_who_claims_and_cannot_prove_it_loses_and_then_labels_are_demanded() -> None:
    told = disputed(DUE)
    events = told.times_out()
    assert kinds(events) == ["DisputeDecided", "LabelsDemanded"]
    assert events[0] == DisputeDecided(TASK, R0, False, EVE, Amount(101)), "right or not"
    assert told.free(EVE, DAN) == [899, 1_050]
    assert (told.phase, told.deadline) == (Phase.SHOW, 13 + 30)


# -- labels that are demanded ------------------------------------------------------------------------------------------


def demanded() -> Story:
    """Nobody claims until 35."""
    told = story().at(31)
    assert told.refused(EVE, Advance(TASK)) == "market: too early", "for claims there is time until 35"
    assert told.at(35).refused(EVE, Advance(TASK)) == "market: too early"
    assert kinds(told.at(36).does(EVE, Advance(TASK))) == ["LabelsDemanded"]
    return told


def test_where_nobody_claims_those_who_show_their_labels_are_paid_by_what_they_show() -> None:
    told = demanded()
    told.does(ANN, show(ANN))
    told.at(66).does(BOB, show(BOB))
    assert told.at(66).refused(EVE, Advance(TASK)) == "market: too early"
    events = told.at(67).does(EVE, Advance(TASK))
    assert kinds(events) == ["BondForfeited", "ProofWanted"]
    assert events[1].deadline == 74
    opened, chunk = proof(ANN, BOB)
    told.does(CAT, opened)
    events = told.does(CAT, chunk)
    assert kinds(events) == ["ChunkProved", "WorkersPaid", "RoundSettled", "RoundOpened"], "forfeited once, not twice"
    # Two who agree on four samples: worth two each, so a mean of one.
    assert events[1] == WorkersPaid(TASK, R0, 0b011, (100, 100))
    assert told.free(ANN, BOB, CAT) == [960 + 100 + 10, 960 + 100 + 10, 960]


def test_once_all_have_shown_their_labels_nobody_is_waited_for() -> None:
    told = demanded()
    told.does(ANN, show(ANN))
    told.does(BOB, show(BOB))
    assert kinds(told.does(CAT, show(CAT))) == ["LabelsRevealed", "ProofWanted"]
    ready = story()
    for who in WORKERS:
        ready.does(who, show(who))
    assert kinds(ready.at(36).does(EVE, Advance(TASK))) == ["ProofWanted"], "nobody claimed, and all is there"


def test_too_few_who_show_or_nobody_who_proves_voids_the_round() -> None:
    told = demanded()
    told.does(ANN, show(ANN))
    assert kinds(told.at(67).does(EVE, Advance(TASK)))[-2:] == ["RoundSettled", "RoundOpened"]
    assert told.free(BOSS) == [800]
    assert told.free(ANN) == [960 + 40], "two forfeits of twenty"
    told = demanded()
    for who in WORKERS:
        told.does(who, show(who))
    events = told.times_out()
    assert events[0] == RoundSettled(TASK, R0, False, Amount(0), Amount(200))
    assert told.free(BOSS, *WORKERS) == [800, 960, 960, 960]

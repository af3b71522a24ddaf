"""What every label market promises about seats, deadlines and money, told as stories with sums worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pfd.core.claims import (
    Advance,
    BondForfeited,
    CommitLabels,
    Deposit,
    Enrol,
    Enrolled,
    OpenTask,
    RevealLabels,
    RoundOpened,
    RoundSettled,
    SettleRound,
    TaskClosed,
    Unstake,
    Withdraw,
    WorkerPaid,
    WorkerSuspended,
)
from p2pfd.core.ids import Account, Amount, Digest, TaskId
from p2pfd.core.labels import pack
from p2pfd.incentives.market import Market
from p2pfd.incentives.rounds import Phase
from p2pfd.incentives.staking import Refused
from tests.unit.incentives.stories import (
    ANN,
    BOB,
    BOSS,
    CAT,
    DAN,
    EVE,
    FUNDS,
    LABELS,
    R0,
    R1,
    SALT,
    TASK,
    TERMS,
    UNBOND,
    WORKERS,
    Story,
    kinds,
    named,
)

RICH = 2**80


def story(funds: int = FUNDS) -> Story:
    return Story(Market({named(number): funds for number in range(1, 7)}, UNBOND), funds)


# -- terms -------------------------------------------------------------------------------------------------------------

BOUNDS = [
    ("samples", 1, 1024, "samples"),
    ("classes", 2, 15, "classes"),
    ("rounds", 1, 10_000, "rounds"),
    ("seats", 2, 64, None),
    ("quorum", 1, 3, "quorum"),
    ("enrol_seconds", 1, 2_592_000, "seconds"),
    ("commit_seconds", 1, 2_592_000, "seconds"),
    ("reveal_seconds", 1, 2_592_000, "seconds"),
]


@pytest.mark.parametrize(("field", "least", "most", "said"), BOUNDS, ids=[name for name, *_ in BOUNDS])
def test_terms_are_taken_up_to_their_bounds_and_no_further(field: str, least: int, most: int, said: str | None) -> None:
    for value in (least, most):
        story(RICH).does(BOSS, OpenTask(replace(TERMS, **{field: value})))
    for value in (least - 1, most + 1):
        reason = story(RICH).refused(BOSS, OpenTask(replace(TERMS, **{field: value})))
        assert reason == f"market: {said} out of range" or (said is None and "out of range" in reason)


@pytest.mark.parametrize("field", ["pot", "rate", "bond", "stake"])
def test_no_amount_exceeds_two_to_the_sixty_third(field: str) -> None:
    story(RICH).does(BOSS, OpenTask(replace(TERMS, **{field: 2**63})))
    assert story(RICH).refused(BOSS, OpenTask(replace(TERMS, **{field: 2**63 + 1}))) == "market: amount out of range"


def test_a_task_needs_a_seat_and_a_quorum_that_its_seats_can_reach() -> None:
    assert story().refused(BOSS, OpenTask(replace(TERMS, seats=0, quorum=0))) == "market: seats out of range"
    assert story().refused(BOSS, OpenTask(replace(TERMS, seats=2, quorum=3))) == "market: quorum out of range"
    story().does(BOSS, OpenTask(replace(TERMS, seats=1, quorum=1)))


def test_silence_costs_at_most_the_bond() -> None:
    story().does(BOSS, OpenTask(replace(TERMS, forfeit=Amount(50))))
    assert story().refused(BOSS, OpenTask(replace(TERMS, forfeit=Amount(51)))) == "market: forfeit exceeds bond"


def test_the_requester_pays_the_pots_of_all_rounds_when_it_opens_and_one_name_is_one_task() -> None:
    told = story()
    told.does(BOSS, OpenTask(TERMS))
    assert told.free(BOSS) == [600]
    assert told.deadline == 10
    assert told.refused(ANN, OpenTask(TERMS)) == "market: task exists"
    assert told.refused(BOSS, OpenTask(replace(TERMS, task=TaskId(b"\2" * 32), rounds=4))) == "staking: not enough free"
    told.does(BOSS, OpenTask(replace(TERMS, task=TaskId(b"\2" * 32), rounds=3)))
    assert told.free(BOSS) == [0], "to the last unit"


# -- seats -------------------------------------------------------------------------------------------------------------


def test_a_seat_can_be_had_in_the_last_second_of_gathering_and_not_after_it() -> None:
    told = story().opens(workers=[ANN]).at(10)
    told.does(BOB, Enrol(TASK))
    assert told.at(11).refused(CAT, Enrol(TASK)) == "market: too late"
    assert told.refused(ANN, Enrol(TaskId(bytes(32)))) == "market: no such task"


def test_the_first_round_opens_with_the_last_seat_and_each_bond_is_locked() -> None:
    told = story().opens(workers=[ANN, BOB])
    assert told.phase == Phase.GATHER
    assert told.refused(ANN, Enrol(TASK)) == "market: already enrolled"
    assert told.at(4).does(CAT, Enrol(TASK)) == (
        Enrolled(TASK, CAT, 3),
        RoundOpened(TASK, R0, 24, (ANN, BOB, CAT)),
    )
    assert told.locked(*WORKERS) == [50, 50, 50]
    assert told.refused(DAN, Enrol(TASK)) == "market: no seat free"


def test_who_gathers_fewer_than_all_begins_with_the_quorum_and_below_it_gets_everything_back() -> None:
    told = story().opens(workers=[ANN, BOB])
    assert told.times_out() == (RoundOpened(TASK, R0, 31, (ANN, BOB)),)
    alone = story().opens(workers=[ANN])
    assert alone.times_out() == (TaskClosed(TASK, 0),)
    assert alone.free(BOSS, ANN) == [FUNDS, FUNDS]
    assert alone.refused(BOB, Enrol(TASK)) == "market: closed"
    assert alone.refused(BOB, Advance(TASK)) == "market: not running"


def test_who_comes_later_plays_from_the_next_round_on_and_not_into_the_last() -> None:
    told = story().opens(workers=[ANN, BOB])
    told.times_out()
    told.does(CAT, Enrol(TASK))
    bound = CommitLabels(TASK, R0, Digest(bytes(32)))
    assert told.refused(CAT, bound) == "market: not in this round"
    assert told.refused(DAN, bound) == "market: not in this round"
    told.commits(ANN, BOB).reveals(ANN, BOB)
    assert told.does(EVE, SettleRound(TASK, R0))[-1] == RoundOpened(TASK, R1, 31, (ANN, BOB, CAT))
    last = story().opens(replace(TERMS, rounds=1), [ANN, BOB])
    last.times_out()
    assert last.refused(CAT, Enrol(TASK)) == "market: no further round"


# -- a round -----------------------------------------------------------------------------------------------------------


def settled(terms: Any = TERMS) -> tuple[Story, tuple[Any, ...]]:
    told = story().opens(terms).commits(*WORKERS).reveals(*WORKERS)
    return told, told.does(EVE, SettleRound(TASK, R0))


def test_a_round_pays_the_rate_for_a_mean_score_of_one_and_returns_the_rest_of_its_pot() -> None:
    told, events = settled()
    assert events == (
        WorkerPaid(TASK, R0, ANN, 2_000_000, Amount(50)),
        WorkerPaid(TASK, R0, BOB, 2_000_000, Amount(50)),
        WorkerPaid(TASK, R0, CAT, 0, Amount(0)),
        RoundSettled(TASK, R0, True, Amount(100), Amount(100)),
        RoundOpened(TASK, R1, 20, WORKERS),
    )
    assert told.free(BOSS, *WORKERS) == [700, 1_000, 1_000, 950]


def test_a_pot_that_is_too_small_is_shared_in_proportion() -> None:
    _, events = settled(replace(TERMS, pot=Amount(61)))
    assert [event.amount for event in events[:3]] == [30, 30, 0]
    assert events[3] == RoundSettled(TASK, R0, True, Amount(60), Amount(1))


def test_the_last_round_closes_the_task_and_every_bond_is_free() -> None:
    told, _ = settled()
    told.commits(*WORKERS, rnd=R1).reveals(*WORKERS, rnd=R1)
    assert told.does(EVE, SettleRound(TASK, R1))[-1] == TaskClosed(TASK, 2)
    assert told.free(BOSS, *WORKERS) == [800, 1_100, 1_100, 1_000]
    assert told.locked(*WORKERS) == [0, 0, 0]
    assert told.refused(EVE, SettleRound(TASK, R1)) == "market: nothing to settle"


def test_what_belongs_to_another_phase_or_round_is_refused() -> None:
    told = story().opens()
    bound, show = CommitLabels(TASK, R1, Digest(bytes(32))), RevealLabels(TASK, R0, SALT, pack(LABELS[ANN]))
    assert told.refused(ANN, bound) == "market: wrong round"
    assert told.refused(ANN, show) == "market: takes no reveals"
    assert told.refused(ANN, SettleRound(TASK, R0)) == "market: nothing to settle"
    told.commits(ANN)
    assert told.refused(ANN, replace(bound, round=R0)) == "market: already committed"
    told.commits(BOB, CAT)
    assert told.refused(ANN, replace(bound, round=R0)) == "market: takes no commitments"
    told.reveals(ANN)
    assert told.refused(ANN, show) == "market: already revealed"
    assert told.refused(DAN, show) == "market: nothing committed"
    told.reveals(BOB, CAT)
    assert told.at(10**6).refused(EVE, Advance(TASK)) == "market: settle the round first"


def test_labels_are_those_that_were_bound_and_no_others() -> None:
    told = story().opens().commits(*WORKERS)
    for labels, reason in (
        (pack(LABELS[CAT]), "not what was committed"),
        (pack(LABELS[ANN]) + bytes(32), "wrong length"),
        (b"\0" * 32, "labels past the samples"),
    ):
        assert told.refused(ANN, RevealLabels(TASK, R0, SALT, labels)) == f"market: {reason}"


def test_commitments_and_reveals_are_taken_in_the_last_second_and_not_after_it() -> None:
    told = story().opens(workers=[ANN, BOB]).at(11)
    told.does(EVE, Advance(TASK))
    told.commits(ANN)
    late = CommitLabels(TASK, R0, Digest(bytes(32)))
    assert told.at(32).refused(BOB, late) == "market: too late"
    on_time = story().opens()
    on_time.at(20).commits(*WORKERS)
    assert on_time.deadline == 50
    on_time.at(50).reveals(ANN)
    show = RevealLabels(TASK, R0, SALT, pack(LABELS[BOB]))
    assert on_time.at(51).refused(BOB, show) == "market: too late"


# -- silence -----------------------------------------------------------------------------------------------------------


def test_who_does_not_commit_loses_its_seat_to_the_next_who_comes_and_nothing_else() -> None:
    told = story().opens().commits(BOB, CAT)
    events = told.times_out()
    assert events[0] == WorkerSuspended(TASK, R0, ANN)
    assert kinds(events) == ["WorkerSuspended", "RevealsOpened"]
    assert told.free(ANN) == [FUNDS]
    told.does(DAN, Enrol(TASK))
    told.reveals(BOB, CAT)
    assert told.does(EVE, SettleRound(TASK, R0))[-1] == RoundOpened(TASK, R1, 41, (DAN, BOB, CAT)), "by seat"


def test_a_round_that_too_few_commit_to_is_void_and_its_pot_goes_back() -> None:
    told = story().opens().commits(ANN)
    events = told.times_out()
    assert kinds(events) == ["WorkerSuspended", "WorkerSuspended", "RoundSettled", "TaskClosed"]
    assert events[2] == RoundSettled(TASK, R0, False, Amount(0), Amount(200))
    assert events[3] == TaskClosed(TASK, 1), "one seat is fewer than the quorum"
    assert told.free(BOSS, *WORKERS) == [FUNDS] * 4


def test_who_commits_and_is_silent_forfeits_to_those_who_count_and_keeps_its_seat_while_its_bond_lasts() -> None:
    told = story().opens().commits(*WORKERS).reveals(ANN, BOB)
    events = told.times_out()
    assert events[0] == BondForfeited(TASK, R0, CAT, Amount(20))
    assert kinds(events) == ["BondForfeited", "RevealsClosed"], "thirty left is more than a forfeit"
    assert told.free(ANN, BOB, CAT) == [960, 960, 950]
    assert told.locked(CAT) == [30]
    told.does(EVE, SettleRound(TASK, R0))
    told.commits(*WORKERS, rnd=R1).reveals(ANN, BOB, rnd=R1)
    events = told.times_out()
    assert kinds(events) == ["BondForfeited", "WorkerSuspended", "RevealsClosed"], "ten left is less"
    assert told.free(CAT) == [960]


def test_a_bond_that_just_covers_another_forfeit_keeps_its_seat() -> None:
    told = story().opens(replace(TERMS, bond=Amount(40))).commits(*WORKERS).reveals(ANN, BOB)
    assert kinds(told.times_out()) == ["BondForfeited", "RevealsClosed"]
    assert told.locked(CAT) == [20]


def test_of_a_forfeit_what_does_not_divide_is_the_requesters() -> None:
    told = story().opens(replace(TERMS, forfeit=Amount(21))).commits(*WORKERS).reveals(ANN, BOB)
    told.times_out()
    assert told.free(BOSS, ANN, BOB) == [601, 960, 960]


def test_where_nobody_counts_the_forfeits_are_the_requesters_and_the_round_is_void() -> None:
    told = story().opens().commits(*WORKERS)
    events = told.times_out()
    assert kinds(events) == ["BondForfeited"] * 3 + ["RoundSettled", "RoundOpened"]
    assert told.free(BOSS) == [600 + 200 + 60]


def test_a_round_counts_with_the_quorum_and_not_with_one_fewer() -> None:
    terms = replace(TERMS, quorum=3)
    told = story().opens(terms).commits(*WORKERS).reveals(ANN, BOB)
    assert kinds(told.times_out()) == ["BondForfeited", "RoundSettled", "RoundOpened"]
    assert told.free(BOSS) == [600 + 200], "and who revealed is not paid, but for the forfeit"
    assert told.free(ANN, BOB) == [960, 960]


# -- everyone's own money ----------------------------------------------------------------------------------------------


def test_money_leaves_only_when_it_has_unbonded() -> None:
    told = story().at(7)
    told.does(ANN, Unstake(Amount(300)))
    assert told.market.balances(ANN).unbonding == 300
    told.at(8).does(ANN, Unstake(Amount(1)))
    assert told.at(8 + UNBOND - 1).refused(ANN, Withdraw()) == "staking: still unbonding", "the delay began again"
    told.at(8 + UNBOND).does(ANN, Withdraw())
    after = told.market.balances(ANN)
    assert (after.wallet, after.free, after.locked, after.unbonding) == (301, 699, 0, 0)
    assert told.refused(ANN, Withdraw()) == "staking: nothing to withdraw"
    told.does(ANN, Deposit(Amount(301)))
    assert told.free(ANN) == [FUNDS]


@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_is_no_amount(amount: int) -> None:
    told = story()
    assert told.refused(ANN, Deposit(Amount(amount))) == "staking: nothing to deposit"
    assert told.refused(ANN, Unstake(Amount(amount))) == "staking: nothing to unstake"


def test_nobody_spends_what_it_does_not_have() -> None:
    told = story()
    assert told.refused(ANN, Deposit(Amount(1))) == "erc20: transfer amount exceeds balance"
    assert told.refused(ANN, Unstake(Amount(FUNDS + 1))) == "staking: not enough free"
    told.does(ANN, Unstake(Amount(FUNDS)))


def test_tokens_move_between_wallets_and_a_stranger_begins_with_none() -> None:
    staking = Market({ANN: 10}, UNBOND).staking
    stranger: Account = named(99)
    staking.transfer(ANN, stranger, 10)
    assert (staking.balances(ANN).wallet, staking.balances(stranger).wallet) == (0, 10)
    with pytest.raises(Refused, match="exceeds balance"):
        staking.transfer(ANN, stranger, 1)

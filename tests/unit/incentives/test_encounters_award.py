"""An encounter's end, for every ballot there can be: nothing is made or lost, nobody falls below zero; what pays."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest

from p2pfd.incentives import ptsc
from p2pfd.incentives.encounter_award import INVALID, VALID, Stake, awarded, vote_scores
from p2pfd.incentives.payouts import Rule, payout

RULES: tuple[Rule, ...] = ("paper", "symmetric", "serum")
STAKES = [
    Stake(10**6),
    Stake(999, 500, 3),
    Stake(40_003, 0, 511),
    Stake(0, 7, 7),
    Stake(123_456, 90, 10),
    Stake(10**6, 1, 0),
    Stake(10**5, 511, 511),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", range(1, 8))
def test_nothing_is_made_or_lost(rule: Rule, size: int) -> None:
    for states in product((0, VALID, INVALID), repeat=size):
        for prepayment, share in ((1, 700_000), (7, 333_333), (77_777, 0), (10**6, 10**6), (600_001, 700_000)):
            stakes: list[Stake | None] = list(STAKES[:size])
            if sum(states) % 3 == 0:
                stakes[0] = None
            award = awarded(rule, prepayment, share, states, stakes)
            kept = [balance for balance, stake in zip(award.balances, stakes, strict=True) if stake is not None]
            before = sum(stake.balance for stake in stakes if stake is not None)
            assert award.learner + award.neighbor + sum(kept) == 2 * prepayment + before
            assert min(award.learner, award.neighbor, *award.balances) >= 0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", range(1, 8))
def test_with_all_there_and_deep_bonds_it_is_the_payout(rule: Rule, size: int) -> None:
    for votes in product((True, False), repeat=size):
        states = [VALID if vote else INVALID for vote in votes]
        stakes = [Stake(10**9, 30 * place, 5) for place in range(size)]
        scores = vote_scores(votes, [(stake.valid, stake.invalid) for stake in stakes])
        due = payout(rule, 600_001, 654_321, votes, scores)
        award = awarded(rule, 600_001, 654_321, states, stakes)
        assert award.learner == due.learner
        assert award.neighbor == 600_001 + due.neighbor
        assert [balance - 10**9 for balance in award.balances] == list(due.voters)


def test_scores_are_the_serums_with_histories_for_the_labels() -> None:
    """Where all have voted on the same encounters, worth is what `ptsc` takes it for."""
    histories = [(5, 2), (6, 1), (3, 4)]
    said = [14, 7]
    scores = vote_scores([True, True, False], histories)
    first = ptsc.worth(said, histories[0], 2)[0] // 2 - ptsc.SCALE
    assert scores == (first, ptsc.worth(said, histories[1], 2)[0] // 2 - ptsc.SCALE, -ptsc.SCALE)


@pytest.mark.parametrize("valid", [50, 70, 90, 95])
@pytest.mark.parametrize("says", ["valid", "invalid", "random"])
def test_a_vote_without_a_look_earns_nothing(valid: int, says: str) -> None:
    """Two others vote valid so often in a hundred, as their long histories say; the third does not look.

    What is rare is capped, so to say it blindly even costs.
    """
    chance = Fraction(valid, 100)
    histories = [(0, 0), (5 * valid, 500 - 5 * valid), (5 * valid, 500 - 5 * valid)]
    total = Fraction(0)
    for own, one, two in product((True, False), repeat=3):
        weight = {"valid": Fraction(own), "invalid": Fraction(not own), "random": Fraction(1, 2)}[says]
        weight *= (chance if one else 1 - chance) * (chance if two else 1 - chance)
        total += weight * vote_scores([own, one, two], histories)[0]
    assert total < ptsc.SCALE // 40
    if says == "valid":
        assert total > -ptsc.SCALE // 40


@pytest.mark.parametrize("valid", [50, 70, 90])
def test_an_honest_vote_earns_and_its_opposite_costs(valid: int) -> None:
    """Three judge the same encounter, each right nine times in ten."""
    right, truth = Fraction(9, 10), Fraction(valid, 100)
    often = right * truth + (1 - right) * (1 - truth)
    count = int(500 * often)
    histories = [(count, 500 - count)] * 3
    earned = {True: Fraction(0), False: Fraction(0)}
    for is_valid, own, one, two in product((True, False), repeat=4):
        weight = truth if is_valid else 1 - truth
        for vote in (own, one, two):
            weight *= right if vote == is_valid else 1 - right
        for honest in (True, False):
            vote = own if honest else not own
            earned[honest] += weight * vote_scores([vote, one, two], histories)[0]
    assert earned[True] > ptsc.SCALE // 10
    assert earned[False] < 0


def test_nobody_loses_more_than_its_bond() -> None:
    votes, bonds = (True, True, False), (10**6, 10**6, 5)
    assert payout("symmetric", 900, 0, votes, (), bonds).voters == (452, 452, -5)
    scores = (-ptsc.SCALE, ptsc.SCALE, -ptsc.SCALE)
    assert payout("serum", 900, 0, votes, scores, bonds).voters == (-300, 300, -5)

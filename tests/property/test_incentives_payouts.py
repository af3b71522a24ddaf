"""Payouts of an encounter: nothing is made or lost, whatever the committee says."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.incentives.payouts import WHOLE, Payout, Rule, payout

LARGEST = 31
RULES: list[Rule] = ["paper", "symmetric", "serum"]
prepayments = st.integers(0, 2**63)
shares = st.integers(0, WHOLE)


def of(rule: Rule, prepayment: int, share: int, valid: int, invalid: int) -> Payout:
    votes = [True] * valid + [False] * invalid
    return payout(rule, prepayment, share, votes, [WHOLE] * len(votes))


@pytest.mark.parametrize("rule", RULES)
@given(prepayment=prepayments, share=shares)
def test_everything_is_conserved_for_every_vote_count(rule: Rule, prepayment: int, share: int) -> None:
    for count in range(LARGEST + 1):
        for valid in range(count + 1):
            paid = of(rule, prepayment, share, valid, count - valid)
            assert paid.total == prepayment
            assert paid.neighbor >= -prepayment, "a neighbor's stake need not exceed the prepayment"
            assert len(paid.voters) == count


@given(prepayment=prepayments, share=shares, votes=st.lists(st.booleans(), max_size=LARGEST), data=st.data())
def test_the_serum_conserves_whatever_the_scores(
    prepayment: int, share: int, votes: list[bool], data: st.DataObject
) -> None:
    scores = data.draw(st.lists(st.integers(0, 6 * WHOLE), min_size=len(votes), max_size=len(votes)))
    paid = payout("serum", prepayment, share, votes, scores)
    assert paid.total == prepayment
    assert min(paid.voters, default=0) >= 0
    assert sum(paid.voters) <= prepayment - prepayment * share // WHOLE


@given(prepayment=prepayments, share=shares, count=st.integers(1, LARGEST))
def test_unanimous_votes_pay_what_was_published(prepayment: int, share: int, count: int) -> None:
    neighbor = Fraction(prepayment * share, WHOLE)
    paid = of("paper", prepayment, share, count, 0)
    assert 0 <= neighbor - paid.neighbor < 1
    assert all(0 <= (prepayment - neighbor) / count - voter < 1 for voter in paid.voters)
    paid = of("paper", prepayment, share, 0, count)
    assert paid.neighbor == -prepayment
    assert all(voter == prepayment // count for voter in paid.voters)
    assert 0 <= paid.learner - prepayment < count, "refunded, with what rounding leaves"


@given(prepayment=prepayments, share=shares, count=st.integers(1, LARGEST))
def test_the_symmetric_rule_pays_a_vote_the_same_whichever_way(prepayment: int, share: int, count: int) -> None:
    yes, no = of("symmetric", prepayment, share, count, 0), of("symmetric", prepayment, share, 0, count)
    assert yes.voters == no.voters
    assert no.learner >= prepayment + prepayment * share // WHOLE, "refunded, and p_n r in damages"


@given(prepayment=prepayments, share=shares, winners=st.integers(1, LARGEST), losers=st.integers(0, LARGEST))
def test_losers_forfeit_their_share_to_the_winners(prepayment: int, share: int, winners: int, losers: int) -> None:
    if losers >= winners:
        return
    paid = of("symmetric", prepayment, share, winners, losers)
    pool = prepayment - prepayment * share // WHOLE
    assert all(voter == -(pool // winners) for voter in paid.voters[winners:])
    assert all(0 <= Fraction(pool + losers * (pool // winners), winners) - voter < 1 for voter in paid.voters[:winners])


@pytest.mark.parametrize("rule", RULES)
@given(prepayment=prepayments, share=shares, half=st.integers(0, LARGEST // 2))
def test_a_tie_or_no_vote_is_a_refund(rule: Rule, prepayment: int, share: int, half: int) -> None:
    assert of(rule, prepayment, share, half, half) == Payout(prepayment, 0, (0,) * (2 * half))


@pytest.mark.parametrize("rule", RULES)
@given(prepayment=prepayments, share=shares, count=st.integers(1, LARGEST))
def test_one_more_valid_vote_never_costs_the_neighbor(rule: Rule, prepayment: int, share: int, count: int) -> None:
    earned = [of(rule, prepayment, share, valid, count - valid).neighbor for valid in range(count + 1)]
    if rule == "paper" and count % 2 == 0:
        del earned[count // 2]  # a tie is a refund, not the middle of the line
    assert earned == sorted(earned)


def test_under_the_published_rule_no_pays_more_than_yes() -> None:
    """The defect that the other rules mend: unanimous voters share r for "invalid", but only p_v r for "valid"."""
    yes, no = of("paper", 1_000, 700_000, 3, 0), of("paper", 1_000, 700_000, 0, 3)
    assert (yes.voters[0], no.voters[0]) == (100, 333)


@pytest.mark.parametrize(
    ("prepayment", "share", "votes", "scores"),
    [(-1, 0, [], []), (1, WHOLE + 1, [], []), (1, -1, [], []), (1, 0, [True], [])],
)
def test_what_makes_no_sense_is_refused(prepayment: int, share: int, votes: list[bool], scores: list[int]) -> None:
    with pytest.raises(ValueError, match=r"prepayment|score"):
        payout("serum", prepayment, share, votes, scores)

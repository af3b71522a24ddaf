"""Scores and payments worked out by hand: what the formulas come to, in whole units, where nothing cancels out."""

from __future__ import annotations

import pytest

from p2pfd.core.rng import Rng
from p2pfd.incentives import ptsc
from p2pfd.incentives.payouts import Payout, payout
from p2pfd.incentives.sampling import variance, variance_by_known_shares, variance_by_words
from p2pfd.incentives.sortition import MAX_TICKETS, committee, seed
from p2pfd.incentives.strategies.exact import expected
from p2pfd.incentives.strategies.game import (
    Game,
    Strategy,
    coalition_sizes,
    constant,
    contrary,
    honest,
    label_game,
    strategies,
    truthful,
    vote_game,
)
from p2pfd.incentives.strategies.play import Player
from p2pfd.incentives.strategies.rules import is_market, is_per_item, pays
from p2pfd.incentives.why import ClassPart, why
from tests.unit.incentives.stories import ANN, BOB, CAT, LABELS, named

ROWS = [LABELS[who] for who in (ANN, BOB, CAT)]


# -- the serum ---------------------------------------------------------------------------------------------------------


def test_what_a_label_is_worth_is_smoothed_by_one_and_capped_at_three_times_the_classes() -> None:
    # The others say 0 seven times and 1 once: (8 + 2) / 10 smoothed, so 10 / 8 and 10 / 2.
    assert ptsc.worth([7, 1], [0, 0], 2) == [1_250_000, 5_000_000]
    # Never said: 1 of 102 would be worth 102, and is worth six.
    assert ptsc.worth([100, 0], [0, 0], 2) == [1_009_900, 6_000_000]
    assert ptsc.worth([7, 1], [7, 1], 2) == [2_000_000, 2_000_000], "of one's own labels nothing counts"


def test_a_score_is_explained_class_by_class() -> None:
    told = why(ROWS, 2, 90, 100, 0)
    assert told.parts == (ClassPart(0, 2, 3, 2_000_000), ClassPart(1, 2, 3, 2_000_000))
    assert (told.peers, told.samples, told.score, told.mean) == (2, 4, 2_000_000, 500_000)
    assert (told.due, told.all_due, told.amount) == (50, 100, 45), "of a pot of ninety each has half"
    alone = why(ROWS[:1], 2, 90, 100, 0)
    assert (alone.parts, alone.peers, alone.score, alone.amount) == ((), 0, 0, 0)


def test_all_label_the_same_samples() -> None:
    with pytest.raises(ValueError, match="the same samples"):
        ptsc.scores([b"\0\1", b"\0"], 2)
    assert ptsc.scores([], 2) == ()
    assert ptsc.scores([b"\0\1"], 2) == (0,)


def test_a_mean_below_zero_costs_and_never_more_than_the_bond() -> None:
    assert ptsc.pay(100, 10, [-2_000_000, 1_000_000]) == (-20, 10)
    assert ptsc.pay(100, 10, [-2_000_000, 1_000_000], [5, 5]) == (-5, 10)
    assert ptsc.pay(10, 10, [1_000_000, 0]) == (10, 0), "a pot that is just enough is paid out whole"
    assert ptsc.pay(9, 10, [1_000_000, 1_000_000]) == (4, 4)


# -- encounters --------------------------------------------------------------------------------------------------------


def test_the_published_rule_between_its_ends() -> None:
    # Two of three valid, of a prepayment of 900 with p_n = 0.7: the neighbor has 2/3 of 630 less 1/3 of 900.
    assert payout("paper", 900, 700_000, [True, True, False]) == Payout(900 - 120 - 480, 420 - 300, (90, 90, 300))
    # What does not divide: 7 by three is a penalty of three, and shares of two and nothing.
    assert payout("paper", 7, 700_000, [True, False, True]) == Payout(7 - 0 - 2, 3 - 3, (0, 2, 0))


def test_under_the_serum_a_mean_of_one_earns_an_equal_share_of_the_pool() -> None:
    paid = payout("serum", 1_000, 700_000, [True, True, False], [1_000_000, 500_000, 2_000_000])
    assert paid == Payout(1_000 - 700 - 298, 700, (85, 42, 171)), "350 would be due, and the pool is 300"
    calm = payout("serum", 1_000, 700_000, [False, True, False], [1_000_000, 0, 500_000])
    assert calm == Payout(1_000 + 1_000 - 150, -1_000, (100, 0, 50))


# -- chance ------------------------------------------------------------------------------------------------------------


def test_who_says_the_same_always_scores_the_same_whatever_is_drawn() -> None:
    """How rare its label is, is estimated from the same samples: both rise and fall together."""
    labels = (bytes(240), *Player(label_game(8, 6, 240, 750_000)).round(Rng(b"crowd")).honest)
    assert variance(labels, 6, 40)[0] < 0.01 * variance_by_known_shares(labels, 6, 40)[0]


def test_a_variance_by_hand() -> None:
    """Two workers, one class: they agree where both speak, on two of four samples, and each such sample counts two."""
    labels = [b"\0\0\0\0", b"\0\0\1\1"]
    # Of the one class, worth is (2 + 1) / (2 + 1) = 1 for the first; its sample scores are 1, 1, 0, 0.
    # S² = 4 · ¼ / 3 = ⅓, and (1 − 2/4) · ⅓ / 2 = 1/12.
    assert variance_by_known_shares(labels, 1, 2)[0] == pytest.approx(1 / 12)
    # In words of two, sums of 0 and −2 about −1: S² = 2, M² (1 − 1/2) 2 / 1 / 4² = 4 · 1 / 16.
    assert variance_by_words(labels, 1, 1, 2)[0] == pytest.approx(1 / 4)
    assert variance_by_words(labels, 1, 1, 4)[0] == 0.0, "one word is all words"
    with pytest.raises(ValueError, match="a score needs a peer"):
        variance(labels[:1], 1, 1)
    with pytest.raises(ValueError, match="cannot draw 3 of 2"):
        variance_by_words(labels, 1, 3, 2)


def test_a_stake_beyond_so_many_tickets_buys_nothing() -> None:
    assert MAX_TICKETS == 1_024
    for number in range(4):
        drawn = seed(number.to_bytes(32, "big"), (bytes(32), bytes(32)))
        rich = {named(1): 10 * MAX_TICKETS, named(2): 10 * 2_000}
        richer = {named(1): 10**9, named(2): 10 * MAX_TICKETS + 9}
        assert committee(drawn, rich, 10, 2, ()) == committee(drawn, richer, 10, 2, ())
    with pytest.raises(ValueError, match="no smaller than empty"):
        committee(drawn, {}, 1, -1, ())
    assert committee(drawn, {named(1): 1, named(2): 0}, 1, 2, ()) == (named(1),)


# -- strategies --------------------------------------------------------------------------------------------------------


def test_what_rules_pay_for_a_window_of_votes() -> None:
    """Five seats, one encounter with a prepayment of a million, three tenths of which are the voters'."""
    rows = [b"\1"] * 4 + [b"\0"]
    assert pays("paper", rows, 2) == (60_000,) * 4 + (200_000,)
    assert pays("symmetric", rows, 2) == (93_750,) * 4 + (-75_000,)
    # Of the other seats' votes in the window: 3 valid, 1 invalid for the first, (4 + 2) / (3 + 1) = 1.5 each.
    # 3 · 1.5 / 4 − 1 = 0.125, of a fifth of the pool, which is 60,000; the last one agrees with nobody.
    assert pays("serum", rows, 2) == (7_500,) * 4 + (0,)
    assert pays("paper", [b"\1\1"] * 3, 2) == (200_000,) * 3, "two encounters, a tenth of a million each"
    assert pays("labels", ROWS, 2) == (500_000, 500_000, 0), "a million for a mean of one, whatever the pot"


def test_which_rules_pay_for_what() -> None:
    assert [is_market(rule) for rule in ("labels", "labels-median", "serum", "paper")] == [True, True, False, False]
    assert [is_per_item(rule) for rule in ("paper", "symmetric", "serum", "labels")] == [True, True, False, False]


def test_channels_hold_the_probabilities_that_they_are_named_after() -> None:
    assert honest(3, 800_000) == (
        (1_600_000, 200_000, 200_000),
        (200_000, 1_600_000, 200_000),
        (200_000, 200_000, 1_600_000),
    )
    assert contrary(2, 900_000) == ((100_000, 900_000), (900_000, 100_000))
    assert constant(3, 1) == ((0, 1, 0),) * 3
    assert label_game(5, 3, 7, 1).prior == (3, 4, 5)
    assert vote_game(5, 7, 1, 900_000).prior == (100_000, 900_000)


def test_a_game_is_refused_just_beyond_its_bounds() -> None:
    Game(2, 2, 1, (0, 1), 0, 2)
    Game(2, 2, 1, (1, 0), 1_000_000, 0)
    for wrong in (
        (1, 2, 1, (0, 1), 0, 0),
        (2, 1, 1, (1,), 0, 0),
        (2, 2, 0, (0, 1), 0, 0),
        (2, 2, 1, (0, 0, 1), 0, 0),
        (2, 2, 1, (0, 0), 0, 0),
        (2, 2, 1, (-1, 2), 0, 0),
        (2, 2, 1, (0, 1), -1, 0),
        (2, 2, 1, (0, 1), 1_000_001, 0),
        (3, 2, 1, (0, 1), 0, 2),
    ):
        with pytest.raises(ValueError, match=r"a game has|an accuracy is|a committee is"):
            Game(*wrong)


def test_a_coalition_has_one_seat_at_least_and_on_a_committee_what_the_draw_gives() -> None:
    market, pair = label_game(10, 3, 5, 800_000), vote_game(2, 1, 800_000, 900_000, pool=4)
    assert coalition_sizes(market, 0) == coalition_sizes(market, 1) == ((1, 1),)
    assert coalition_sizes(market, 300_000) == ((3, 1),)
    assert coalition_sizes(vote_game(3, 1, 800_000, 900_000, pool=10), 100_000) == ((1, 1),), "it is all of the tenth"
    # Half of four are two: beside the one seat, the other is drawn from three, one of them a partner's.
    assert [(size, float(chance)) for size, chance in coalition_sizes(pair, 500_000)] == [
        (1, pytest.approx(2 / 3)),
        (2, pytest.approx(1 / 3)),
    ]


def test_the_table_lists_what_it_says() -> None:
    names = [each.name for each in strategies(label_game(10, 3, 5, 800_000))]
    assert names[:4] == ["honest", "honest, accuracy 50 %", "honest, accuracy 65 %", "honest, accuracy 95 %"]
    assert [name for name in names if "code" in name] == [
        f"colluding {share}0 %: a secret code" for share in range(1, 6)
    ]
    assert [name for name in names if "Sybil" in name] == [f"Sybil {share}0 %: one judgement" for share in range(2, 6)]
    votes = [each.name for each in strategies(vote_game(5, 3, 950_000, 900_000))]
    assert "honest, accuracy 95 %" not in votes, "that is honest itself"
    assert [name for name in votes if "colluding" in name and "invalid" in name] == [
        f"colluding {share}0 %: always invalid" for share in range(3, 6)
    ]
    assert [each.deviates for each in strategies(label_game(10, 3, 5, 800_000))[:5]] == [False] * 4 + [True]


def test_expected_pay_where_nobody_errs() -> None:
    """Three who are always right: under the published rule each has a tenth, or a third where nothing is valid."""
    game = vote_game(3, 1, 1_000_000, 900_000, pool=9)
    found = expected("paper", game, truthful(game))
    assert float(found.pay) == pytest.approx(0.9 * 100_000 + 0.1 * 333_333)
    assert found.beside == found.pay
    everyone = expected("paper", game, Strategy("all", constant(2, 0), 1_000_000))
    assert (float(everyone.pay), everyone.beside) == (333_333, None), "all three are of it"
    with pytest.raises(ValueError, match="earlier round"):
        expected("paper", game, Strategy("stale", honest(2, 1_000_000), copies="earlier"))

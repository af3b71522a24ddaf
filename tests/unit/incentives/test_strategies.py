"""The table of strategies: exact where it can be, right where it is drawn, and saying what the docs say it says."""

from __future__ import annotations

import statistics
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.rng import Rng
from p2pfd.incentives import ptsc
from p2pfd.incentives.strategies.candidates import median_scores
from p2pfd.incentives.strategies.exact import expected
from p2pfd.incentives.strategies.game import Game, coalition_sizes, label_game, strategies, truthful, vote_game
from p2pfd.incentives.strategies.play import Player, plurality
from p2pfd.incentives.strategies.rules import IN_USE, RULES, UNIT, Rule, pays
from p2pfd.incentives.strategies.table import Cell, Tally, played, table, verdict

MARKET = label_game(10, 10, 320, 800_000)
COMMITTEE = vote_game(5, 64, 800_000, 900_000)


def nothing(_: int) -> None:
    """Nobody needs to know how far it is."""


def cells(rule: Rule, game: Game, rounds: int, seed: int = 1) -> dict[str, Cell]:
    return {cell.strategy: cell for cell in played([rule], game, rounds, Rng(seed), nothing)}


@pytest.fixture(scope="module")
def whole() -> dict[tuple[Rule, str], Cell]:
    found = table(RULES, MARKET, COMMITTEE, 120, Rng(b"claims"))
    return {(cell.rule, cell.strategy): cell for cell in found}


# -- is the simulation right? ------------------------------------------------------------------------------------------

TINY: list[tuple[Rule, Game]] = [
    *((rule, vote_game(seats, 1, 800_000, 900_000, pool=20)) for rule in ("paper", "symmetric") for seats in (3, 4, 7)),
    *((rule, vote_game(3, 3, 700_000, 600_000, pool=10)) for rule in ("serum", "serum-median")),
    *((rule, label_game(3, 3, 2, 700_000)) for rule in ("labels", "labels-median")),
]


@pytest.mark.parametrize(("rule", "game"), TINY, ids=[f"{rule} {game.seats}" for rule, game in TINY])
def test_what_is_drawn_agrees_with_what_is_enumerated(rule: Rule, game: Game) -> None:
    drawn = cells(rule, game, 700)
    for strategy in strategies(game):
        if strategy.copies == "earlier":
            continue
        cell, exact = drawn[strategy.name], expected(rule, game, strategy)
        per_round = game.items if rule.startswith("labels") else 1  # an item's pay, and a market pays by the round
        sigma = cell.half / 1.96
        assert cell.pay == pytest.approx(float(exact.pay) * per_round / UNIT, abs=4.2 * sigma + 1e-9), strategy.name


def test_an_interval_covers_what_is_true_as_often_as_it_says() -> None:
    game = vote_game(3, 3, 700_000, 600_000, pool=10)
    chosen = strategies(game)
    true = {s.name: float(expected("serum", game, s).pay) / UNIT for s in chosen}
    runs = [cells("serum", game, 80, seed) for seed in range(40)]
    hits = [abs(run[s.name].pay - true[s.name]) <= run[s.name].half for run in runs for s in chosen[:1] + chosen[6:9]]
    assert 0.88 < sum(hits) / len(hits) < 0.995


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=40), st.integers(1, 5))
def test_a_tally_is_the_mean_and_its_error(amounts: list[int], parts: int) -> None:
    tally = Tally(4)
    for amount in amounts:
        tally.add(amount, parts)
    exact = [amount / parts / 4 / UNIT for amount in amounts]
    assert tally.mean() == pytest.approx(statistics.fmean(exact), abs=1e-9)
    assert tally.half() == pytest.approx(1.959964 * statistics.stdev(exact) / len(exact) ** 0.5, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("gain", "half", "best"),
    [(1, 0.9, "no"), (1, 1.1, "within noise"), (-1, 0.9, "yes"), (-1, 1.1, "within noise"), (0, 0, "yes")],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(gain: float, half: float, best: str) -> None:
    assert verdict(gain, half) == best


@pytest.mark.parametrize("share", [100_000, 300_000, 500_000])
def test_a_committee_draws_a_coalition_as_a_pool_without_replacement(share: int) -> None:
    sizes = coalition_sizes(COMMITTEE, share)
    assert sum(chance for _, chance in sizes) == 1
    mean = sum(size * chance for size, chance in sizes)
    assert mean == 1 + 4 * Fraction(share * 100 // 10**6 - 1, 99), "the one seat, and its part of the four others"
    assert coalition_sizes(MARKET, share) == ((share * 10 // 10**6, 1),)


def test_honest_reports_are_right_as_often_as_the_accuracy_says() -> None:
    player = Player(MARKET)
    for number in range(5):
        items = player.round(Rng(number))
        truth = bytes(int(label) for label in items.truth)
        right = sum(own == true for row in items.honest for own, true in zip(row, truth, strict=True))
        assert right / 3_200 == pytest.approx(0.8, abs=4 * (0.16 / 3_200) ** 0.5)


def test_the_plurality_of_equals_is_the_lowest() -> None:
    assert plurality((bytes([2, 0, 1]), bytes([1, 0, 2]), bytes([0, 1, 2])), 3) == bytes([0, 0, 2])


@given(
    st.integers(2, 6).flatmap(
        lambda workers: st.lists(st.binary(min_size=9, max_size=9), min_size=workers, max_size=workers)
    )
)
def test_the_median_is_that_of_markets_of_two(raw: list[bytes]) -> None:
    labels = [bytes(value % 5 for value in row) for row in raw]  # of four classes; the fifth is none
    for worker, score in enumerate(median_scores(labels, 4)):
        pairs = sorted(ptsc.scores((labels[worker], row), 4)[0] for at, row in enumerate(labels) if at != worker)
        assert score == statistics.median_low(pairs)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: label_game(1, 3, 3, 0),
        lambda: label_game(3, 3, 0, 0),
        lambda: label_game(3, 3, 3, 10**6 + 1),
        lambda: vote_game(5, 3, 0, 0, pool=4),
        lambda: vote_game(5, 3, 0, 10**6 + 1),
    ],
)
def test_a_game_that_cannot_be_played_is_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"a game has|an accuracy is|a committee is"):
        wrong()


# -- does a seed decide it? --------------------------------------------------------------------------------------------


def test_a_seed_decides_every_cell_and_no_rule_disturbs_another() -> None:
    def play(rules: tuple[Rule, ...], seed: int) -> tuple[Cell, ...]:
        small = label_game(4, 3, 20, 800_000), vote_game(3, 10, 800_000, 900_000)
        return table(rules, *small, 20, Rng(seed))

    together = play(IN_USE, 3)
    assert together == play(IN_USE, 3)
    assert together != play(IN_USE, 4)
    alone = [cell for rule in IN_USE for cell in play((rule,), 3)]
    assert list(together) == alone


def test_it_says_how_far_it_is_up_to_the_end() -> None:
    heard: list[tuple[int, int]] = []
    small = label_game(3, 2, 5, 800_000), vote_game(3, 5, 800_000, 900_000)
    table(("labels", "serum"), *small, 4, Rng(0), lambda done, of: heard.append((done, of)))
    assert heard == [(done, 8) for done in range(1, 9)]


# -- what the docs say -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["labels", "symmetric", "serum", "labels-median", "serum-median"])
def test_who_judges_better_earns_more(whole: dict[tuple[Rule, str], Cell], rule: Rule) -> None:
    ladder = [whole[rule, f"honest, accuracy {a} %"] for a in (50, 65)]
    ladder += [whole[rule, "honest"], whole[rule, "honest, accuracy 95 %"]]
    for worse, better in pairwise(ladder):
        assert worse.pay + worse.half < better.pay - better.half


def test_under_the_published_rule_who_judges_better_earns_less() -> None:
    one = vote_game(5, 1, 800_000, 900_000)
    by_name = {s.name: expected("paper", one, s).pay for s in strategies(one)}
    assert by_name["honest, accuracy 95 %"] < by_name["honest"] < by_name["honest, accuracy 50 %"]
    assert by_name["lazy: always invalid"] == Fraction(UNIT, 5), "r/n whenever a vote is cast at all"


@pytest.mark.parametrize(
    ("rule", "best"),
    [
        ("labels", ["constant", "random", "random by the prior"]),
        ("labels-median", ["constant", "random", "random by the prior"]),
        ("serum", ["always valid", "always invalid", "random", "random by the prior"]),
        ("serum-median", ["always valid", "always invalid", "random", "random by the prior"]),
    ],
)
def test_under_the_serum_no_laziness_pays(whole: dict[tuple[Rule, str], Cell], rule: Rule, best: list[str]) -> None:
    assert {whole[rule, f"lazy: {name}"].best for name in best} == {"yes"}
    assert whole[rule, "contrary"].best == "yes"


def test_laziness_pays_under_the_other_rules(whole: dict[tuple[Rule, str], Cell]) -> None:
    assert whole["paper", "lazy: always invalid"].best == "no"
    assert whole["paper", "contrary"].best == "no"
    assert whole["symmetric", "lazy: always valid"].best == "no"
    better = vote_game(5, 1, 950_000, 900_000)
    lazy = next(s for s in strategies(better) if s.name == "lazy: always valid")
    assert expected("symmetric", better, lazy).pay < expected("symmetric", better, truthful(better)).pay, (
        "only where honest votes are right less often than encounters are valid"
    )


def test_a_random_vote_earns_more_than_nothing_and_less_in_a_longer_window() -> None:
    short, long = (cells("serum", vote_game(5, window, 800_000, 900_000), 150)["lazy: random"] for window in (16, 256))
    assert long.pay + long.half < short.pay - short.half
    assert long.pay - long.half > 0, "a score below zero is paid as zero, so what chance takes it does not give back"


@pytest.mark.parametrize("rule", ["labels", "serum"])
def test_who_sees_the_others_reports_earns_more_than_who_judges(
    whole: dict[tuple[Rule, str], Cell], rule: Rule
) -> None:
    for name in ("copying a peer", "copying the majority"):
        assert whole[rule, name].best == "no"
        assert "before it commits" in whole[rule, name].needs


def test_the_last_rounds_majority_pays_as_well_as_this_rounds(whole: dict[tuple[Rule, str], Cell]) -> None:
    stale, fresh = (whole["labels", f"copying the {name}"] for name in ("last majority", "majority"))
    assert stale.best == "no"
    assert abs(stale.pay - fresh.pay) < 0.05 * fresh.pay


def test_a_secret_code_among_workers_pays_what_the_formula_says(whole: dict[tuple[Rule, str], Cell]) -> None:
    """With the classes equally frequent: of the W − 1 peers k − 1 agree always, the others by chance."""
    for size in range(2, 6):
        cell = whole["labels", f"colluding {size}0 %: a secret code"]
        assert cell.pay == pytest.approx((size - 1) / 9 * 9, rel=0.06)
        assert cell.best == "yes"
        assert cell.beside is not None
        assert (cell.pay > cell.beside) == (size >= 4), "four of ten earn more than those beside them, not than before"


def test_a_secret_code_among_validators_pays_from_a_fifth_on(whole: dict[tuple[Rule, str], Cell]) -> None:
    assert [whole["serum", f"colluding {share} %: a secret code"].best for share in (30, 40, 50)] == ["no"] * 3
    better = cells("serum", vote_game(5, 64, 900_000, 900_000), 150)
    assert better["colluding 20 %: a secret code"].best == "yes", "the better validators judge, the less it pays"


def test_one_judgement_reported_by_many_seats_pays(whole: dict[tuple[Rule, str], Cell]) -> None:
    for rule in ("labels", "serum"):
        gains = [whole[rule, f"Sybil {share} %: one judgement"].gain for share in (20, 30, 40, 50)]
        assert gains == sorted(gains)
        assert whole[rule, "Sybil 30 %: one judgement"].best == "no"


def test_the_median_peer_takes_collusion_its_gain(whole: dict[tuple[Rule, str], Cell]) -> None:
    for share in (20, 30, 40):
        code = f"colluding {share} %: a secret code"
        assert whole["labels-median", code].pay < 0.1 * whole["labels", code].pay
        mean, median = whole["labels", code].beside, whole["labels-median", code].beside
        assert mean is not None
        assert median is not None
        assert mean < 0.8 * whole["labels", "honest"].pay < 0.94 * whole["labels", "honest"].pay < median
    assert whole["serum-median", "colluding 20 %: a secret code"].best == "yes"
    for share in (20, 30, 40, 50):
        sybil = f"Sybil {share} %: one judgement"
        assert whole["labels-median", sybil].gain < 0.3 * whole["labels", sybil].gain
        assert whole["labels-median", sybil].gain < 0.07 * whole["labels-median", "honest"].pay


def test_the_median_peer_costs_honest_workers_little(whole: dict[tuple[Rule, str], Cell]) -> None:
    assert whole["labels-median", "honest"].pay == pytest.approx(whole["labels", "honest"].pay, rel=0.02)


def test_nobody_is_paid_from_nothing() -> None:
    """What a window pays its voters is never more than the prepayments, whatever the rule."""
    for number in range(20):
        rows = Player(COMMITTEE).round(Rng(number)).honest
        for rule in ("paper", "symmetric", "serum", "serum-median"):
            assert sum(pays(rule, rows, 2)) <= UNIT * COMMITTEE.items

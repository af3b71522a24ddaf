"""The least and the most of things: no peers and one, nothing said, a stranger's account, a draw's last pick."""

from __future__ import annotations

import hashlib
import statistics
from dataclasses import replace

import pytest

from p2pfd.core import encounter_where as where_
from p2pfd.core.claims import (
    CommitLabels,
    Enrolled,
    LabelsRevealed,
    RevealLabels,
    RevealsClosed,
    SettleRound,
    WorkerPaid,
)
from p2pfd.core.encounter_events import SeatTaken, Settled
from p2pfd.core.ids import Account, Amount, account_bytes
from p2pfd.core.labels import commitment, pack
from p2pfd.core.rng import Rng
from p2pfd.incentives import ptsc
from p2pfd.incentives.audit import audit
from p2pfd.incentives.encounter_audit import SeatBook
from p2pfd.incentives.encounter_award import vote_scores
from p2pfd.incentives.encounter_purse import Purse
from p2pfd.incentives.market import Market
from p2pfd.incentives.sampling import draw, scores_by_counts, variance, variance_by_words
from p2pfd.incentives.sortition import committee, drawn_seats, seed
from p2pfd.incentives.staking import Staking
from p2pfd.incentives.strategies.candidates import median_scores
from p2pfd.incentives.strategies.game import SHARES, Game, Strategy, constant, honest, label_game, strategies, vote_game
from p2pfd.incentives.strategies.play import Player
from p2pfd.incentives.strategies.rules import pays
from p2pfd.incentives.strategies.table import Tally, table, verdict
from tests.unit.incentives.meetings import BOND, TERMS, VALIDATORS
from tests.unit.incentives.stories import ANN, BOB, CAT, EVE, R0, SALT, TASK, UNBOND, Story, named
from tests.unit.incentives.stories import TERMS as MARKET

SEED = hashlib.sha256(b"a block").digest()


# -- scores ------------------------------------------------------------------------------------------------------------


def test_of_two_votes_each_is_judged_by_the_other_and_one_alone_by_nobody() -> None:
    assert vote_scores([True, True], [(0, 0), (0, 0)]) == (1_000_000, 1_000_000)
    assert vote_scores([True, False], [(0, 0), (0, 0)]) == (-1_000_000, -1_000_000)
    # The other has voted valid three times in four: (3 + 1 + 2) / (3 + 1) is worth one and a half.
    assert vote_scores([True, True], [(9, 9), (3, 1)])[0] == 500_000
    assert vote_scores([True], [(3, 1)]) == (0,)
    assert vote_scores([], []) == ()


def test_of_two_workers_each_is_judged_by_the_other_and_a_label_of_no_class_says_nothing() -> None:
    counts = [[1, 1], [1, 1]]
    assert scores_by_counts([b"\0\1", b"\0\1"], counts, 2, 2) == (2_000_000, 2_000_000)
    assert scores_by_counts([b"\0\2", b"\0\2"], counts, 2, 2) == (0, 0), "they agree on the second in nothing"
    assert scores_by_counts([b"\0\1"], counts[:1], 2, 2) == (0,)
    assert scores_by_counts([], [], 2, 2) == ()
    assert ptsc.scores([b"\0\2", b"\0\2"], 2) == (-500_000,) * 2, "worth 3/2 smoothed, less two; and no more"
    assert median_scores([b"\0"], 2) == (0,)
    assert median_scores([b"\0\1", b"\0\1"], 2) == (2_000_000, 2_000_000)


def test_a_worker_may_say_nothing_about_a_sample_and_is_paid_for_the_others() -> None:
    """Of four samples Bob leaves the last one blank: there Ann and Cat have only each other."""
    labels = {ANN: b"\0\0\1\1", BOB: b"\0\0\1", CAT: b"\0\0\1\1"}
    told = Story(Market({named(number): 1_000 for number in range(1, 7)}, UNBOND)).opens(MARKET)
    events = [*(Enrolled(TASK, who, at) for at, who in enumerate(labels, 1))]
    for who, row in labels.items():
        told.does(who, CommitLabels(TASK, R0, commitment(TASK, R0, who, SALT, pack(row))))
    for who, row in labels.items():
        events += told.does(who, RevealLabels(TASK, R0, SALT, pack(row)))
    paid = told.does(EVE, SettleRound(TASK, R0))
    # For Bob: 4 and 4 of the others' labels, worth two; six agreements by two peers, 6 − 4 = 2.
    # For Ann: 4 and 3, so 5 and 4 of 9: 1.8 and 2.25; 4 · 1.8 + 3 · 2.25 = 13.95, by two, less four: 2.975.
    assert [(each.worker, each.score) for each in paid[:3]] == [(ANN, 2_975_000), (BOB, 2_000_000), (CAT, 2_975_000)]
    assert audit(MARKET, [*events, *paid]).problems == ()


def test_who_is_paid_and_does_not_count_is_named() -> None:
    told = Story(Market({named(number): 1_000 for number in range(1, 7)}, UNBOND)).opens(MARKET)
    told.commits(ANN, BOB, CAT).reveals(ANN, BOB)
    shown = told.does(CAT, RevealLabels(TASK, R0, SALT, pack(b"\0\1\0\1")))
    assert isinstance(shown[0], LabelsRevealed)
    closed = shown[-1]
    assert isinstance(closed, RevealsClosed)
    paid = list(told.does(EVE, SettleRound(TASK, R0)))
    labels = [
        LabelsRevealed(TASK, R0, who, pack(row))
        for who, row in ((ANN, b"\0\0\1\1"), (BOB, b"\0\0\1\1"), (CAT, b"\0\1\0\1"))
    ]
    assert audit(MARKET, [*labels, closed, *paid]).problems == ()
    stranger = WorkerPaid(TASK, R0, EVE, 0, Amount(0))
    problems = audit(MARKET, [*labels, closed, stranger, *paid]).problems
    assert problems == (f"round 0: {EVE} was paid and does not count",)


# -- chance ------------------------------------------------------------------------------------------------------------


def test_a_draw_is_of_two_to_the_thirty_second_samples_at_most() -> None:
    assert len(draw(SEED, 2**32, 1)) == 1
    with pytest.raises(ValueError, match="cannot draw 1 of 4294967297"):
        draw(SEED, 2**32 + 1, 1)
    with pytest.raises(ValueError, match="cannot draw 0 of 2"):
        variance_by_words([b"\0\0", b"\0\0"], 1, 0, 1)


def test_a_draw_by_tickets_is_fixed_to_the_bit() -> None:
    salts = b"\1" * 32, b"\2" * 32
    drawn = seed(SEED, salts)
    assert drawn == hashlib.sha256(b"p2pfd-sortition-1".ljust(32, b"\0") + SEED + salts[0] + salts[1]).digest()
    tickets: dict[Account, bytes] = {}
    for number, count in ((1, 3), (2, 1), (3, 5)):
        who = named(number)
        each = (hashlib.sha256(drawn + account_bytes(who) + n.to_bytes(4, "big")).digest() for n in range(count))
        tickets[who] = min(each)
    stakes = {named(1): 39, named(2): 10, named(3): 50, named(4): 9}
    assert committee(drawn, stakes, 10, 4, ()) == tuple(sorted(tickets, key=lambda who: tickets[who]))
    for part in (0, 1, 2):
        wrong = [SEED, *salts]
        wrong[part] = bytes(31)
        with pytest.raises(ValueError, match="32 bytes each"):
            seed(wrong[0], (wrong[1], wrong[2]))


def test_eight_slices_pick_and_then_the_seed_is_hashed() -> None:
    asked: list[int] = []
    slices = [7, 3, 6, 2**32 - 1, 12, 13, 14, 4]
    first = sum(part << 32 * place for place, part in enumerate(slices)).to_bytes(32, "big")
    second = sum(part << 32 * place for place, part in enumerate(range(100, 108))).to_bytes(32, "big")

    def nobody(seat: int) -> None:
        asked.append(seat)

    drawn_seats(first, 1_000, 1, nobody, lambda raw: second)
    assert asked[:8] == [part % 1_000 for part in slices]
    assert asked[8:16] == list(range(100, 108))
    assert asked[16:24] == list(range(100, 108)), "and hashed again after eight more"
    assert len(asked) == 64


def test_a_coalition_of_chance_is_as_large_as_often_as_its_distribution_says() -> None:
    player, code = Player(vote_game(2, 1, 800_000, 900_000, pool=4)), Strategy("code", constant(2, 0), 500_000)
    sizes = [player.reports(code, player.round(Rng(number)), Rng(number))[0] for number in range(900)]
    assert set(sizes) == {1, 2}
    assert abs(sizes.count(2) - 300) < 4 * (900 * 2 / 9) ** 0.5


def test_who_says_the_same_always_varies_only_with_how_many_others_speak() -> None:
    """Of two workers the first says 0 always, and the second says something about every other sample.

    How rare 0 is, is estimated from the same samples, so its score is how many of them are spoken of.
    """
    labels = [bytes(240), bytes([0, 1, 2, 2]) * 60]
    spread = 0.25 * 240 / 239
    assert variance(labels, 2, 40)[0] == pytest.approx((1 - 40 / 240) * spread / 40)


def test_a_variance_is_what_leaving_out_one_sample_after_the_other_says() -> None:
    """The jackknife knows no formula. Half of the samples are spoken of by one worker alone."""
    rows, rng = Player(label_game(4, 3, 240, 800_000)).round(Rng(b"crowd")).honest, Rng(b"blanks")
    silent = [rng.below(2) == 0 for _ in range(240)]
    blanked = (bytes(3 if quiet else label for label, quiet in zip(row, silent, strict=True)) for row in rows[1:])
    labels = [rows[0], *blanked]

    def mean(rows: list[bytes]) -> list[float]:
        return [score / len(rows[0]) / ptsc.SCALE for score in ptsc.scores(rows, 3)]

    whole = mean(labels)
    parts = [mean([row[:at] + row[at + 1 :] for row in labels]) for at in range(240)]
    for worker, stated in enumerate(variance(labels, 3, 40)):
        spread = statistics.variance(240 * whole[worker] - 239 * part[worker] for part in parts)
        assert stated == pytest.approx((1 - 40 / 240) * spread / 40, rel=0.05)


# -- accounts ----------------------------------------------------------------------------------------------------------


def test_who_never_came_has_nothing() -> None:
    for ledger in (Purse({ANN: 5}, UNBOND), Staking({ANN: 5}, UNBOND)):
        held = ledger.balances(EVE)
        assert (held.wallet, held.free, held.locked, held.unbonding) == (0, 0, 0, 0)
        assert (ledger.held, ledger.in_accounts()) == (0, 0)
        assert ledger.balances(ANN).wallet == 5
    purse = Purse({}, UNBOND)
    assert (purse.free(EVE), purse.ready(EVE)) == (0, 0)


def test_a_seat_that_is_another_s_or_nobody_s_by_now_has_no_part_in_an_end() -> None:
    def end(spoil: str) -> list[tuple[object, ...]]:
        book = SeatBook(BOND)
        for number in range(3):
            book.see(2, SeatTaken(number, VALIDATORS[number]))
            book.seats[number].valid = 4
        if spoil == "vacated":
            del book.seats[1]
        elif spoil == "taken since":
            book.seats[1].taken = 7
        elif spoil == "taken before":
            book.seats[1].taken = 6
        # All three voted valid; the symmetric rule has nine for each, and what was the absent one's is the learner's.
        found = book.end(TERMS, where_.drawn([0, 1, 2], 7), Settled(TERMS.key, 0b101010))
        return [(judge.holder, judge.before, judge.change) for judge in found.judges]

    there = [(VALIDATORS[number], (4, 0), 9) for number in range(3)]
    assert end("") == end("taken before") == there
    for spoil in ("vacated", "taken since"):
        assert end(spoil) == [there[0], (None, (0, 0), 9), there[2]]


# -- strategies --------------------------------------------------------------------------------------------------------


def test_a_market_s_pot_never_stands_in_the_way_of_a_score() -> None:
    rows = [b"\0\0\0\1"] * 3
    # 10/7 and 10/3: (3 · 10/7 + 10/3) / 4 − 1. With ten classes 18/7 and 18/3.
    assert pays("labels", rows, 2) == (904_761,) * 3
    assert pays("labels", rows, 10) == (2_428_571,) * 3


def test_strategies_are_what_they_are_called() -> None:
    assert SHARES == (100_000, 200_000, 300_000, 400_000, 500_000)
    game = vote_game(5, 3, 800_000, 900_000)
    assert (game.classes, game.pool, label_game(5, 3, 7, 1).pool) == (2, 100, 0)
    assert Game(2, 2, 1, (1, 1), 0).pool == 0
    by_name = {each.name: each for each in strategies(game)}
    assert by_name["honest, accuracy 50 %"].channel == honest(2, 500_000)
    assert by_name["honest, accuracy 65 %"].channel == honest(2, 650_000)
    assert by_name["honest, accuracy 95 %"].channel == honest(2, 950_000)
    assert by_name["lazy: always valid"].channel == constant(2, 1) == ((0, 1), (0, 1))
    assert by_name["lazy: always invalid"].channel == constant(2, 0) == ((1, 0), (1, 0))
    assert by_name["lazy: random by the prior"].channel == ((100_000, 900_000),) * 2
    for share in (30, 40, 50):
        colluding = by_name[f"colluding {share} %: always invalid"]
        assert (colluding.channel, colluding.share, colluding.shared) == (constant(2, 0), 10_000 * share, False)
        code = by_name[f"colluding {share} %: a secret code"]
        assert (code.share, code.shared, code.copies, code.deviates) == (10_000 * share, True, None, True)
        assert by_name[f"Sybil {share} %: one judgement"].shared
    lazy = next(each for each in strategies(label_game(4, 3, 2, 1)) if each.name == "lazy: constant")
    assert (lazy.channel, lazy.share, lazy.shared) == (constant(3, 2), 0, False)


def test_a_table_is_exact_up_to_seven_seats_and_says_so() -> None:
    market = label_game(3, 2, 2, 800_000)
    for seats, exact in ((3, True), (7, True), (8, False)):
        cells = table(("symmetric",), market, vote_game(seats, 1, 1_000_000, 900_000), 2, Rng(1))
        assert {cell.exact for cell in cells} == {exact}
    cells = table(("paper",), market, vote_game(3, 5, 1_000_000, 900_000), 2, Rng(1))
    by_name = {cell.strategy: cell for cell in cells}
    # Of ten encounters nine are valid, a tenth of a prepayment each, and one is not, a third.
    fair = 0.9 * 0.1 + 0.1 * 0.333333
    honest_one, invalid = by_name["honest"], by_name["lazy: always invalid"]
    assert (honest_one.pay, honest_one.honest, honest_one.beside) == pytest.approx((fair, fair, fair))
    assert (honest_one.gain, honest_one.half, honest_one.gain_half, honest_one.best) == (0, 0, 0, None)
    assert invalid.pay == pytest.approx(0.333333)
    assert invalid.gain == pytest.approx(0.333333 - fair)
    assert invalid.beside == pytest.approx(fair)
    assert invalid.best == "no"


def test_a_verdict_on_the_edge_is_within_noise() -> None:
    assert [verdict(gain, half) for gain, half in ((1, 1), (-1, 1), (0.1, 0.2), (0.5, 0.4), (-0.5, 0.4))] == [
        "within noise",
        "within noise",
        "within noise",
        "no",
        "yes",
    ]


def test_one_round_has_a_mean_and_no_error() -> None:
    tally = Tally(1)
    assert not tally
    tally.add(3_000_000, 2)
    assert tally
    assert (tally.mean(), tally.half()) == (1.5, float("inf"))
    tally.add(5_000_000, 2)
    assert tally.mean() == 2.0
    assert tally.half() == pytest.approx(1.959964 * 0.5), "of 1.5 and 2.5 the standard error is a half"


def test_a_round_s_pay_is_what_its_terms_say_and_a_stranger_changes_none() -> None:
    told = Story(Market({named(number): 1_000 for number in range(1, 7)}, UNBOND))
    told.opens(replace(MARKET, rate=Amount(7))).commits(ANN, BOB, CAT).reveals(ANN, BOB, CAT)
    paid = told.does(EVE, SettleRound(TASK, R0))
    assert [each.amount for each in paid[:3]] == [3, 3, 0], "half of seven, rounded down"

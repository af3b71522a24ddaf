"""The peer truth serum: what it is, who earns from it, and how a pot is shared out."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.rng import Rng
from p2pfd.incentives.ptsc import KAPPA, SCALE, means, pay, scores

MAX_CLASSES = 15


@st.composite
def rounds(draw: st.DrawFn, least: int = 1) -> tuple[list[bytes], int]:
    """Some workers' labels, a few of them no class at all, and the number of classes."""
    workers, samples = draw(st.integers(least, 7)), draw(st.integers(1, 30))
    classes = draw(st.integers(2, MAX_CLASSES))
    row = st.lists(st.integers(0, min(classes + 1, 15)), min_size=samples, max_size=samples).map(bytes)
    return draw(st.lists(row, min_size=workers, max_size=workers)), classes


def by_definition(labels: list[bytes], classes: int) -> list[int]:
    """The formula, literally: counts of the others, smoothed by one, capped, and the matches sample by sample."""
    workers, samples = len(labels), len(labels[0])
    if workers == 1:
        return [0]
    out = []
    for i in range(workers):
        others = [labels[j] for j in range(workers) if j != i]
        count = {c: sum(row.count(c) for row in others) + 1 for c in range(classes)}
        total = sum(count.values())
        worth = {c: min(KAPPA * classes * SCALE, SCALE * total // count[c]) for c in range(classes)}
        weighed = 0
        for place in range(samples):
            said = labels[i][place]
            if said < classes:
                weighed += sum(row[place] == said for row in others) * worth[said]
        out.append(weighed // (workers - 1) - samples * SCALE)
    return out


@given(rounds())
def test_it_is_the_formula(labels_classes: tuple[list[bytes], int]) -> None:
    labels, classes = labels_classes
    assert list(scores(labels, classes)) == by_definition(labels, classes)


@given(rounds(least=2), st.integers(0, 2**32))
def test_only_agreement_counts(labels_classes: tuple[list[bytes], int], seed: int) -> None:
    """Neither the order of workers nor that of samples nor what classes are called changes anyone's score."""
    labels, classes = labels_classes
    rng = Rng(seed)
    order, places, names = list(range(len(labels))), list(range(len(labels[0]))), list(range(classes))
    for shuffled in (order, places, names):
        rng.shuffle(shuffled)
    renamed = bytes(names) + bytes(range(classes, 16))
    other = [bytes(renamed[labels[i][place]] for place in places) for i in order]
    before = scores(labels, classes)
    assert scores(other, classes) == tuple(before[i] for i in order)


@given(rounds(least=2), st.integers(0, 1))
def test_a_constant_answer_earns_no_more_than_the_smoothing(
    labels_classes: tuple[list[bytes], int], constant: int
) -> None:
    labels, classes = labels_classes
    score = scores([bytes([constant]) * len(labels[0]), *labels], classes)[0]
    assert score <= classes * SCALE // len(labels), "over a whole round, not a sample"


def test_a_random_answer_earns_nothing_and_an_honest_one_much() -> None:
    rng = Rng(b"strategies")
    truth = bytes(rng.below(10) for _ in range(2_000))

    def honest() -> bytes:
        return bytes(label if rng.chance(8, 10) else rng.below(10) for label in truth)

    workers = [honest() for _ in range(9)] + [bytes(rng.below(10) for _ in truth)]
    mean = [score / len(truth) / SCALE for score in scores(workers, 10)]
    assert all(3 < score < 6 for score in mean[:9])
    assert abs(mean[9]) < 0.15


def test_a_label_that_nobody_else_uses_is_no_jackpot() -> None:
    """Two who agree on a rare label once gain at most the cap, shared among all whom they might have met."""
    samples, classes, honest = 100, 10, 8
    crowd = [bytes(samples)] * honest
    pair = [bytes([9]) + bytes(samples - 1)] * 2
    gain = scores(crowd + pair, classes)[-1] - scores(crowd + [bytes(samples)] * 2, classes)[-1]
    assert gain <= KAPPA * classes * SCALE


amounts = st.integers(0, 2**63)
mean_scores = st.lists(st.integers(0, 45 * SCALE), min_size=1, max_size=64)


@given(amounts, amounts, mean_scores)
def test_a_pot_is_never_overdrawn_and_nobody_gets_more_than_is_due(pot: int, rate: int, earned: list[int]) -> None:
    paid = pay(pot, rate, earned)
    due = [Fraction(rate * mean, SCALE) for mean in earned]
    assert sum(paid) <= pot
    assert all(0 <= got <= owed for got, owed in zip(paid, due, strict=True))
    if sum(due) <= pot:
        assert all(owed - got < 1 for got, owed in zip(paid, due, strict=True))
    else:
        assert sum(paid) > pot - 2 * len(paid), "an exceeded pot is paid out, but for what rounding leaves"


@given(amounts, amounts, mean_scores)
def test_who_scores_more_is_paid_no_less(pot: int, rate: int, earned: list[int]) -> None:
    paid = pay(pot, rate, earned)
    ranked = [got for _, got in sorted(zip(earned, paid, strict=True))]
    assert ranked == sorted(ranked)


@given(st.lists(st.integers(-(10**10), 10**10)), st.integers(1, 1024))
def test_a_score_below_zero_earns_nothing(totals: list[int], samples: int) -> None:
    for total, mean in zip(totals, means(totals, samples), strict=True):
        assert mean == (total // samples if total > 0 else 0)

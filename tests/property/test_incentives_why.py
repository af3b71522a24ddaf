"""What a score is explained with adds up to the score."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pfd.incentives import ptsc
from p2pfd.incentives.why import why


@given(st.data(), st.integers(1, 6), st.integers(1, 12), st.integers(2, 5))
def test_the_parts_are_the_score_and_the_pay(data, workers, samples, classes):
    label = st.integers(0, classes)  # one of them is no class
    rows = data.draw(st.lists(st.lists(label, min_size=samples, max_size=samples), min_size=workers, max_size=workers))
    labels = [bytes(row) for row in rows]
    pot, rate = data.draw(st.integers(0, 10**9)), data.draw(st.integers(0, 10**9))
    scores = ptsc.scores(labels, classes)
    amounts = ptsc.pay(pot, rate, ptsc.means(scores, samples))
    for place in range(workers):
        told = why(labels, classes, pot, rate, place)
        assert (told.score, told.amount) == (scores[place], amounts[place])
        assert sum(part.said for part in told.parts) <= samples
        if workers > 1:
            worth = sum(part.agreements * part.worth for part in told.parts)
            assert worth // told.peers - samples * ptsc.SCALE == told.score
        else:
            assert (told.parts, told.score) == ((), 0)

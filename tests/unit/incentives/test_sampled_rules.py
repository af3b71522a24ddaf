"""What the sampled market promises: what is drawn when, what a word must lead to, and what a drawn word pays."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from p2pfd.core.claims import Advance, CommitLabels, MarketTerms, OpenTask, RoundSettled, SettleRound, WorkerPaid
from p2pfd.core.ids import Account, Amount
from p2pfd.core.labels import pack
from p2pfd.core.modes import DrawOpened, DrawSamples, RevealWords, SamplesDrawn
from p2pfd.core.trees import Step, sum_commitment, sum_node, sum_path, sum_root, word_counts
from p2pfd.errors import DecodeError
from p2pfd.incentives.rounds import Phase
from p2pfd.incentives.sampled import SampledMarket, earned, picked_in, words_of
from p2pfd.incentives.sampling import draw
from tests.unit.incentives import stories
from tests.unit.incentives.stories import ANN, BOB, BOSS, CAT, DAN, EVE, R0, SALT, TASK, UNBOND, WORKERS, Story, named

SAMPLES = 200
TERMS = replace(stories.TERMS, mode="sampled", samples=SAMPLES, picks=2)
PATTERN = bytes([0, 0, 1, 1]) * 50, bytes([0, 1, 0, 1]) * 50
LABELS = {ANN: PATTERN[0], BOB: PATTERN[0], CAT: PATTERN[1]}
TOPS = {who: sum_root(pack(row), 2) for who, row in LABELS.items()}


class Chain:
    """Blocks whose hashes are their numbers'."""

    number = 1_000

    def hash(self, number: int) -> bytes:
        assert self.number - 256 <= number < self.number, "a chain remembers 256 blocks"
        return hashlib.sha256(b"block %d" % number).digest()


class Told(Story):
    """A story with a chain beneath it."""

    def __init__(self) -> None:
        self.chain = Chain()
        super().__init__(SampledMarket({named(number): 1_000 for number in range(1, 7)}, UNBOND, self.chain))

    def bound(self, *who: Account) -> tuple[Any, ...]:
        """These are bound; what the last one's commitment told."""
        events: tuple[Any, ...] = ()
        for each in who:
            events = self.does(each, CommitLabels(TASK, R0, sum_commitment(TASK, R0, each, SALT, TOPS[each])))
        return events

    def drawn(self) -> tuple[int, ...]:
        """The words that the next block but one draws."""
        self.chain.number += 2
        (event,) = self.does(EVE, DrawSamples(TASK, R0))
        assert isinstance(event, SamplesDrawn)
        return draw(event.seed, 4, 2)


def shown(who: Account, places: tuple[int, ...]) -> RevealWords:
    packed = pack(LABELS[who])
    paths = tuple(sum_path(packed, 2, place) for place in places)
    return RevealWords(TASK, R0, SALT, TOPS[who], words_of(packed, places), paths)


def test_a_draw_is_of_one_word_at_least_and_of_sixteen_or_all_at_most() -> None:
    for samples, most in ((SAMPLES, 4), (64, 1), (65, 2), (131_070, 16)):
        for picks in (1, most):
            Told().does(BOSS, OpenTask(replace(TERMS, samples=samples, picks=picks)))
        for picks in (0, most + 1):
            terms = replace(TERMS, samples=samples, picks=picks)
            assert Told().refused(BOSS, OpenTask(terms)) == "market: picks out of range"
    assert Told().refused(BOSS, OpenTask(replace(TERMS, samples=131_071))) == "market: samples out of range"


@pytest.mark.parametrize("field", ["stake", "challenge_seconds", "dispute_seconds"])
def test_what_only_claims_and_disputes_need_is_no_term_of_this_mode(field: str) -> None:
    assert Told().refused(BOSS, OpenTask(replace(TERMS, **{field: 1}))) == "market: not of this mode"


def test_the_block_after_the_last_commitment_draws_and_nobody_knows_it_before() -> None:
    told = Told()
    told.opens(TERMS)
    assert told.bound(*WORKERS)[1] == DrawOpened(TASK, R0, 1_001)
    assert told.at(500).refused(EVE, Advance(TASK)) == "market: draw first"
    for number in (1_000, 1_001):
        told.chain.number = number
        assert told.refused(EVE, DrawSamples(TASK, R0)) == "market: too early"
    told.chain.number = 1_002
    (event,) = told.does(EVE, DrawSamples(TASK, R0))
    mix = bytes(32)
    for who in WORKERS:
        mix = hashlib.sha256(mix + sum_commitment(TASK, R0, who, SALT, TOPS[who])).digest()
    block = hashlib.sha256(b"block 1001").digest()
    seed = hashlib.sha256(b"p2pfd-draw-1".ljust(32, b"\0") + TASK + bytes(32) + block + mix).digest()
    assert event == SamplesDrawn(TASK, R0, seed, 500 + 30), "the time for reveals begins with the draw"
    assert told.refused(EVE, DrawSamples(TASK, R0)) == "market: nothing to draw"


@pytest.mark.parametrize(("waited", "late"), [(256, False), (257, True)])
def test_a_block_that_is_forgotten_is_replaced_by_the_next(waited: int, late: bool) -> None:
    told = Told()
    told.opens(TERMS)
    told.bound(*WORKERS)
    told.chain.number = 1_001 + waited
    (event,) = told.does(EVE, DrawSamples(TASK, R0))
    assert isinstance(event, DrawOpened) == late
    if late:
        assert event == DrawOpened(TASK, R0, 1_259)
        assert told.phase == Phase.DRAW
        told.chain.number = 1_260
        assert isinstance(told.does(EVE, DrawSamples(TASK, R0))[0], SamplesDrawn)


def test_a_word_counts_if_it_leads_to_what_was_bound() -> None:
    told = Told()
    told.opens(TERMS)
    told.bound(*WORKERS)
    places = told.drawn()
    right = shown(ANN, places)
    first, *others = right.paths
    for wrong, reason in (
        (replace(right, words=right.words[:1]), "wrong length"),
        (replace(right, paths=right.paths[:1]), "wrong length"),
        (replace(right, paths=(first[:1], *others)), "wrong length"),
        (replace(right, top=(right.top[0], right.top[1] + 1)), "not what was committed"),
        (replace(right, salt=bytes(32)), "not what was committed"),
        (replace(right, words=(right.words[1][::-1], right.words[1])), "not in the tree"),
        (replace(right, paths=shown(CAT, places).paths), "not in the tree"),
    ):
        assert told.refused(ANN, wrong) == f"market: {reason}"
    assert told.refused(DAN, right) == "market: nothing committed"
    told.does(ANN, right)
    assert told.refused(ANN, right) == "market: already revealed"
    late = told.deadline
    told.at(late).does(BOB, shown(BOB, places))
    assert told.at(late + 1).refused(CAT, shown(CAT, places)) == "market: too late"


def test_drawn_words_pay_what_all_labels_would_where_every_word_is_alike() -> None:
    """Every four samples are as in the other markets' stories, so whatever is drawn, the means are ½, ½ and 0."""
    told = Told()
    told.opens(replace(TERMS, samples=192))
    tops = {who: sum_root(pack(row[:192]), 2) for who, row in LABELS.items()}
    for who in WORKERS:
        told.does(who, CommitLabels(TASK, R0, sum_commitment(TASK, R0, who, SALT, tops[who])))
    told.chain.number += 2
    (event,) = told.does(EVE, DrawSamples(TASK, R0))
    places = draw(event.seed, 3, 2)
    for who in WORKERS:
        packed = pack(LABELS[who][:192])
        paths = tuple(sum_path(packed, 2, place) for place in places)
        told.does(who, RevealWords(TASK, R0, SALT, tops[who], words_of(packed, places), paths))
    assert told.phase == Phase.SETTLE
    paid = told.does(EVE, SettleRound(TASK, R0))
    # 128 drawn samples of ½ each are 64 millions.
    assert [(event.score, event.amount) for event in paid[:3] if isinstance(event, WorkerPaid)] == [
        (64_000_000, 50),
        (64_000_000, 50),
        (0, 0),
    ]
    assert paid[3] == RoundSettled(TASK, R0, True, Amount(100), Amount(100))


def test_counts_of_what_is_not_shown_weigh_what_is() -> None:
    """Two workers, one word drawn of two; over all labels a half is of each class, in the word all are of one."""
    terms: MarketTerms = replace(TERMS, samples=128, picks=1)
    half = 64 << 17 | 64
    scores, amounts = earned(terms, [bytes(64), bytes(64)], [half, half])
    # 65 of 130, smoothed, say nought: worth two each, so a score of one for each of the 64 samples.
    assert scores == (64_000_000, 64_000_000)
    # A mean of one over the word stands for both words; of a pot of 200 each is due a hundred.
    assert amounts == (100, 100)


def test_a_short_last_word_has_its_own_samples_and_blanks() -> None:
    row = LABELS[ANN]
    packed = pack(row)
    assert picked_in(TERMS, (0, 3), words_of(packed, (0, 3))) == row[:64] + row[192:]
    with pytest.raises(DecodeError, match="behind the last sample"):
        picked_in(TERMS, (3,), (bytes(32),))


def test_no_sibling_counts_more_samples_than_stand_beneath_it() -> None:
    """Of two hundred samples in four words the last has eight, and its neighbors' paths may not say nine."""

    def refused_with(counted: int) -> str:
        told = Told()
        told.opens(replace(TERMS, picks=4))
        packed = pack(LABELS[ANN])
        leaves: list[Step] = [
            (hashlib.sha256(packed[at : at + 32]).digest(), word_counts(packed[at : at + 32], 2))
            for at in range(0, 128, 32)
        ]
        leaves[3] = (leaves[3][0], counted)
        pairs = sum_node(leaves[0], leaves[1]), sum_node(leaves[2], leaves[3])
        top = sum_node(*pairs)
        told.does(ANN, CommitLabels(TASK, R0, sum_commitment(TASK, R0, ANN, SALT, top)))
        told.bound(BOB, CAT)
        told.chain.number += 2
        told.does(EVE, DrawSamples(TASK, R0))
        paths = tuple((leaves[place ^ 1], pairs[1 - place // 2]) for place in range(4))
        return told.refused(ANN, RevealWords(TASK, R0, SALT, top, words_of(packed, (0, 1, 2, 3)), paths))

    # Whatever the counts say, the last word itself shows four of each class in the end.
    assert refused_with(8) == "market: not in the tree"
    assert refused_with(9) == "market: counts too many"
    assert refused_with(9 << 17) == "market: counts too many"
    assert refused_with(1 << 17 * 15) == "market: counts too many"


def test_a_count_has_seventeen_bits_for_fifteen_classes_and_none_beyond() -> None:
    """The count beside the second word is false: what no word can say is told at once, the rest by its tree."""
    for counted, reason in ((2**255 - 1, "counts too many"), (2**255, "counts too many"), (1, "not in the tree")):
        told = Told()
        told.opens(replace(TERMS, samples=128, picks=2))
        packed = pack(LABELS[ANN][:128])
        first = (hashlib.sha256(packed[:32]).digest(), word_counts(packed[:32], 2))
        second = (hashlib.sha256(packed[32:]).digest(), counted)
        top = sum_node(first, second)
        told.does(ANN, CommitLabels(TASK, R0, sum_commitment(TASK, R0, ANN, SALT, top)))
        told.bound(BOB, CAT)
        told.chain.number += 2
        told.does(EVE, DrawSamples(TASK, R0))
        shows = RevealWords(TASK, R0, SALT, top, words_of(packed, (0, 1)), ((second,), (first,)))
        assert told.refused(ANN, shows) == f"market: {reason}"


def test_labels_behind_the_last_sample_are_refused_though_they_were_bound() -> None:
    told = Told()
    told.opens(replace(TERMS, picks=4))
    packed = pack(PATTERN[0][:199])  # the last sample is left blank, and there is a label in the place behind it
    last = int.from_bytes(packed[96:], "big") & ~(15 << 4 * 8)
    packed = packed[:96] + last.to_bytes(32, "big")
    top = sum_root(packed, 2)
    told.does(ANN, CommitLabels(TASK, R0, sum_commitment(TASK, R0, ANN, SALT, top)))
    told.bound(BOB, CAT)
    told.chain.number += 2
    told.does(EVE, DrawSamples(TASK, R0))
    places = (0, 1, 2, 3)
    shows = RevealWords(TASK, R0, SALT, top, words_of(packed, places), tuple(sum_path(packed, 2, at) for at in places))
    assert told.refused(ANN, shows) == "market: labels past the samples"

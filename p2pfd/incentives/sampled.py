"""The sampled label market: the chain sees a few words of labels, drawn when nobody can change them. Pure, the oracle.

`contracts/vyper/SampledMarket.vy` does the same to the last unit; states and reasons stand in
`contracts/vyper/SPEC.md`. How rare a label is comes from counts of all labels that the commitments bind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from p2pfd.core.claims import (
    ChainEvent,
    MarketTerms,
)
from p2pfd.core.ids import Account, Digest, RoundId, TaskId
from p2pfd.core.labels import PER_WORD, WORD_BYTES, unpack
from p2pfd.core.modes import DrawOpened, DrawSamples, ModeClaim, ModeEvent, RevealWords, SamplesDrawn, WordsRevealed
from p2pfd.core.trees import COUNT_BITS, MAX_COUNTED, Step, counts_of, depth, sum_commitment, sum_node, word_counts
from p2pfd.errors import DecodeError
from p2pfd.incentives import ptsc, sampling
from p2pfd.incentives.rounds import MAX_CLASSES, Phase, Rounds, Task
from p2pfd.incentives.staking import require

MAX_PICKS = 16
_MEMORY = 256
_DOMAIN = b"p2pfd-draw-1".ljust(32, b"\0")
_ANY_NIBBLE = 16


class Blocks(Protocol):
    """What a contract can know of the chain that it is on."""

    @property
    def number(self) -> int:
        """The number of the block that is being made."""
        ...

    def hash(self, number: int) -> bytes:
        """The hash of one of the last 256 blocks."""
        ...


@dataclass(slots=True)
class Draw:
    """What a round of this mode holds beyond what every round does."""

    block: int = 0
    picked: tuple[int, ...] = ()
    counts: dict[int, int] = field(default_factory=dict)


class SampledMarket(Rounds):
    """The ``sampled`` mode."""

    MAX_SAMPLES = MAX_COUNTED

    def __init__(self, wallets: Mapping[Account, int], unbond_seconds: int, blocks: Blocks) -> None:
        super().__init__(wallets, unbond_seconds)
        self._blocks = blocks
        self._draws: dict[TaskId, Draw] = {}

    def draw(self, task: TaskId) -> Draw:
        """A round's draw, to look at."""
        return self._draws.setdefault(task, Draw())

    def _own(self, now: int, sender: Account, claim: ModeClaim) -> tuple[ModeEvent, ...]:
        match claim:
            case DrawSamples(task, rnd):
                return self._draw(now, task, rnd)
            case RevealWords():
                return self._reveal(now, sender, claim)
        return ()

    def _check(self, terms: MarketTerms) -> None:
        words = -(-terms.samples // PER_WORD)
        require(1 <= terms.picks <= min(MAX_PICKS, words), "market: picks out of range")
        require(not (terms.stake or terms.challenge_seconds or terms.dispute_seconds), "market: not of this mode")

    def _open_reveals(self, now: int, task: Task) -> ChainEvent:
        """The commitments are over: the hash of the next block will pick the words."""
        self._draws[task.terms.task] = Draw(self._blocks.number + 1)
        task.phase = Phase.DRAW
        opened: ModeEvent = DrawOpened(task.terms.task, RoundId(task.round), self._blocks.number + 1)
        return opened  # type: ignore[return-value]

    def _draw(self, now: int, task_id: TaskId, rnd: RoundId) -> tuple[ModeEvent, ...]:
        task = self._in(task_id, rnd, (Phase.DRAW,), "market: nothing to draw")
        draw, number = self.draw(task_id), self._blocks.number
        require(number > draw.block, "market: too early")
        if number - draw.block > _MEMORY:
            draw.block = number + 1
            return (DrawOpened(task_id, rnd, draw.block),)
        mix = bytes(32)
        for _, bound in sorted(task.committed.items()):
            mix = hashlib.sha256(mix + bound).digest()
        block = self._blocks.hash(draw.block)
        seed = Digest(hashlib.sha256(_DOMAIN + task_id + rnd.to_bytes(32, "big") + block + mix).digest())
        draw.picked = sampling.draw(seed, -(-task.terms.samples // PER_WORD), task.terms.picks)
        super()._open_reveals(now, task)
        return (SamplesDrawn(task_id, rnd, seed, task.deadline),)

    def _reveal(self, now: int, sender: Account, claim: RevealWords) -> tuple[ModeEvent, ...]:
        task = self._in(claim.task, claim.round, (Phase.REVEAL,), "market: takes no reveals")
        require(now <= task.deadline, "market: too late")
        number = task.seat_of(sender)
        require(number in task.committed, "market: nothing committed")
        require(number not in task.revealed, "market: already revealed")
        assert number is not None
        terms, draw = task.terms, self.draw(claim.task)
        require(len(claim.words) == len(claim.paths) == terms.picks, "market: wrong length")
        steps = depth(terms.samples)
        require(all(len(path) == steps for path in claim.paths), "market: wrong length")
        bound = sum_commitment(claim.task, claim.round, sender, claim.salt, claim.top)
        require(bound == task.committed[number], "market: not what was committed")
        plain = b""
        for place, word, path in zip(draw.picked, claim.words, claim.paths, strict=True):
            here = min(PER_WORD, terms.samples - PER_WORD * place)
            try:
                labels = unpack(word, here, _ANY_NIBBLE)
            except DecodeError:
                labels = None
            require(labels is not None, "market: labels past the samples")
            assert labels is not None
            plain += labels
            require(_climb(word, place, terms, path) == claim.top, "market: not in the tree")
        task.revealed[number] = plain
        draw.counts[number] = claim.top[1]
        shown = WordsRevealed(claim.task, claim.round, sender, claim.top[1], claim.words)
        if task.revealed.keys() == task.committed.keys():
            return (shown, self._close_reveals(task))
        return (shown,)

    def _settle(self, now: int, task_id: TaskId, rnd: RoundId) -> tuple[ModeEvent, ...]:
        task = self._in(task_id, rnd, (Phase.SETTLE,), "market: nothing to settle")
        draw, seats = self.draw(task_id), sorted(task.revealed)
        counts = [draw.counts[number] for number in seats]
        return self._reward(now, task, *earned(task.terms, [task.revealed[number] for number in seats], counts))


def earned(
    terms: MarketTerms, picked: Sequence[bytes], counts: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Each worker's score over the picked labels, and its pay; the counts are of all its labels, as it showed them."""
    said = [counts_of(packed, terms.classes) for packed in counts]
    scored = sampling.scores_by_counts(picked, said, terms.classes, len(picked[0]))
    words = -(-terms.samples // PER_WORD)
    means = tuple(max(0, score) * words // (terms.picks * terms.samples) for score in scored)
    return scored, ptsc.pay(terms.pot, terms.rate, means)


def picked_in(terms: MarketTerms, places: Sequence[int], words: Sequence[bytes]) -> bytes:
    """The labels in the words at these places, one byte each; DecodeError where any stand behind the last sample."""
    plain = b""
    for place, word in zip(places, words, strict=True):
        plain += unpack(word, min(PER_WORD, terms.samples - PER_WORD * place), _ANY_NIBBLE)
    return plain


def _climb(word: bytes, place: int, terms: MarketTerms, path: tuple[Step, ...]) -> Step:
    """The top that a word at this place leads to; refused where a sibling counts more than it has samples."""
    node = hashlib.sha256(word).digest(), word_counts(word, terms.classes)
    for height, sibling in enumerate(path):
        beside = (place >> height) ^ 1
        size = min(PER_WORD << height, max(0, terms.samples - (beside * PER_WORD << height)))
        fits = sibling[1] < 2 ** (COUNT_BITS * MAX_CLASSES) and sum(counts_of(sibling[1], MAX_CLASSES)) <= size
        require(fits, "market: counts too many")
        node = sum_node(node, sibling) if beside % 2 else sum_node(sibling, node)
    return node


def words_of(packed: bytes, places: tuple[int, ...]) -> tuple[bytes, ...]:
    """The words at these places of packed labels."""
    return tuple(packed[WORD_BYTES * place : WORD_BYTES * (place + 1)] for place in places)

"""Rounds of the optimistic and the sampled market as a part of the script: workers 0 to 2, requester 3.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

from p2pfd.core.claims import (
    Advance,
    CommitLabels,
    Deposit,
    Enrol,
    MarketTerms,
    OpenTask,
    RevealLabels,
    RoundSettled,
    SettleRound,
    TaskClosed,
    Unstake,
)
from p2pfd.core.ids import Amount, Digest, RoundId, TaskId
from p2pfd.core.labels import pack, unpack
from p2pfd.core.modes import (
    ChallengeRound,
    ClaimRound,
    DrawSamples,
    ModeClaim,
    OpenProof,
    PostCommitments,
    ProveChunk,
    RevealWords,
    SamplesDrawn,
    SignedCommitment,
)
from p2pfd.core.trees import path, root, root_commitment, sum_commitment, sum_path, sum_root
from p2pfd.incentives import ptsc
from p2pfd.incentives.sampled import words_of
from p2pfd.incentives.sampling import draw
from p2pfd.settlement import modes
from p2pfd.testing.stage import OPTIMISTIC, SAMPLED, SECONDS, Stage

WORKERS, REQUESTER = (0, 1, 2), 3
SAMPLES, WORDS, CLASSES, POT, RATE, STAKE = 100, 2, 3, Amount(301), Amount(150), 77
_ANY_NIBBLE = 16


def terms(mode: str, rounds: int) -> MarketTerms:
    """Amounts that do not divide; in the sampled mode every word is drawn, whatever a chain's hashes are."""
    return MarketTerms(
        task=TaskId(mode.encode().ljust(32, b"\7")),
        samples=SAMPLES,
        classes=CLASSES,
        rounds=rounds,
        pot=POT,
        rate=RATE,
        bond=Amount(101),
        forfeit=Amount(50),
        quorum=2,
        seats=3,
        enrol_seconds=SECONDS,
        commit_seconds=SECONDS,
        reveal_seconds=SECONDS,
        mode=mode,
        stake=STAKE if mode == OPTIMISTIC else 0,
        challenge_seconds=SECONDS if mode == OPTIMISTIC else 0,
        dispute_seconds=SECONDS if mode == OPTIMISTIC else 0,
        picks=WORDS if mode == SAMPLED else 0,
    )


def labels_of(who: int, rnd: int) -> bytes:
    """What a worker says, packed: mostly the truth, and each is wrong elsewhere."""
    truth = [(5 * sample + rnd) % 7 % CLASSES for sample in range(SAMPLES)]
    return pack(bytes((label + 1) % CLASSES if sample % 4 == who else label for sample, label in enumerate(truth)))


def salt_of(who: int, rnd: int) -> bytes:
    """What hides it."""
    return bytes([who + 1, rnd + 1]) * 16


class _Play:
    def __init__(self, stage: Stage, mode: str, rounds: int) -> None:
        self._stage, self._mode = stage, mode
        self._terms = terms(mode, rounds)
        self._task = self._terms.task

    async def _does(self, *made: tuple[int, ModeClaim], skip: int = 0) -> None:
        await self._stage.claims(self._mode, *made, skip=skip)

    async def _begin(self) -> None:
        await self._does(*((who, Deposit(Amount(1_500))) for who in (*WORKERS, REQUESTER)))
        await self._does((REQUESTER, OpenTask(self._terms)))
        await self._does((0, OpenTask(self._terms)))
        for who in WORKERS:  # one after the other: seats have an order
            await self._does((who, Enrol(self._task)))

    async def _settled(self) -> None:
        _, event = await self._stage.told(self._mode, RoundSettled)
        self._stage.note(f"round {event.round}: {event.paid} paid, {event.refunded} back")

    async def _end(self) -> None:
        await self._stage.told(self._mode, TaskClosed)
        await self._does(*((who, Unstake(Amount(700))) for who in (*WORKERS, REQUESTER)))


class OptimisticPlay(_Play):
    """Three rounds: nobody contradicts; a wrong claim is challenged; nobody claims."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, OPTIMISTIC, rounds=3)

    async def play(self) -> None:
        """All of it."""
        await self._begin()
        await self._unchallenged(RoundId(0))
        await self._challenged(RoundId(1))
        await self._unclaimed(RoundId(2))
        await self._end()

    def _bound(self, who: int, rnd: RoundId) -> Digest:
        labels = labels_of(who, rnd)
        return root_commitment(self._task, rnd, self._stage.accounts[who], salt_of(who, rnd), root(labels))

    def _signed(self, who: int, rnd: RoundId, at: RoundId) -> SignedCommitment:
        more = self._stage.more
        assert more is not None, "this market is played where there is one"
        chain_id = more.optimistic[who].caps.chain_id
        return modes.sign(more.keys[who], chain_id, more.optimistic_at, self._task, at, self._bound(who, rnd))

    def _earned(self, workers: Sequence[int], rnd: RoundId) -> tuple[Amount, ...]:
        said = [unpack(labels_of(who, rnd), SAMPLES, _ANY_NIBBLE) for who in workers]
        means = ptsc.means(ptsc.scores(said, CLASSES), SAMPLES)
        return tuple(Amount(amount) for amount in ptsc.pay(POT, RATE, means))

    def _claim(self, rnd: RoundId, more: int = 0) -> ClaimRound:
        """What all three earn; a wrong claim has the first one's part a little higher or lower."""
        first, *rest = self._earned(WORKERS, rnd)
        counted = tuple(self._stage.accounts[who] for who in WORKERS)
        return ClaimRound(self._task, rnd, counted, (Amount(first + more), *rest))

    async def _proves(self, workers: Sequence[int], rnd: RoundId) -> None:
        said = [labels_of(who, rnd) for who in workers]
        salts, roots = tuple(salt_of(who, rnd) for who in workers), tuple(root(labels) for labels in said)
        await self._does((2, OpenProof(self._task, rnd, tuple(reversed(salts)), roots)))
        await self._does((2, OpenProof(self._task, rnd, salts, roots)))
        await self._does((1, ProveChunk(self._task, rnd, tuple(reversed(said)), tuple(path(each, 0) for each in said))))
        await self._does((1, ProveChunk(self._task, rnd, tuple(said), tuple(path(each, 0) for each in said))))
        await self._settled()

    async def _unchallenged(self, rnd: RoundId) -> None:
        wrong = self._signed(0, rnd, at=RoundId(7))
        await self._does((REQUESTER, PostCommitments(self._task, rnd, (wrong,))))
        signed = tuple(self._signed(who, rnd, at=rnd) for who in WORKERS)
        await self._does((REQUESTER, PostCommitments(self._task, rnd, signed)))
        await self._does((0, ChallengeRound(self._task, rnd)))
        await self._does((0, self._claim(rnd, more=1_000)))
        await self._does((0, self._claim(rnd)))
        await self._does((1, self._claim(rnd)))
        await self._does((1, SettleRound(self._task, rnd)), skip=SECONDS + 1)
        await self._does((1, ChallengeRound(self._task, rnd)))
        await self._does((1, SettleRound(self._task, rnd)))
        await self._settled()

    async def _challenged(self, rnd: RoundId) -> None:
        await self._does((0, CommitLabels(self._task, rnd, self._bound(0, rnd))))
        await self._does((1, CommitLabels(self._task, rnd, self._bound(1, rnd))))
        await self._does((0, PostCommitments(self._task, rnd, (self._signed(2, rnd, at=rnd),))))
        await self._does((1, self._claim(rnd, more=-1)))
        await self._does((2, ChallengeRound(self._task, rnd)))
        await self._proves(WORKERS, rnd)

    async def _unclaimed(self, rnd: RoundId) -> None:
        await self._does(*((who, CommitLabels(self._task, rnd, self._bound(who, rnd))) for who in WORKERS))
        await self._does((0, Advance(self._task)), skip=2 * SECONDS + 1)
        await self._does((0, Advance(self._task)))
        for who in (0, 1):
            await self._does((who, RevealLabels(self._task, rnd, salt_of(who, rnd), labels_of(who, rnd))))
        await self._does((2, RevealLabels(self._task, rnd, salt_of(2, rnd), labels_of(1, rnd))), skip=SECONDS + 1)
        await self._does((2, Advance(self._task)))
        await self._proves((0, 1), rnd)


class SampledPlay(_Play):
    """Two rounds: all show their words; one does not."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, SAMPLED, rounds=2)

    async def play(self) -> None:
        """All of it."""
        await self._begin()
        await self._round(RoundId(0), WORKERS)
        await self._round(RoundId(1), (0, 2))
        await self._end()

    async def _round(self, rnd: RoundId, showing: Sequence[int]) -> None:
        tops = {who: sum_root(labels_of(who, rnd), CLASSES) for who in WORKERS}
        for who in WORKERS:  # one after the other: the block of the last one says which block draws
            account = self._stage.accounts[who]
            bound = sum_commitment(self._task, rnd, account, salt_of(who, rnd), tops[who])
            await self._does((who, CommitLabels(self._task, rnd, bound)))
        await self._does((1, Deposit(Amount(1))))  # a block between the last commitment and the draw
        await self._does((0, DrawSamples(self._task, rnd)))
        _, drawn = await self._stage.told(SAMPLED, SamplesDrawn)
        picked = draw(drawn.seed, WORDS, WORDS)
        await self._does((0, DrawSamples(self._task, rnd)))
        shown = []
        for who in showing:
            labels = labels_of(who, rnd)
            paths = tuple(sum_path(labels, CLASSES, place) for place in picked)
            words = words_of(labels, picked)
            shown.append((who, RevealWords(self._task, rnd, salt_of(who, rnd), tops[who], words, paths)))
        wrong = RevealWords(self._task, rnd, salt_of(1, rnd), tops[0], shown[0][1].words, shown[0][1].paths)
        await self._does((1, wrong))
        await self._does(*shown, skip=0 if len(showing) == len(WORKERS) else SECONDS + 1)
        if len(showing) < len(WORKERS):
            await self._does((2, Advance(self._task)))
        await self._does((1, SettleRound(self._task, rnd)))
        await self._settled()

"""What can be done to the sampled market, honestly and not: played against its pure ledger."""

from __future__ import annotations

from p2pfd.core.claims import (
    Advance,
    CommitLabels,
    Deposit,
    Enrol,
    MarketTerms,
    OpenTask,
    SettleRound,
    Unstake,
    Withdraw,
)
from p2pfd.core.ids import Account, Amount, RoundId, TaskId
from p2pfd.core.labels import pack
from p2pfd.core.modes import DrawSamples, ModeClaim, RevealWords
from p2pfd.core.rng import Rng
from p2pfd.core.trees import sum_commitment, sum_path, sum_root
from p2pfd.incentives.rounds import Phase
from p2pfd.incentives.sampled import SampledMarket, words_of
from p2pfd.settlement.artifacts import Artifact
from tests.contracts.pair import KEYS, WALLET, Pair

SALT = b"\7" * 32


def small(task: TaskId, shape: int) -> MarketTerms:
    """Terms of several shapes; the amounts do not divide, and phases are short."""
    samples = (1, 64, 70, 130, 640, 1030, 300, 2100)[shape % 8]
    return MarketTerms(
        task=task,
        samples=samples,
        classes=2 + shape % 3,
        rounds=1 + shape % 4,
        pot=Amount((101, 10_000_019, 0, 10_000_019)[shape // 3 % 4]),
        rate=Amount((1_000_003, 13, 1_000_003, 90, 0)[shape % 5]),
        bond=Amount((53, 25, 53, 0)[shape % 4]),
        forfeit=Amount((17, 25, 30, 0)[shape % 4]),
        quorum=1 + shape // 5 % (1 + shape % 5),
        seats=1 + shape % 5,
        enrol_seconds=10,
        commit_seconds=1 + shape % 10,
        reveal_seconds=5,
        mode="sampled",
        picks=1 + shape // 7 % min(16, -(-samples // 64)),
    )


class Walk(Pair):
    """The sampled market, and what can be done to it."""

    MODE = "sampled"
    market: SampledMarket

    def terms(self, task: TaskId, shape: int) -> MarketTerms:
        return small(task, shape)

    def labels(self, who: Account) -> bytes:
        """A worker's packed labels of the present round, mostly what others say too; one says what is no class."""
        terms, number = self.state.terms, int(who, 16) % 5
        rare = terms.classes - 1
        plain = bytearray((place // (2 + number) + self.state.round) % rare for place in range(terms.samples))
        plain[5::13] = bytes([rare]) * len(plain[5::13])
        if number == 3:
            plain[::7] = bytes([14]) * len(plain[::7])
        return pack(bytes(plain))

    def opening(self, who: Account, rnd: RoundId) -> RevealWords:
        """What an honest worker shows."""
        labels, classes = self.labels(who), self.state.terms.classes
        picked = self.market.draw(self.task).picked
        paths = tuple(sum_path(labels, classes, place) for place in picked)
        return RevealWords(self.task, rnd, SALT, sum_root(labels, classes), words_of(labels, picked), paths)

    def committing(self, who: Account, rnd: RoundId) -> CommitLabels:
        """What an honest worker commits to."""
        top = sum_root(self.labels(who), self.state.terms.classes)
        return CommitLabels(self.task, rnd, sum_commitment(self.task, rnd, who, SALT, top))

    def lead_on(self) -> None:
        """One move that the task waits for, honest or not."""
        state, rng = self.state, self.rng
        rnd, who = RoundId(state.round), rng.below(5)
        if state.phase == Phase.GATHER:
            self.claim(who, Enrol(self.task))
        elif state.phase == Phase.COMMIT:
            waiting = self.sitting(state.active - state.committed.keys()) or [who]
            who = rng.choice(waiting)
            self.claim(who, self.committing(KEYS[who].account, rnd))
        elif state.phase == Phase.DRAW:
            self.claim(who, DrawSamples(self.task, rnd))
        elif state.phase == Phase.REVEAL:
            waiting = self.sitting(state.committed.keys() - state.revealed.keys()) or [who]
            who = rng.choice(waiting)
            self.claim(who, self.spoiled(self.opening(KEYS[who].account, rnd)))
        elif state.phase == Phase.SETTLE:
            self.claim(who, SettleRound(self.task, rnd))
        else:
            self.new_task()

    def spoiled(self, one: RevealWords) -> RevealWords:
        """One in four is not what it should be."""
        words, paths, top = list(one.words), list(one.paths), one.top
        at = self.rng.below(len(words))
        match self.rng.below(32):
            case 0:
                words[at] = bytes([words[at][0] ^ 1]) + words[at][1:]
            case 1:
                words = words[1:]
            case 2 if paths[at]:
                paths[at] = paths[at][1:]
            case 3 if paths[at]:
                paths[at] = ((paths[at][0][0], paths[at][0][1] + 65), *paths[at][1:])
            case 4 if paths[at]:
                paths[at] = (*paths[at][:-1], (paths[at][-1][0], 2**255))
            case 5 if paths[at]:
                paths[at] = ((bytes(32), paths[at][0][1]), *paths[at][1:])
            case 6:
                top = (top[0], top[1] + 1)
            case 7:
                return RevealWords(one.task, one.round, bytes(32), top, one.words, one.paths)
        return RevealWords(one.task, one.round, one.salt, top, tuple(words), tuple(paths))

    def stray(self) -> None:
        """One claim of any kind, whether it fits or not."""
        rng, sender = self.rng, self.rng.below(5)
        rnd = RoundId(self.state.round + rng.below(4) // 3)
        who = KEYS[sender].account
        claims: list[ModeClaim] = [
            OpenTask(small(self.task, rng.below(400))),
            Enrol(self.task),
            self.committing(who, rnd),
            DrawSamples(self.task, rnd),
            self.opening(who, rnd),
            SettleRound(self.task, rnd),
            Advance(self.task),
            Deposit(Amount(rng.below(WALLET))),
            Unstake(Amount(rng.below(WALLET // 4))),
            Withdraw(),
        ]
        self.claim(sender, rng.choice(claims))


def walk(rng: Rng, steps: int, market: Artifact | None = None) -> Walk:
    """At least so many claims."""
    both = Walk(rng, market)
    both.new_task()
    while both.steps < steps:
        match rng.below(20):
            case 0:
                both.chain.now += rng.choice([1, 3, 12, 101])
            case 1 | 2:
                both.time_out()
            case 3 | 4:
                both.stray()
            case 5:
                both.claim(rng.below(5), Enrol(both.task))
            case _:
                both.lead_on()
    both.chain.check_peeks()
    return both

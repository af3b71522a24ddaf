"""The optimistic market and its pure ledger, given the same claims, and compared in everything after each.

A walk is mostly play that leads on: honest rounds, wrong claims, false challenges, workers that are left out or silent,
nobody who claims, nobody who proves; and many a stray claim.
"""

from __future__ import annotations

from p2pfd.core.claims import (
    Advance,
    CommitLabels,
    Deposit,
    Enrol,
    MarketTerms,
    OpenTask,
    RevealLabels,
    SettleRound,
    Unstake,
    Withdraw,
)
from p2pfd.core.ids import Account, Amount, Digest, RoundId, TaskId
from p2pfd.core.labels import pack, unpack
from p2pfd.core.modes import (
    ChallengeRound,
    ClaimRound,
    ModeClaim,
    OpenProof,
    PostCommitments,
    ProveChunk,
    SignedCommitment,
)
from p2pfd.core.rng import Rng
from p2pfd.core.trees import chunks, path, root, root_commitment
from p2pfd.incentives import ptsc
from p2pfd.incentives.optimistic import OptimisticMarket
from p2pfd.incentives.rounds import Phase
from p2pfd.settlement.artifacts import Artifact
from tests.contracts.chain import BOSS
from tests.contracts.pair import KEYS, WALLET, Pair

SALT = b"\7" * 32
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


def small(task: TaskId, shape: int) -> MarketTerms:
    """Terms of several shapes; the amounts do not divide, and phases are short."""
    return MarketTerms(
        task=task,
        samples=(1, 64, 70, 130, 70, 64, 130, 1030, 1, 65, 70, 2100)[shape % 12],
        classes=2 + shape % 3,
        rounds=1 + shape % 4,
        pot=Amount((101, 10_000_019, 0, 10_000_019)[shape % 4]),
        rate=Amount((1_000_003, 13, 1_000_003, 90, 0)[shape % 5]),
        bond=Amount((53, 25, 53, 0)[shape % 4]),
        forfeit=Amount((17, 25, 30, 0)[shape % 4]),
        quorum=1 + shape // 5 % (1 + shape % 5),
        seats=1 + shape % 5,
        enrol_seconds=10,
        commit_seconds=1 + shape % 10,
        reveal_seconds=5,
        mode="optimistic",
        stake=(77, 0, 1_001, 64)[shape % 4],
        challenge_seconds=1 + shape % 7,
        dispute_seconds=6,
    )


class Walk(Pair):
    """The optimistic market, and what can be done to it."""

    MODE = "optimistic"
    market: OptimisticMarket

    def terms(self, task: TaskId, shape: int) -> MarketTerms:
        return small(task, shape)

    def labels(self, who: Account) -> bytes:
        """A worker's packed labels of the present round, mostly what others say too; one says what is no class."""
        terms, number = self.state.terms, int(who, 16) % 5
        plain = bytes(
            14
            if number == 3 and place % 7 == 0
            else (place * 7 + place // (2 + number) + self.state.round) % terms.classes
            for place in range(terms.samples)
        )
        return pack(plain)

    def bound(self, who: Account) -> Digest:
        return root_commitment(self.task, RoundId(self.state.round), who, SALT, root(self.labels(who)))

    def right(self, counted: list[int]) -> tuple[Amount, ...]:
        """What the serum pays these."""
        terms = self.state.terms
        plain = [unpack(self.labels(KEYS[sender].account), terms.samples, 16) for sender in counted]
        scores = ptsc.scores(plain, terms.classes)
        return tuple(Amount(a) for a in ptsc.pay(terms.pot, terms.rate, ptsc.means(scores, terms.samples)))

    # -- moves --

    def lead_on(self) -> None:
        """One move that the task waits for, honest or not."""
        state, rng = self.state, self.rng
        rnd = RoundId(state.round)
        if state.phase == Phase.GATHER:
            self.claim(rng.below(5), Enrol(self.task))
        elif state.phase == Phase.COMMIT:
            self.bind(rnd)
        elif state.phase == Phase.REVEAL:
            self.claim_it(rnd)
        elif state.phase == Phase.SETTLE:
            self.challenge_it(rnd)
        elif state.phase in (Phase.DISPUTE, Phase.PROVE):
            self.prove(rnd)
        elif state.phase == Phase.SHOW:
            self.reveal(rng.below(5), rnd)
        else:
            self.new_task()

    def bind(self, rnd: RoundId) -> None:
        waiting = self.sitting(self.state.active - self.state.committed.keys())
        if not waiting or self.rng.chance(1, 3):
            who = self.rng.below(5)
            self.claim(who, CommitLabels(self.task, rnd, self.bound(KEYS[who].account)))
            return
        if self.rng.chance(1, 3):
            waiting = waiting[self.rng.below(len(waiting)) :]
            waiting.reverse()
        signed = [self.chain.sign(KEYS[w], self.task, rnd, self.bound(KEYS[w].account)) for w in waiting]
        if self.rng.chance(1, 8):
            signed[-1] = self.spoiled(signed[-1], waiting[-1])
        self.claim(self.rng.below(5), PostCommitments(self.task, rnd, tuple(signed)))

    def spoiled(self, one: SignedCommitment, who: int) -> SignedCommitment:
        """A signature's twin, one for another round, one by an outsider, or none at all."""
        s = one.vs % 2**255
        match self.rng.below(4):
            case 0:
                return SignedCommitment(one.commitment, one.r, (ORDER - s) % 2**255 | (one.vs ^ 2**255) >> 255 << 255)
            case 1:
                return self.chain.sign(KEYS[who], self.task, RoundId(self.state.round + 1), one.commitment)
            case 2:
                return self.chain.sign(BOSS, self.task, RoundId(self.state.round), one.commitment)
        return SignedCommitment(one.commitment, 0, one.vs)

    def reveal(self, who: int, rnd: RoundId) -> None:
        labels = self.labels(KEYS[who].account)
        if self.rng.chance(1, 8):
            labels = (labels[1:] + b"\xff", labels + bytes(32), bytes(len(labels)))[self.rng.below(3)]
        self.claim(who, RevealLabels(self.task, rnd, SALT, labels))

    def claim_it(self, rnd: RoundId) -> None:
        if self.rng.chance(1, 4):
            self.reveal(self.rng.below(5), rnd)
            return
        counted = self.sitting(self.state.committed)
        if len(counted) > 1 and self.rng.chance(1, 2):
            del counted[self.rng.below(len(counted))]
            if self.rng.chance(3, 4):
                self.chain.now = max(self.chain.now, self.state.deadline + 1)
        amounts = list(self.right(counted))
        if self.rng.chance(1, 4) and amounts[-1] > 0:
            amounts[-1] = Amount(amounts[-1] - 1)
        if self.rng.chance(1, 12):
            amounts[0] = Amount(amounts[0] + self.state.terms.pot)
        workers = tuple(KEYS[sender].account for sender in counted)
        self.claim(self.rng.below(5), ClaimRound(self.task, rnd, workers, tuple(amounts)))

    def challenge_it(self, rnd: RoundId) -> None:
        left_out = self.sitting(self.state.committed.keys() - self.market.play(self.task).counted)
        if left_out and self.rng.chance(1, 2):
            self.reveal(self.rng.choice(left_out), rnd)
            return
        match self.rng.below(5):
            case 0:
                self.reveal(self.rng.below(5), rnd)
            case 1 | 2:
                self.claim(self.rng.below(5), ChallengeRound(self.task, rnd))
            case _:
                self.chain.now = max(self.chain.now, self.state.deadline + self.rng.below(2))
                self.claim(self.rng.below(5), SettleRound(self.task, rnd))

    def prove(self, rnd: RoundId) -> None:
        """All of it; a wrong step now and then is refused and changes nothing."""
        play = self.market.play(self.task)
        workers = [KEYS[sender].account for sender in self.sitting(play.counted)]
        packed = [self.labels(who) for who in workers]
        if self.rng.chance(1, 6):
            self.time_out()
            return
        if play.roots is None:
            roots = [bytes(root(labels)) for labels in packed]
            if self.rng.chance(1, 8):
                roots[0] = bytes(32)
            self.claim(self.rng.below(5), OpenProof(self.task, rnd, (SALT,) * len(roots), tuple(roots)))
            return
        done = play.done - (1 if self.rng.chance(1, 8) and play.done else 0)
        parts = [chunks(labels)[done] for labels in packed]
        paths = [tuple(bytes(step) for step in path(labels, done)) for labels in packed]
        match self.rng.below(16):
            case 0:
                parts[0] = bytes([parts[0][0] ^ 1]) + parts[0][1:]
            case 1:
                paths[0] = (*paths[0][1:], bytes(32)) if len(paths[0]) > 2 else (bytes(32), *paths[0])
            case 2:
                paths[0] = paths[0][1:]
            case 3:
                parts = parts[1:]
        self.claim(self.rng.below(5), ProveChunk(self.task, rnd, tuple(parts), tuple(paths)))

    def stray(self) -> None:
        """One claim of any kind, whether it fits or not."""
        rng, sender = self.rng, self.rng.below(5)
        rnd = RoundId(self.state.round + rng.below(4) // 3)
        who = KEYS[sender].account
        seated = [each.account for each in KEYS if self.state.seat_of(each.account) is not None]
        signed = self.chain.sign(KEYS[rng.below(5)], self.task, rnd, self.bound(who))
        claims: list[ModeClaim] = [
            OpenTask(small(self.task, rng.below(400))),
            Enrol(self.task),
            CommitLabels(self.task, rnd, self.bound(who)),
            PostCommitments(self.task, rnd, (signed,)),
            RevealLabels(self.task, rnd, SALT, self.labels(who)),
            ClaimRound(self.task, rnd, tuple(seated), (Amount(0),) * len(seated)),
            ClaimRound(self.task, rnd, tuple(seated), (Amount(0),)),
            ChallengeRound(self.task, rnd),
            OpenProof(self.task, rnd, (SALT,), (bytes(32),)),
            ProveChunk(self.task, rnd, (bytes(32),), ((),)),
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

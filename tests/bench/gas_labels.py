"""Gas of a round of labels in each mode, from receipts: forty workers, 960 samples, ten classes, the second round.

The first round writes to fresh storage, and is dearer once.
"""

from __future__ import annotations

from dataclasses import replace

from p2pfd.core.claims import CommitLabels, Deposit, Enrol, MarketTerms, OpenTask, RevealLabels, SettleRound
from p2pfd.core.ids import Amount, RoundId, TaskId
from p2pfd.core.labels import commitment, pack, unpack
from p2pfd.core.modes import (
    ChallengeRound,
    ClaimRound,
    DrawSamples,
    ModeClaim,
    ModeEvent,
    OpenProof,
    PostCommitments,
    ProveChunk,
    RevealWords,
    SamplesDrawn,
)
from p2pfd.core.rng import Rng
from p2pfd.core.trees import root, root_commitment, sum_commitment, sum_path, sum_root
from p2pfd.incentives import ptsc
from p2pfd.incentives.sampled import words_of
from p2pfd.incentives.sampling import draw
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from tests.contracts.chain import BOSS, Contracts, key
from tests.contracts.modechain import ModeChain

WORKERS, SAMPLES, CLASSES, PICKS = 40, 960, 10, 8
TASK = TaskId(b"\1" * 32)
SALT = b"\7" * 32
TERMS = MarketTerms(
    task=TASK,
    samples=SAMPLES,
    classes=CLASSES,
    rounds=3,
    pot=Amount(10**8),
    rate=Amount(10**6),
    bond=Amount(10**6),
    forfeit=Amount(10**5),
    quorum=1,
    seats=WORKERS,
    enrol_seconds=600,
    commit_seconds=600,
    reveal_seconds=600,
)


class Game:
    """One chain with everybody seated, and the labels of the present round."""

    def __init__(self, chain: Contracts, terms: MarketTerms, workers: list[AccountKey]) -> None:
        self.chain, self.workers, self.round = chain, workers, RoundId(0)
        self.labels: dict[AccountKey, bytes] = {}
        self.told: tuple[ModeEvent, ...] = ()
        for who in [BOSS, *workers]:
            self.gas(who, Deposit(Amount(5 * 10**8)))
        self.gas(BOSS, OpenTask(terms))
        for who in workers:
            self.gas(who, Enrol(TASK))

    def label(self, number: int) -> None:
        """Everybody labels, and is right six times in ten."""
        rng = Rng(b"gas").split(number)
        truth = [rng.below(CLASSES) for _ in range(SAMPLES)]
        self.round = RoundId(number)
        for who in self.workers:
            plain = bytes(label if rng.chance(6, 10) else rng.below(CLASSES) for label in truth)
            self.labels[who] = pack(plain)

    def gas(self, who: AccountKey, claim: ModeClaim) -> int:
        """What a claim takes."""
        block, self.told = self.chain.carry_out(who, claim)  # type: ignore[arg-type]
        if not block.success:
            raise SystemExit(f"{type(claim).__name__} was refused: {reason(block.output)}")
        return block.gas_used


def figures() -> dict[str, float]:
    """Gas a worker and sample or a worker and round, by what it is for."""
    workers = [key(number) for number in range(1, WORKERS + 1)]
    wallets = dict.fromkeys([BOSS, *workers], 10**9)
    found = _onchain(Game(Contracts(wallets), TERMS, workers))
    staked = replace(TERMS, mode="optimistic", stake=10**6, challenge_seconds=600, dispute_seconds=600)
    found |= _optimistic(Game(ModeChain("optimistic", wallets), staked, workers))
    drawn = replace(TERMS, mode="sampled", picks=PICKS)
    return found | _sampled(Game(ModeChain("sampled", wallets), drawn, workers))


def _onchain(game: Game) -> dict[str, float]:
    whole = settling = 0
    for number in range(2):
        game.label(number)
        whole = 0
        for who in game.workers:
            bound = commitment(TASK, game.round, who.account, SALT, game.labels[who])
            whole += game.gas(who, CommitLabels(TASK, game.round, bound))
        for who in game.workers:
            whole += game.gas(who, RevealLabels(TASK, game.round, SALT, game.labels[who]))
        settling = game.gas(BOSS, SettleRound(TASK, game.round))
    return {
        "labels_per_worker_sample": round(settling / WORKERS / SAMPLES, 1),
        "labels_onchain_per_worker_round_w40": (whole + settling) // WORKERS,
    }


def _optimistic(game: Game) -> dict[str, float]:
    gas = 0
    chain = game.chain
    assert isinstance(chain, ModeChain)
    for number in range(3):
        game.label(number)
        task, rnd, labels = TASK, game.round, game.labels
        signed = tuple(
            chain.sign(who, task, rnd, root_commitment(task, rnd, who.account, SALT, root(labels[who])))
            for who in game.workers
        )
        scores = ptsc.scores([unpack(labels[who], SAMPLES, 16) for who in game.workers], CLASSES)
        amounts = ptsc.pay(TERMS.pot, TERMS.rate, ptsc.means(scores, SAMPLES))
        everyone = tuple(who.account for who in game.workers)
        posted = game.gas(BOSS, PostCommitments(task, rnd, signed))
        claimed = game.gas(game.workers[0], ClaimRound(task, rnd, everyone, tuple(map(Amount, amounts))))
        if number < 2:
            chain.now += 601
            gas = posted + claimed + game.gas(BOSS, SettleRound(task, rnd))
    roots = tuple(bytes(root(labels[who])) for who in game.workers)
    dispute = game.gas(BOSS, ChallengeRound(task, rnd))
    dispute += game.gas(BOSS, OpenProof(task, rnd, (SALT,) * WORKERS, roots))
    dispute += game.gas(BOSS, ProveChunk(task, rnd, tuple(labels[who] for who in game.workers), ((),) * WORKERS))
    return {
        "labels_per_worker_round_w40": gas // WORKERS,
        "labels_dispute_per_worker_sample": round(dispute / WORKERS / SAMPLES, 1),
    }


def _sampled(game: Game) -> dict[str, float]:
    gas = 0
    for number in range(2):
        game.label(number)
        tops = {who: sum_root(game.labels[who], CLASSES) for who in game.workers}
        gas = 0
        for who in game.workers:
            bound = sum_commitment(TASK, game.round, who.account, SALT, tops[who])
            gas += game.gas(who, CommitLabels(TASK, game.round, bound))
        game.chain.send(BOSS, BOSS.account, b"", 21_000)
        gas += game.gas(BOSS, DrawSamples(TASK, game.round))
        (drawn,) = game.told
        assert isinstance(drawn, SamplesDrawn)
        picked = draw(drawn.seed, SAMPLES // 64, PICKS)
        for who in game.workers:
            paths = tuple(sum_path(game.labels[who], CLASSES, place) for place in picked)
            words = words_of(game.labels[who], picked)
            gas += game.gas(who, RevealWords(TASK, game.round, SALT, tops[who], words, paths))
        gas += game.gas(BOSS, SettleRound(TASK, game.round))
    return {"labels_sampled_per_worker_round_w40": gas // WORKERS}


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name}: {value:,}")

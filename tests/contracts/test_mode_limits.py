"""Terms that the other modes refuse, disputes over many chunks, and the largest rounds, which fit into a block."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.claims import CommitLabels, Deposit, Enrol, MarketTerms, OpenTask, SettleRound
from p2pfd.core.ids import Amount, RoundId, TaskId
from p2pfd.core.labels import pack, unpack
from p2pfd.core.modes import (
    ChallengeRound,
    ClaimRound,
    DisputeDecided,
    DrawSamples,
    ModeClaim,
    ModeEvent,
    OpenProof,
    PostCommitments,
    ProveChunk,
    RevealWords,
    SamplesDrawn,
)
from p2pfd.core.trees import chunks, path, root, root_commitment, sum_commitment, sum_path, sum_root
from p2pfd.incentives import ptsc
from p2pfd.incentives.rounds import MAX_SEATS
from p2pfd.incentives.sampled import words_of
from p2pfd.incentives.sampling import draw
from p2pfd.incentives.staking import Refused
from p2pfd.settlement import modes
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact
from tests.contracts import optimistic_machine, sampled_machine
from tests.contracts.chain import BOSS, key
from tests.contracts.modechain import ModeChain, optimistic, sampled

TASK = TaskId(b"\1" * 32)
R0 = RoundId(0)
SALT = b"\7" * 32
MOST_GAS_A_TRANSACTION = 2**24  # EIP-7825
LARGE = 2**63 + 1
WRONG: list[tuple[str, int]] = [
    ("samples", 0),
    ("samples", 2**32),
    ("classes", 1),
    ("classes", 16),
    ("rounds", 0),
    ("rounds", 10_001),
    ("seats", 0),
    ("seats", 65),
    ("quorum", 0),
    ("quorum", 6),
    ("pot", LARGE),
    ("rate", LARGE),
    ("bond", LARGE),
    ("stake", LARGE),
    ("forfeit", 54),
    ("enrol_seconds", 0),
    ("commit_seconds", 2**256 - 1),
    ("reveal_seconds", 30 * 86_400 + 1),
    ("challenge_seconds", 2**255),
    ("dispute_seconds", 2**255),
    ("picks", 20),
    ("pot", 10**15),
]


@pytest.mark.parametrize("mode", ["optimistic", "sampled"])
def test_terms_out_of_range_are_refused_by_both_for_the_same_reason(mode: str) -> None:
    chain = ModeChain(mode, {BOSS: 0})
    ledger = (optimistic if mode == "optimistic" else sampled)(chain, {})
    good = (optimistic_machine if mode == "optimistic" else sampled_machine).small(TASK, 4)
    seen = set()
    for name, value in WRONG:
        claim = OpenTask(dataclasses.replace(good, **{name: value}))  # type: ignore[arg-type]
        block, _ = chain.carry_out(BOSS, claim)
        with pytest.raises(Refused) as refusal:
            ledger.apply(chain.now, BOSS.account, claim)
        assert reason(block.output) == refusal.value.what, f"{name} = {value}"
        seen.add(refusal.value.what)
    assert len(seen) >= 10
    block, _ = chain.carry_out(BOSS, Enrol(TASK))
    assert reason(block.output) == "market: no such task"


@pytest.mark.parametrize(("mode", "samples"), [("optimistic", 65_536), ("sampled", 131_070)])
def test_terms_at_their_bounds_are_kept_as_they_are(mode: str, samples: int) -> None:
    """All at once, so that none of them runs over into its neighbor in the words that keep them."""
    chain, most, month = ModeChain(mode, {BOSS: 0}), 2**63, 30 * 86_400
    good = (optimistic_machine if mode == "optimistic" else sampled_machine).small(TASK, 4)
    values = {"samples": samples, "classes": 15, "rounds": 10_000, "pot": 0, "rate": most, "bond": most}
    values |= {"forfeit": most, "quorum": 64, "seats": 64}
    values |= dict.fromkeys(("enrol_seconds", "commit_seconds", "reveal_seconds"), month)
    if mode == "optimistic":
        values |= {"stake": most, "challenge_seconds": month, "dispute_seconds": month}
    else:
        values["picks"] = 16
    wanted = dataclasses.replace(good, **values)  # type: ignore[arg-type]
    chain.now = 2**40
    block, _ = chain.carry_out(BOSS, OpenTask(wanted))
    assert block.success, reason(block.output)
    (kept,) = chain.ask("terms", TASK)
    assert isinstance(kept, tuple)
    names = [field.name for field in dataclasses.fields(MarketTerms) if field.name not in ("task", "mode")]
    assert dict(zip(names, kept, strict=True)) == {name: getattr(wanted, name) for name in names}
    assert chain.task(TASK) == (1, 0, 2**40 + month, 0)


def labelled(worker: int, sample: int) -> int:
    """Mostly what the others say."""
    return (sample * sample // 7 if sample % (3 + worker % 4) else sample + worker) % 15


class Large:
    """A task with so many workers and samples, in its first round."""

    def __init__(self, mode: str, workers: int, samples: int, market: Artifact | None = None) -> None:
        self.workers = [key(number) for number in range(1, workers + 1)]
        self.chain = ModeChain(mode, dict.fromkeys([BOSS, *self.workers], 5_000), market)
        shape = (optimistic_machine if mode == "optimistic" else sampled_machine).small(TASK, 0)
        wanted: dict[str, object] = {"samples": samples, "classes": 15, "rounds": 1, "quorum": 1, "seats": workers}
        wanted |= {"pot": 4_000, "rate": 100, "stake": 100 if mode == "optimistic" else 0}
        wanted |= {"commit_seconds": 10, "picks": min(16, -(-samples // 64)) if mode == "sampled" else 0}
        self.terms: MarketTerms = dataclasses.replace(shape, **wanted)  # type: ignore[arg-type]
        self.labels = {
            who: pack(bytes(labelled(number, sample) for sample in range(samples)))
            for number, who in enumerate(self.workers)
        }
        for who in [BOSS, *self.workers]:
            self.fits(who, Deposit(Amount(5_000)))
        self.fits(BOSS, OpenTask(self.terms))
        for who in self.workers:
            self.fits(who, Enrol(TASK))

    def fits(self, who: AccountKey, claim: ModeClaim) -> tuple[ModeEvent, ...]:
        """It is carried out, and for little enough gas."""
        block, events = self.chain.carry_out(who, claim)
        assert block.success, f"{type(claim).__name__}: {reason(block.output)}"
        assert block.gas_used < 0.9 * min(modes.gas_for(claim), MOST_GAS_A_TRANSACTION), type(claim).__name__
        return events

    def dispute(self) -> None:
        """A right claim is challenged, and computed chunk by chunk."""
        labels, samples = [self.labels[who] for who in self.workers], self.terms.samples
        roots = [bytes(root(packed)) for packed in labels]
        signed = tuple(
            self.chain.sign(who, TASK, R0, root_commitment(TASK, R0, who.account, SALT, top))
            for who, top in zip(self.workers, roots, strict=True)
        )
        scores = ptsc.scores([unpack(packed, samples, 16) for packed in labels], 15)
        amounts = ptsc.pay(4_000, 100, ptsc.means(scores, samples))
        assert any(amounts)
        self.fits(BOSS, PostCommitments(TASK, R0, signed))
        everyone = tuple(who.account for who in self.workers)
        self.fits(BOSS, ClaimRound(TASK, R0, everyone, tuple(map(Amount, amounts))))
        self.fits(self.workers[0], ChallengeRound(TASK, R0))
        self.fits(BOSS, OpenProof(TASK, R0, (SALT,) * len(roots), tuple(roots)))
        events: tuple[ModeEvent, ...] = ()
        for index in range(-(-samples // 1024)):
            parts = tuple(chunks(packed)[index] for packed in labels)
            paths = tuple(tuple(bytes(step) for step in path(packed, index)) for packed in labels)
            events = self.fits(BOSS, ProveChunk(TASK, R0, parts, paths))
        assert DisputeDecided(TASK, R0, True, self.workers[0].account, Amount(100)) in events


def a_dispute_in_chunks(market: Artifact | None = None) -> None:
    """Three chunks, the last one short."""
    Large("optimistic", 3, 2_500, market).dispute()


def test_a_dispute_in_chunks() -> None:
    a_dispute_in_chunks()


@pytest.mark.long
def test_the_largest_chunks() -> None:
    Large("optimistic", MAX_SEATS, 2_048).dispute()


@pytest.mark.long
def test_the_most_chunks() -> None:
    Large("optimistic", 2, 65_536).dispute()


@pytest.mark.long
def test_the_largest_draw() -> None:
    game = Large("sampled", MAX_SEATS, 131_070)
    tops = {who: sum_root(game.labels[who], 15) for who in game.workers}
    for who in game.workers:
        game.fits(who, CommitLabels(TASK, R0, sum_commitment(TASK, R0, who.account, SALT, tops[who])))
    game.chain.send(BOSS, BOSS.account, b"", 21_000)
    (drawn,) = game.fits(BOSS, DrawSamples(TASK, R0))
    assert isinstance(drawn, SamplesDrawn)
    picked = draw(drawn.seed, 2_048, 16)
    for who in game.workers:
        labels = game.labels[who]
        paths = tuple(sum_path(labels, 15, place) for place in picked)
        game.fits(who, RevealWords(TASK, R0, SALT, tops[who], words_of(labels, picked), paths))
    game.fits(BOSS, SettleRound(TASK, R0))

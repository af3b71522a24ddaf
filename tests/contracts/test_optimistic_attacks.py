"""What might be tried against the optimistic market, each tried and each without gain."""

from __future__ import annotations

import dataclasses

import pytest

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
)
from p2pfd.core.ids import Amount, Digest, RoundId, TaskId
from p2pfd.core.labels import pack, unpack
from p2pfd.core.modes import (
    ChallengeRound,
    ClaimRound,
    DisputeDecided,
    LabelsDemanded,
    ModeClaim,
    ModeEvent,
    OpenProof,
    PostCommitments,
    ProofWanted,
    ProveChunk,
    SignedCommitment,
    WorkersPaid,
)
from p2pfd.core.trees import root, root_commitment
from p2pfd.incentives import ptsc
from p2pfd.incentives.optimistic import HALF_ORDER
from p2pfd.settlement import modes
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import ORDER, AccountKey
from p2pfd.settlement.artifacts import Artifact
from tests.contracts.chain import CHAIN_ID, key
from tests.contracts.modechain import ModeChain

A, B, C, D = KEYS = [key(number) for number in (1, 2, 3, 4)]
OUTSIDER = key(5)
TASK, OTHER = TaskId(b"\1" * 32), TaskId(b"\2" * 32)
R0, R1 = RoundId(0), RoundId(1)
SALT = b"\5" * 32
TRUE = bytes([0, 1, 2, 0, 1, 2, 0, 1, 1, 1])
LABELS = {A: pack(TRUE), B: pack(TRUE[:8] + b"\2\2"), C: pack(TRUE[:7] + b"\0\1\1"), D: pack(b"\2" * 10)}
BOND, STAKE, POT, FUNDS = 30, 100, 1_000, 10_000
TERMS = MarketTerms(
    task=TASK,
    samples=10,
    classes=3,
    rounds=2,
    pot=Amount(POT),
    rate=Amount(150),
    bond=Amount(BOND),
    forfeit=Amount(BOND),
    quorum=2,
    seats=4,
    enrol_seconds=10,
    commit_seconds=10,
    reveal_seconds=10,
    mode="optimistic",
    stake=STAKE,
    challenge_seconds=10,
    dispute_seconds=10,
)


class Game:
    """A chain with a task in its first round, all seats taken."""

    def __init__(self, market: Artifact | None = None) -> None:
        self.chain = ModeChain("optimistic", dict.fromkeys([*KEYS, OUTSIDER], FUNDS), market)
        for who in [*KEYS, OUTSIDER]:
            self.does(who, Deposit(Amount(FUNDS)))
        self.open(TASK)

    def open(self, task: TaskId) -> None:
        self.does(OUTSIDER, OpenTask(dataclasses.replace(TERMS, task=task)))
        for who in KEYS:
            self.does(who, Enrol(task))

    def does(self, who: AccountKey, claim: ModeClaim) -> tuple[ModeEvent, ...]:
        block, events = self.chain.carry_out(who, claim)
        assert block.success, f"{claim}: {reason(block.output)}"
        return events

    def refuses(self, who: AccountKey, claim: ModeClaim, why: str) -> None:
        block, _ = self.chain.carry_out(who, claim)
        assert not block.success, f"{claim} was carried out"
        assert reason(block.output) == why

    def free(self, who: AccountKey) -> int:
        return self.chain.balances(who.account).free

    def signed(self, *workers: AccountKey, task: TaskId = TASK, rnd: RoundId = R0) -> PostCommitments:
        found = tuple(self.chain.sign(who, task, rnd, bound(who, task, rnd)) for who in workers)
        return PostCommitments(task, rnd, found)

    def bind(self, *workers: AccountKey) -> None:
        self.does(OUTSIDER, self.signed(*workers))

    def prove(self, *counted: AccountKey) -> tuple[ModeEvent, ...]:
        self.does(
            OUTSIDER, OpenProof(TASK, R0, (SALT,) * len(counted), tuple(bytes(root(LABELS[who])) for who in counted))
        )
        return self.does(OUTSIDER, ProveChunk(TASK, R0, tuple(LABELS[who] for who in counted), ((),) * len(counted)))


@pytest.fixture
def game() -> Game:
    return Game()


def bound(who: AccountKey, task: TaskId = TASK, rnd: RoundId = R0) -> Digest:
    return root_commitment(task, rnd, who.account, SALT, root(LABELS[who]))


def right(*counted: AccountKey) -> tuple[Amount, ...]:
    scores = ptsc.scores([unpack(LABELS[who], 10, 16) for who in counted], 3)
    return tuple(Amount(amount) for amount in ptsc.pay(POT, 150, ptsc.means(scores, 10)))


def claiming(*counted: AccountKey, amounts: tuple[Amount, ...] | None = None) -> ClaimRound:
    return ClaimRound(TASK, R0, tuple(who.account for who in counted), right(*counted) if amounts is None else amounts)


def shows(who: AccountKey) -> RevealLabels:
    return RevealLabels(TASK, R0, SALT, LABELS[who])


# -- signatures --


def test_a_signature_is_good_for_one_chain_one_contract_one_task_and_one_round(game: Game) -> None:
    game.open(OTHER)
    market = game.chain.market
    for chain_id, contract, task, rnd in (
        (CHAIN_ID + 1, market, TASK, R0),
        (CHAIN_ID, game.chain.token, TASK, R0),
        (CHAIN_ID, market, OTHER, R0),
        (CHAIN_ID, market, TASK, R1),
    ):
        replayed = modes.sign(A, chain_id, contract, task, rnd, bound(A))
        game.refuses(OUTSIDER, PostCommitments(TASK, R0, (replayed,)), "market: not in this round")
    game.bind(A)
    game.refuses(OUTSIDER, game.signed(A), "market: already committed")


def test_the_twin_of_a_signature_is_refused(game: Game) -> None:
    """Its s hardly ever fits beside the parity; where it does it is refused as what it is."""
    (one,) = game.signed(A).signed
    twin = (ORDER - one.vs % 2**255) % 2**255 | ((one.vs >> 255) ^ 1) << 255
    for r, vs, why in (
        (one.r, twin, "market: not in this round"),
        (one.r, HALF_ORDER + 1, "market: malleable signature"),
        (one.r, 2**256 - 1, "market: malleable signature"),
        (0, one.vs, "market: not in this round"),
    ):
        game.refuses(OUTSIDER, PostCommitments(TASK, R0, (SignedCommitment(one.commitment, r, vs),)), why)


def test_a_signature_binds_to_no_other_labels(game: Game) -> None:
    (one,) = game.signed(A).signed
    changed = SignedCommitment(bound(B), one.r, one.vs)
    game.refuses(B, PostCommitments(TASK, R0, (changed,)), "market: not in this round")


def test_who_is_left_out_of_a_batch_binds_itself_or_is_bound_by_anyone(game: Game) -> None:
    game.bind(A, B)
    game.does(C, CommitLabels(TASK, R0, bound(C)))
    game.bind(D)
    assert game.chain.task(TASK)[0] == 3


def test_a_front_runner_who_posts_a_part_of_a_batch_only_costs_the_rest_a_second_one(game: Game) -> None:
    whole = game.signed(*KEYS)
    game.bind(B)
    game.refuses(OUTSIDER, whole, "market: already committed")
    game.bind(D, C, A)
    game.does(A, claiming(*KEYS))


# -- claims --


def test_a_claim_that_nobody_contradicts_is_paid_after_its_window(game: Game) -> None:
    game.bind(*KEYS)
    game.does(A, claiming(*KEYS))
    game.refuses(B, SettleRound(TASK, R0), "market: too early")
    game.refuses(B, shows(B), "market: already counted")
    game.chain.now += 11
    game.refuses(B, ChallengeRound(TASK, R0), "market: too late")
    game.refuses(B, Advance(TASK), "market: settle the round first")
    events = game.does(OUTSIDER, SettleRound(TASK, R0))
    assert WorkersPaid(TASK, R0, 15, right(*KEYS)) in events
    assert [game.free(who) for who in KEYS] == [FUNDS - BOND + amount for amount in right(*KEYS)]
    assert sum(right(*KEYS)) > 0


def test_a_wrong_claim_costs_its_claimer_the_stake_and_pays_nobody_wrongly(game: Game) -> None:
    greedy = (Amount(POT), Amount(0), Amount(0), Amount(0))
    game.bind(*KEYS)
    game.does(A, claiming(*KEYS, amounts=greedy))
    game.does(OUTSIDER, ChallengeRound(TASK, R0))
    events = game.prove(*KEYS)
    assert DisputeDecided(TASK, R0, False, A.account, Amount(STAKE)) in events
    share = (STAKE - STAKE // 2) // 4
    earned = right(*KEYS)
    assert game.free(A) == FUNDS - BOND - STAKE + share + earned[0]
    assert game.free(B) == FUNDS - BOND + share + earned[1]
    rest = STAKE - STAKE // 2 - 4 * share
    assert game.free(OUTSIDER) == FUNDS - 2 * POT + STAKE // 2 + rest + POT - sum(earned)


def test_a_false_challenge_costs_the_challenger(game: Game) -> None:
    game.bind(*KEYS)
    game.does(A, claiming(*KEYS))
    game.does(D, ChallengeRound(TASK, R0))
    events = game.prove(*KEYS)
    assert DisputeDecided(TASK, R0, True, D.account, Amount(STAKE)) in events
    share, earned = (STAKE - STAKE // 2) // 4, right(*KEYS)
    assert game.free(A) == FUNDS - BOND + STAKE // 2 + share + earned[0]
    assert game.free(D) == FUNDS - BOND - STAKE + share + earned[3]


def test_who_disputes_with_itself_pays_the_others_for_the_delay(game: Game) -> None:
    game.bind(*KEYS)
    game.does(D, claiming(*KEYS))
    game.does(D, ChallengeRound(TASK, R0))
    game.prove(*KEYS)
    share, earned = (STAKE - STAKE // 2) // 4, right(*KEYS)
    assert game.free(D) == FUNDS - BOND - STAKE + STAKE // 2 + share + earned[3]
    assert game.free(A) == FUNDS - BOND + share + earned[0]


def test_claims_are_refused_until_all_are_in_or_the_time_is_over(game: Game) -> None:
    game.bind(*KEYS)
    game.refuses(A, claiming(A, B, C), "market: others may still reveal")
    game.does(D, shows(D))
    game.chain.now += 11
    game.refuses(A, claiming(A, B, C), "market: leaves out a reveal")
    game.refuses(A, claiming(D), "market: too few")
    game.refuses(A, claiming(A, D, amounts=(Amount(1),)), "market: lists differ in length")
    game.refuses(A, claiming(A, D, amounts=(Amount(POT), Amount(1))), "market: more than the pot")
    game.refuses(A, claiming(A, D, amounts=(Amount(2**256 - 1), Amount(1))), "market: more than the pot")
    game.does(A, claiming(A, B, D))


def test_a_worker_that_a_claim_leaves_out_shows_its_labels_and_the_claim_falls(game: Game) -> None:
    game.bind(*KEYS)
    game.chain.now += 11
    game.does(A, claiming(A, B, C))
    assert game.free(A) == FUNDS - BOND - STAKE
    game.does(D, shows(D))
    assert game.free(A) == FUNDS - BOND, "nobody can prove whose fault it was"
    game.chain.now += 1
    game.refuses(A, claiming(A, B, C), "market: leaves out a reveal")
    game.does(A, claiming(*KEYS))
    game.chain.now += 11
    game.does(A, SettleRound(TASK, R0))
    assert game.free(D) == FUNDS - BOND + right(*KEYS)[3]


def test_a_silent_worker_forfeits_to_those_who_count(game: Game) -> None:
    game.bind(*KEYS)
    game.chain.now += 11
    game.does(A, claiming(A, B, C))
    game.chain.now += 11
    game.does(A, SettleRound(TASK, R0))
    assert game.free(D) == FUNDS - BOND
    assert game.free(B) == FUNDS - BOND + right(A, B, C)[1] + BOND // 3


# -- silence --


def test_labels_that_only_the_claimer_has_do_not_win_a_dispute(game: Game) -> None:
    """It counts a worker whose labels nobody else has and shows none: all others are paid by what they show."""
    game.bind(*KEYS)
    game.does(D, claiming(*KEYS))
    game.does(A, ChallengeRound(TASK, R0))
    game.chain.now += 11
    events = game.does(OUTSIDER, Advance(TASK))
    assert DisputeDecided(TASK, R0, False, D.account, Amount(STAKE)) in events
    assert any(isinstance(event, LabelsDemanded) for event in events)
    for who in (A, B, C):
        game.does(who, shows(who))
    game.refuses(A, claiming(A, B, C), "market: takes no claims")
    game.chain.now += 11
    events = game.does(OUTSIDER, Advance(TASK))
    assert any(isinstance(event, ProofWanted) for event in events)
    game.prove(A, B, C)
    share, earned = (STAKE - STAKE // 2) // 4, right(A, B, C)
    assert game.free(B) == FUNDS - BOND + share + earned[1] + BOND // 3
    assert game.free(A) == FUNDS - BOND + STAKE // 2 + share + earned[0] + BOND // 3
    assert game.free(D) == FUNDS - BOND - STAKE + share, "its bond was forfeited, and with it its seat"


def test_without_a_claimer_workers_are_paid_by_what_they_show(game: Game) -> None:
    game.bind(*KEYS)
    game.chain.now += 20
    game.refuses(OUTSIDER, Advance(TASK), "market: too early")
    game.chain.now += 1
    game.refuses(A, claiming(*KEYS), "market: too late")
    game.does(OUTSIDER, Advance(TASK))
    for who in KEYS:
        game.does(who, shows(who))
    game.prove(*KEYS)
    assert [game.free(who) for who in KEYS] == [FUNDS - BOND + amount for amount in right(*KEYS)]


def test_when_nobody_computes_the_round_is_void_and_all_money_is_free_again(game: Game) -> None:
    game.bind(*KEYS)
    game.chain.now += 21
    for who in KEYS:
        game.refuses(who, shows(who), "market: too late")
    game.does(OUTSIDER, Advance(TASK))
    for who in KEYS:
        game.does(who, shows(who))
    for _ in range(2):
        game.chain.now += 11
        game.does(OUTSIDER, Advance(TASK))
    assert game.chain.task(TASK)[0] == 5
    assert game.free(OUTSIDER) == FUNDS
    assert [game.free(who) for who in KEYS] == [FUNDS] * 4


# -- money in play --


def test_a_stake_in_play_cannot_be_withdrawn(game: Game) -> None:
    game.bind(*KEYS)
    game.does(A, Unstake(Amount(FUNDS - BOND - STAKE)))
    game.does(A, claiming(*KEYS))
    game.refuses(A, Unstake(Amount(1)), "staking: not enough free")
    game.does(B, Unstake(Amount(FUNDS - BOND - STAKE + 1)))
    game.refuses(B, ChallengeRound(TASK, R0), "staking: not enough free")
    assert game.chain.balances(A.account).locked == BOND + STAKE


# -- proofs --


def test_a_copied_answer_opens_nobody_elses_commitment(game: Game) -> None:
    game.bind(A, B)
    stolen = bound(A)
    game.does(D, CommitLabels(TASK, R0, stolen))
    game.does(C, CommitLabels(TASK, R0, bound(C)))
    game.refuses(D, RevealLabels(TASK, R0, SALT, LABELS[A]), "market: not what was committed")
    game.does(D, claiming(*KEYS, amounts=(Amount(0),) * 4))
    game.does(A, ChallengeRound(TASK, R0))
    roots = tuple(bytes(root(LABELS[who])) for who in (A, B, C, A))
    game.refuses(D, OpenProof(TASK, R0, (SALT,) * 4, roots), "market: not what was committed")


def test_lists_that_are_not_the_rounds_are_refused(game: Game) -> None:
    game.bind(*KEYS)
    bounds = [bound(who) for who in KEYS]
    roots = [root(LABELS[who]) for who in KEYS]
    other = [*bounds[:3], bytes(32)]
    raw = game.chain.raw
    assert raw(A, "commit_signed", OTHER, 0, [], [(1, 1)]) == "market: takes no commitments"
    for order, commitments, why in (
        ([0, 1, 2, 3], other, "market: not the commitments"),
        ([1, 0, 2, 3], bounds, "market: not the commitments"),
        ([0, 1, 2, 2**255], bounds, "market: not the commitments"),
        ([0, 1, 2], bounds, "market: lists differ in length"),
    ):
        assert raw(A, "reveal", TASK, 0, order, commitments, SALT, [LABELS[A]]) == why
    assert raw(A, "claim", TASK, 0, 31, [1] * 5) == "market: not bound"
    game.does(A, claiming(*KEYS))
    assert raw(A, "settle", TASK, 0, 15, [1] * 4, []) == "market: too early"
    game.does(B, ChallengeRound(TASK, R0))
    assert raw(A, "open_proof", TASK, 0, [0, 1, 2, 3], other, [SALT] * 4, roots) == "market: not the commitments"
    assert raw(A, "open_proof", TASK, 0, [0, 1, 2, 3], bounds, [SALT] * 4, roots) == ""
    assert raw(A, "prove_chunk", TASK, 0, roots[:3], [LABELS[A]] * 3, [[]] * 3) == "market: not the roots"
    assert raw(A, "prove_chunk", TASK, 0, roots, [LABELS[A]] * 3, [[]] * 4) == "market: lists differ in length"
    assert raw(A, "open_proof", TASK, 0, [0, 1, 2, 3], bounds, [SALT] * 4, roots) == "market: already opened"


def test_amounts_other_than_claimed_are_not_settled(game: Game) -> None:
    game.bind(*KEYS)
    game.does(A, claiming(*KEYS))
    game.chain.now += 11
    assert game.chain.raw(B, "settle", TASK, 0, 15, [POT, 0, 0, 0], []) == "market: not the claim"
    assert game.chain.raw(B, "settle", TASK, 0, 7, list(right(*KEYS)), []) == "market: not the claim"
    thieves = [OUTSIDER.account] * 4
    assert game.chain.raw(B, "settle", TASK, 0, 15, list(right(*KEYS)), thieves) == ""
    assert game.free(B) == FUNDS - BOND + right(*KEYS)[1], "wrong names for the workers change nothing"

"""The optimistic market where others see the mempool, where a chain splits, and where labels go on behind the last."""

from __future__ import annotations

import pytest

from p2pfd.core.claims import Advance, CommitLabels, RevealLabels, SettleRound
from p2pfd.core.ids import account_bytes
from p2pfd.core.modes import PostCommitments
from p2pfd.core.trees import root, root_commitment
from p2pfd.settlement import modes
from p2pfd.settlement.abi import reason
from p2pfd.settlement.artifacts import Artifact
from tests.contracts.chain import CHAIN_ID
from tests.contracts.test_optimistic_attacks import (
    BOND,
    FUNDS,
    KEYS,
    LABELS,
    OUTSIDER,
    R0,
    SALT,
    STAKE,
    TASK,
    A,
    B,
    Game,
    bound,
    claiming,
    right,
)


@pytest.fixture
def game() -> Game:
    return Game()


def test_a_claim_that_another_sends_first_costs_its_author_nothing(game: Game) -> None:
    """The copier carries the stake and earns nothing by it; the author's own is refused and locks nothing."""
    game.bind(*KEYS)
    game.does(OUTSIDER, claiming(*KEYS))
    game.refuses(A, claiming(*KEYS), "market: takes no claims")
    before = game.free(OUTSIDER)
    assert game.free(A) == FUNDS - BOND
    game.chain.now += 11
    game.does(B, SettleRound(TASK, R0))
    assert game.free(A) == FUNDS - BOND + right(*KEYS)[0]
    assert game.free(OUTSIDER) == before + STAKE + 1_000 - sum(right(*KEYS)), "its stake, and the rest of its own pot"


def a_split_chain_has_signatures_of_its_own(market: Artifact | None = None) -> None:
    """A chain splits off with all that is on this one; what was signed for this one binds nobody there."""
    game = Game(market)
    ledger, at = game.chain.ledger, account_bytes(game.chain.market)
    ledger.chain_id = CHAIN_ID + 1
    for chain_id, why in ((CHAIN_ID, "market: not in this round"), (CHAIN_ID + 1, "")):
        signed = modes.sign(A, chain_id, game.chain.market, TASK, R0, bound(A))
        data = modes.call_of("optimistic", PostCommitments(TASK, R0, (signed,)), game.chain.seen[TASK])
        outcome = ledger.call(account_bytes(OUTSIDER.account), at, data, 0, 10**6)
        assert ("" if outcome.success else reason(outcome.output)) == why


def test_a_chain_that_splits_off_has_signatures_of_its_own() -> None:
    a_split_chain_has_signatures_of_its_own()


def test_labels_behind_the_last_sample_are_refused_though_they_were_bound(game: Game) -> None:
    bad = bytes([LABELS[A][0] & 0x0F]) + LABELS[A][1:]
    game.does(A, CommitLabels(TASK, R0, root_commitment(TASK, R0, A.account, SALT, root(bad))))
    game.bind(*KEYS[1:])
    game.refuses(A, RevealLabels(TASK, R0, SALT, bad), "market: labels past the samples")
    game.refuses(A, RevealLabels(TASK, R0, SALT, LABELS[A]), "market: not what was committed")
    game.chain.now += 21
    game.does(OUTSIDER, Advance(TASK))
    game.refuses(A, RevealLabels(TASK, R0, SALT, bad), "market: labels past the samples")

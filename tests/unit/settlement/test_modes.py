"""A round of each mode through the settlement interface, on the pure ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from p2pfd.core.claims import (
    CommitLabels,
    Deposit,
    Enrol,
    Included,
    MarketTerms,
    OpenTask,
    Reverted,
    RoundSettled,
    SettleRound,
)
from p2pfd.core.ids import Amount, RoundId, TaskId
from p2pfd.core.labels import pack, unpack
from p2pfd.core.modes import (
    ClaimRound,
    DrawSamples,
    ModeClaim,
    OpenProof,
    PostCommitments,
    RevealWords,
    SamplesDrawn,
    WorkersPaid,
)
from p2pfd.core.trees import root, root_commitment, sum_commitment, sum_path, sum_root
from p2pfd.errors import ChainError
from p2pfd.incentives import ptsc
from p2pfd.incentives.sampled import words_of
from p2pfd.incentives.sampling import draw
from p2pfd.settlement import modes, reference
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import GENESIS, Cursor
from p2pfd.settlement.reference import ReferenceChain

REQUESTER, *WORKERS = [AccountKey(number.to_bytes(32, "big")) for number in range(1, 5)]
TASK, R0, SALT = TaskId(b"\1" * 32), RoundId(0), b"\5" * 32
LABELS = {
    who: pack(bytes((place * place // 7 + (place % 9 == at)) % 3 for place in range(200)))
    for at, who in enumerate(WORKERS)
}
TERMS = MarketTerms(
    task=TASK,
    samples=200,
    classes=3,
    rounds=1,
    pot=Amount(1_000),
    rate=Amount(100),
    bond=Amount(10),
    forfeit=Amount(10),
    quorum=3,
    seats=3,
    enrol_seconds=10,
    commit_seconds=10,
    reveal_seconds=10,
)


class Play:
    """A chain with a task in its first round."""

    def __init__(self, terms: MarketTerms) -> None:
        self.now = 0
        everyone = [REQUESTER, *WORKERS]
        self.chain = ReferenceChain({who.account: 2_000 for who in everyone}, 60, lambda: self.now, mode=terms.mode)
        self.at = {who: self.chain.settlement(who.account) for who in everyone}
        self.events: AsyncIterator[tuple[Cursor, Any]] = self.at[REQUESTER].events(GENESIS, TASK)

    async def begin(self, terms: MarketTerms) -> None:
        for who in self.at:
            await self.does(who, Deposit(Amount(2_000)))
        await self.does(REQUESTER, OpenTask(terms))
        for who in WORKERS:
            await self.does(who, Enrol(TASK))

    async def does(self, who: AccountKey, claim: ModeClaim) -> None:
        receipt = await self.at[who].final(await self.at[who].submit(claim))
        assert isinstance(receipt, Included), receipt

    async def until(self, kind: type) -> Any:
        """The next event of a kind."""
        async for _, event in self.events:
            if isinstance(event, kind):
                return event
        raise AssertionError("the events ended")


async def test_an_optimistic_round() -> None:
    terms = replace(TERMS, mode="optimistic", stake=50, challenge_seconds=5, dispute_seconds=5)
    play = Play(terms)
    await play.begin(terms)
    signed = tuple(
        modes.sign(
            who,
            reference.CHAIN_ID,
            reference.MARKET,
            TASK,
            R0,
            root_commitment(TASK, R0, who.account, SALT, root(LABELS[who])),
        )
        for who in WORKERS
    )
    await play.does(REQUESTER, PostCommitments(TASK, R0, signed))
    scores = ptsc.scores([unpack(LABELS[who], 200, 16) for who in WORKERS], 3)
    amounts = tuple(Amount(amount) for amount in ptsc.pay(1_000, 100, ptsc.means(scores, 200)))
    backwards = tuple(who.account for who in reversed(WORKERS))
    await play.does(WORKERS[0], ClaimRound(TASK, R0, backwards, tuple(reversed(amounts))))
    early = await play.at[REQUESTER].submit(SettleRound(TASK, R0))
    assert await play.at[REQUESTER].final(early) == Reverted(early, "market: too early")
    play.now = 6
    await play.does(REQUESTER, SettleRound(TASK, R0))
    assert (await play.until(WorkersPaid)).amounts == amounts
    assert sum(amounts) > 0
    assert (await play.at[REQUESTER].account(WORKERS[0].account)).free == 2_000 + amounts[0]
    assert await play.at[REQUESTER].terms(TASK) == terms


async def test_a_sampled_round() -> None:
    terms = replace(TERMS, mode="sampled", picks=2)
    play = Play(terms)
    await play.begin(terms)
    tops = {who: sum_root(LABELS[who], 3) for who in WORKERS}
    for who in WORKERS:
        await play.does(who, CommitLabels(TASK, R0, sum_commitment(TASK, R0, who.account, SALT, tops[who])))
    early = await play.at[REQUESTER].submit(DrawSamples(TASK, R0))
    assert await play.at[REQUESTER].final(early) == Reverted(early, "market: too early")
    await play.does(REQUESTER, DrawSamples(TASK, R0))
    picked = draw((await play.until(SamplesDrawn)).seed, 4, 2)
    for who in WORKERS:
        paths = tuple(sum_path(LABELS[who], 3, place) for place in picked)
        await play.does(who, RevealWords(TASK, R0, SALT, tops[who], words_of(LABELS[who], picked), paths))
    await play.does(REQUESTER, SettleRound(TASK, R0))
    settled = await play.until(RoundSettled)
    assert settled.counted
    assert settled.paid > 0


@pytest.mark.parametrize("mode", ["optimistic", "sampled"])
async def test_what_no_call_can_carry_is_not_sent(mode: str) -> None:
    play = Play(replace(TERMS, mode=mode))
    with pytest.raises(ChainError, match="this market is"):
        await play.at[REQUESTER].submit(OpenTask(TERMS))
    stranger = ClaimRound(TASK, R0, (REQUESTER.account,), (Amount(1),))
    other = DrawSamples(TASK, R0) if mode == "optimistic" else stranger
    for claim in (OpenProof(TASK, R0, (b"short",), (bytes(32),)), other):
        with pytest.raises(ChainError):
            await play.at[REQUESTER].submit(claim)

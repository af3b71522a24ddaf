"""What an encounter's end comes to, from the votes that were shown and from what the seats have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pfd.incentives import ptsc
from p2pfd.incentives.payouts import WHOLE, Payout, Rule, payout

VALID, INVALID = 2, 3
"""What a place of a ballot holds once it has voted; less means that it has not."""


@dataclass(frozen=True, slots=True)
class Stake:
    """What matters of a seat: what it can lose, and how it voted before."""

    balance: int
    valid: int = 0
    invalid: int = 0


@dataclass(frozen=True, slots=True)
class Award:
    """What the parties are credited, out of a prepayment of each, and what the seats then have."""

    learner: int
    neighbor: int
    balances: tuple[int, ...]


def vote_scores(votes: Sequence[bool], histories: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Each vote's serum score in millionths, by the histories (valid, invalid) of all who vote.

    A vote is weighed by how rare it is in what the others have voted before. A constant vote scores nothing in
    expectation, because it is as often below zero as its frequency says: the score is not cut off there.
    """
    if len(votes) < 2:
        return (0,) * len(votes)
    said = [sum(column) for column in zip(*histories, strict=True)]
    scores = []
    for vote, own in zip(votes, histories, strict=True):
        worth = ptsc.worth(said, own, 2)[0 if vote else 1]
        scores.append((votes.count(vote) - 1) * worth // (len(votes) - 1) - ptsc.SCALE)
    return tuple(scores)


def awarded(rule: Rule, prepayment: int, share: int, states: Sequence[int], stakes: Sequence[Stake | None]) -> Award:
    """The end of an encounter. None stands for a seat that changed hands since: it neither gets nor loses."""
    size = len(states)
    there = [Stake(0) if stake is None else stake for stake in stakes]
    balances = [stake.balance for stake in there]
    before = sum(balances)
    voters = [place for place, state in enumerate(states) if state >= VALID]
    votes = [states[place] == VALID for place in voters]
    paid = Payout(prepayment, 0, (0,) * len(votes))
    if len(votes) > size // 2:
        scores = vote_scores(votes, [(there[place].valid, there[place].invalid) for place in voters])
        paid = payout(rule, prepayment, share, votes, scores, [balances[place] for place in voters])
    neighbor = prepayment + paid.neighbor
    for place, change in zip(voters, paid.voters, strict=True):
        balances[place] += change
    pool = prepayment - prepayment * share // WHOLE
    forfeited = 0
    for place, state in enumerate(states):
        if state < VALID:
            forfeit = min(pool // 2, balances[place])
            balances[place] -= forfeit
            forfeited += forfeit
    for place in voters:
        balances[place] += forfeited // len(voters)
    if not voters:
        neighbor += forfeited
    kept = sum(balance for balance, stake in zip(balances, stakes, strict=True) if stake is not None)
    return Award(2 * prepayment + before - kept - neighbor, neighbor, tuple(balances))

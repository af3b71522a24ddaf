"""Who gets what after an encounter of learner, neighbor and validators, in whole units, under each of three rules.

The learner has put the prepayment r aside; ``neighbor_share`` of it, in millionths, is p_n, the rest p_v is the
voters'. A payout says how each balance changes once r leaves escrow, so all changes together are r. Every share is
rounded down and what rounding leaves is the learner's.

* ``paper``: as published. An invalid vote earns 1/p_v times what a valid one does, so to vote "invalid" always
  often pays.
* ``symmetric``: a vote earns the same whichever way; on rejection the learner gets p_n·r of the neighbor's penalty,
  and in a split vote each loser forfeits its share to the winners. "Valid" always still pays where nearly
  everything is valid.
* ``serum``: learner and neighbor as in ``symmetric``; voters are paid for their scores under the peer truth serum
  over their vote history, where a constant or a random vote earns nothing in expectation. A score below zero, which
  only scores of single encounters can be, is paid from the voter's bond.

Nobody loses more than its bond, where bonds are told.

A tie, or no vote at all, gives the learner its prepayment back and changes nothing else, under every rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from p2pfd.incentives.ptsc import pay

Rule = Literal["paper", "symmetric", "serum"]
WHOLE = 10**6
"""Shares are millionths of the prepayment."""


@dataclass(frozen=True, slots=True)
class Payout:
    """How much each balance changes; ``voters`` in the order of the votes."""

    learner: int
    neighbor: int
    voters: tuple[int, ...]

    @property
    def total(self) -> int:
        """All changes together: the prepayment."""
        return self.learner + self.neighbor + sum(self.voters)


def payout(
    rule: Rule,
    prepayment: int,
    neighbor_share: int,
    votes: Sequence[bool],
    mean_scores: Sequence[int] = (),
    bonds: Sequence[int] | None = None,
) -> Payout:
    """What an encounter comes to. True is a vote for valid; ``mean_scores``, in millionths, are for ``serum`` alone.

    ``bonds`` are what each voter can lose at most.
    """
    if prepayment < 0 or not 0 <= neighbor_share <= WHOLE:
        raise ValueError("a prepayment is not negative, and a share lies between nothing and the whole")
    valid, invalid = votes.count(True), votes.count(False)
    if valid == invalid:
        return Payout(prepayment, 0, (0,) * len(votes))
    if rule == "paper":
        return _paper(prepayment, neighbor_share, votes)
    neighbor = prepayment * neighbor_share // WHOLE if valid > invalid else -prepayment
    pool = prepayment - prepayment * neighbor_share // WHOLE
    if rule == "symmetric":
        voters = _majority(pool, votes, bonds)
    else:
        if len(mean_scores) != len(votes):
            raise ValueError("the serum needs a score for each voter")
        voters = pay(pool, pool // len(votes), mean_scores, bonds)
    return Payout(prepayment - neighbor - sum(voters), neighbor, voters)


def _paper(prepayment: int, neighbor_share: int, votes: Sequence[bool]) -> Payout:
    """Published for unanimous votes; in between in proportion, continuous with both ends."""
    count, valid = len(votes), votes.count(True)
    invalid = count - valid
    reward = valid * neighbor_share * prepayment // (WHOLE * count)
    penalty = -(-invalid * prepayment // count)
    for_valid = (WHOLE - neighbor_share) * prepayment // (WHOLE * count)
    for_invalid = prepayment // count
    voters = tuple(for_valid if vote else for_invalid for vote in votes)
    neighbor = reward - penalty
    return Payout(prepayment - neighbor - sum(voters), neighbor, voters)


def _majority(pool: int, votes: Sequence[bool], bonds: Sequence[int] | None) -> tuple[int, ...]:
    """The winners share the pool and what the losers forfeit: each of these as much as a winner's share of the pool."""
    verdict = 2 * votes.count(True) > len(votes)
    winners = votes.count(verdict)
    share = pool // winners
    bonds = bonds if bonds is not None else (share,) * len(votes)
    lost = [0 if vote == verdict else min(share, bond) for vote, bond in zip(votes, bonds, strict=True)]
    won = (pool + sum(lost)) // winners
    return tuple(won if vote == verdict else -loss for vote, loss in zip(votes, lost, strict=True))

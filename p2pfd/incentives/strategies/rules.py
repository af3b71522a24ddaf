"""What the rules pay for a set of reports: the project's own functions, called and not copied.

``labels`` is the market's rule, the other three are the validators'. Two candidates stand beside them, to be measured
and in no contract: see `candidates`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, cast, get_args

from p2pfd.incentives import ptsc
from p2pfd.incentives.payouts import Rule as VoteRule
from p2pfd.incentives.payouts import payout
from p2pfd.incentives.strategies.candidates import median_scores

Rule = Literal["labels", "paper", "symmetric", "serum", "labels-median", "serum-median"]
RULES: tuple[Rule, ...] = get_args(Rule)
IN_USE: tuple[Rule, ...] = ("labels", "paper", "symmetric", "serum")

UNIT = 10**6
"""What a mean score of one pays in the market, and the prepayment of an encounter."""
NEIGHBOR_SHARE = 700_000
"""p_n, in millionths: three tenths of the prepayment are the voters'."""

_Scores = Callable[[Sequence[bytes], int], tuple[int, ...]]


def is_market(rule: Rule) -> bool:
    """Whether the rule pays for labels, and not for votes."""
    return rule.startswith("labels")


def is_per_item(rule: Rule) -> bool:
    """Whether an item's pay depends on that item's votes alone, so that windows need not be enumerated."""
    return rule in ("paper", "symmetric")


def pays(rule: Rule, rows: Sequence[bytes], classes: int) -> tuple[int, ...]:
    """What each seat earns: of a market in the round, of a committee in all encounters of the window together."""
    score = median_scores if rule.endswith("-median") else ptsc.scores
    if is_market(rule):
        return _round(score, rows, classes)
    return _window(rule, score, rows)


def _round(score: _Scores, rows: Sequence[bytes], classes: int) -> tuple[int, ...]:
    pot = UNIT * ptsc.KAPPA * classes * len(rows)  # no score exceeds it, so that nobody's pay depends on the pot
    return ptsc.pay(pot, UNIT, ptsc.means(score(rows, classes), len(rows[0])))


def _window(rule: Rule, score: _Scores, rows: Sequence[bytes]) -> tuple[int, ...]:
    kind = cast("VoteRule", rule.removesuffix("-median"))
    means = ptsc.means(score(rows, 2), len(rows[0])) if kind == "serum" else ()
    earned = [0] * len(rows)
    for votes, times in Counter(zip(*rows, strict=True)).items():
        paid = payout(kind, UNIT, NEIGHBOR_SHARE, [vote == 1 for vote in votes], means)
        for seat, amount in enumerate(paid.voters):
            earned[seat] += times * amount
    return tuple(earned)

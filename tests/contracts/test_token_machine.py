"""Any call of the token from anyone in any order: it moves what it says, and nothing else."""

from __future__ import annotations

from collections import Counter
from time import perf_counter

import pytest

from p2pfd.core.rng import Rng
from tests.contracts.token_machine import walk

REACHED = {
    "transfer",
    "approve",
    "transferFrom",
    "permit",
    "erc20: transfer to the zero address",
    "erc20: transfer amount exceeds balance",
    "erc20: approve to the zero address",
    "erc20: insufficient allowance",
    "erc20: expired deadline",
    "erc20: invalid signature",
}
STEPS, LONG_WALKS = 500, 100


def test_the_token_and_its_ledger_agree() -> None:
    assert walk(Rng(b"token"), STEPS).reached.keys() >= REACHED


@pytest.mark.long
def test_the_token_and_its_ledger_agree_for_fifty_thousand_steps() -> None:
    """The supply, every account, allowance and nonce after each of them; the figure is printed."""
    steps, reached, begun = 0, Counter[str](), perf_counter()
    for number in range(LONG_WALKS):
        both = walk(Rng(b"token").split(number), STEPS)
        steps += both.steps
        reached.update(both.reached)
    took = perf_counter() - begun
    print(f"{steps} steps in {took:.1f} s: {steps / took:.0f} steps/s")
    assert steps >= STEPS * LONG_WALKS
    assert {name for name, times in reached.items() if times >= LONG_WALKS} >= REACHED

"""Before a node stakes anything it reads what the chain will hold it to."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.claims import Deposit, OpenTask
from p2pfd.core.ids import Account, Amount
from p2pfd.core.terms import terms_of
from p2pfd.errors import ChainError
from p2pfd.node.terms import check_terms
from p2pfd.settlement.reference import ReferenceChain
from tests.unit.node.test_config import SPEC

REQUESTER = Account("0x" + "ee" * 20)


async def opened(**changes: int):
    settlement = ReferenceChain({REQUESTER: 10**9}, 60, lambda: 1_000).settlement(REQUESTER)
    await settlement.submit(Deposit(Amount(10**8)))
    await settlement.submit(OpenTask(dataclasses.replace(terms_of(SPEC), **changes)))
    return settlement


async def test_the_terms_that_were_agreed_on_are_fine():
    await check_terms(await opened(), SPEC)


async def test_a_task_that_nobody_opened_is_named():
    settlement = ReferenceChain({}, 60, lambda: 1_000).settlement(REQUESTER)
    with pytest.raises(ChainError, match="knows no task"):
        await check_terms(settlement, SPEC)


async def test_every_difference_is_named():
    settlement = await opened(pot=1, forfeit=99)
    with pytest.raises(ChainError, match="pot is 1 and not 100; forfeit is 99 and not 10"):
        await check_terms(settlement, SPEC)

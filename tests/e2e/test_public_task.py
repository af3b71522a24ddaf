"""From nothing to pay, on the embedded chain: what strangers do when they join a task by its invitation."""

from __future__ import annotations

import pytest

from p2pfd.node import keys
from p2pfd.settlement.habits import INSTANT
from p2pfd.settlement.local import embedded_chain
from p2pfd.settlement.rpc import Rpc
from tests.e2e.strangers import play

REQUESTER = keys.throwaway(5, "requester")
pytestmark = [pytest.mark.long, pytest.mark.network]


async def test_strangers_join_by_an_invitation_and_leave_with_their_pay(tmp_path):
    async with embedded_chain(tmp_path / "chain", [REQUESTER.account.account]) as chain:
        rpc = Rpc(chain.url)
        await play(tmp_path, REQUESTER, chain.url, rpc, INSTANT)
        await rpc.aclose()

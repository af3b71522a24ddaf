"""What a call of the optimistic market brings along is as new as what its sender has seen to be final."""

from __future__ import annotations

import dataclasses
import json

import pytest

from p2pfd.core.claims import CommitLabels, Deposit, Enrol, Included, OpenTask, RevealLabels
from p2pfd.core.ids import Amount, RoundId
from p2pfd.core.modes import ClaimRound
from p2pfd.core.trees import root, root_commitment
from p2pfd.errors import ChainError
from p2pfd.settlement.deploy import deploy, deploy_also, transfer
from p2pfd.settlement.embedded.ledger import Ledger
from p2pfd.settlement.embedded.methods import Methods
from p2pfd.settlement.embedded.store import Store
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.kinds import OPTIMISTIC
from p2pfd.settlement.watch import Watcher
from tests.contracts.chain import BOSS, CHAIN_ID, key
from tests.unit.settlement.test_evm import CAPS, Direct
from tests.unit.settlement.test_modes import LABELS, SALT, TASK, TERMS, WORKERS

WHO, R0 = WORKERS[0], RoundId(0)
ALONE = dataclasses.replace(
    TERMS, mode="optimistic", seats=1, quorum=1, stake=50, challenge_seconds=5, dispute_seconds=5
)
BOUND = root_commitment(TASK, R0, WHO.account, SALT, root(LABELS[WHO]))


class Behind(Direct):
    """An endpoint that does not know of the newest blocks, though it has them."""

    lag = 0

    async def _once(self, body: bytes) -> bytes:
        answer = await super()._once(body)
        if self.lag and b"eth_blockNumber" in body and not body.startswith(b"["):
            told = json.loads(answer)
            told["result"] = hex(max(0, int(told["result"], 16) - self.lag))
            return json.dumps(told).encode()
        return answer


async def bound() -> tuple[Behind, EvmSettlement]:
    """One worker, bound to its labels: it can be claimed for, or show them."""
    now = [1_000]
    rpc = Behind(Methods(Ledger(Store(None), lambda: now[0], CHAIN_ID, {})))
    spec = await deploy(rpc, BOSS, 10**9, 60)
    contract = await deploy_also(rpc, BOSS, spec, OPTIMISTIC, {"unbond_seconds": 60})
    await transfer(rpc, BOSS, spec, {WHO.account: 10_000})
    watcher = Watcher(rpc, contract, finality=0, interval=0.01)
    mine = EvmSettlement(rpc, watcher, spec, CAPS, WHO, contract=contract)
    for claim in (Deposit(Amount(5_000)), OpenTask(ALONE), Enrol(TASK), CommitLabels(TASK, R0, BOUND)):
        assert isinstance(await mine.final(await mine.submit(claim)), Included)
    return rpc, mine


async def test_an_endpoint_that_is_behind_does_not_make_a_call_of_the_past(autojump_clock: object) -> None:
    rpc, mine = await bound()
    rpc.lag = 20
    claim = ClaimRound(TASK, R0, (WHO.account,), (Amount(0),))
    assert isinstance(await mine.final(await mine.submit(claim)), Included)


async def test_the_same_name_again_asks_for_nothing(autojump_clock: object) -> None:
    rpc, mine = await bound()
    claim = RevealLabels(TASK, R0, SALT, LABELS[WHO])
    first = await mine.submit_once("shown", claim)
    assert isinstance(await mine.final(first), Included)
    rpc.asked.clear()
    assert await mine.submit_once("shown", claim) == first
    assert not rpc.asked


async def test_what_happened_is_read_once(autojump_clock: object) -> None:
    rpc, mine = await bound()
    stranger = ClaimRound(TASK, R0, (key(7).account,), (Amount(0),))
    spans = []
    for _ in range(2):
        rpc.asked.clear()
        with pytest.raises(ChainError, match="holds no seat"):
            await mine.submit(stranger)
        spans.append(sum(b"eth_getLogs" in body for body in rpc.asked))
    assert spans == [1, 0], "there was nothing new to read"

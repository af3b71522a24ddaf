"""The supervisor notices when the chain goes."""

from __future__ import annotations

import signal
from functools import partial

import pytest
import trio
from p2pfd_localnet import checks, presets
from p2pfd_localnet import plan as plans
from p2pfd_localnet.chain import ChainLedger

from p2pfd.errors import ChainError, PlanError
from p2pfd.node import keys
from p2pfd.settlement.local import LocalChain


async def test_a_chain_that_goes_by_itself_is_an_error_and_one_that_hangs_up_is_not(tmp_path):
    log = tmp_path / "chain.log"
    log.write_text("all was well\nout of memory\n")
    calls, third = [], trio.Event()

    async def impatient(stream):
        calls.append(stream)
        if len(calls) >= 3:
            third.set()
            await trio.sleep_forever()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(trio.serve_tcp, impatient, 0, host="127.0.0.1"))
            port = listener.socket.getsockname()[1]
            chain = LocalChain(f"http://127.0.0.1:{port}", 1, 0)
            ledger = ChainLedger(chain, keys.throwaway(1, "requester").account, log)

            async def die():
                await third.wait()
                nursery.cancel_scope.cancel()

            async def mind():
                with trio.CancelScope(shield=True), pytest.raises(ChainError) as caught:
                    await ledger.watch()
                assert "out of memory" in caught.value.what
                assert str(log) in caught.value.fix

            nursery.start_soon(die)
            nursery.start_soon(mind)
    assert len(calls) == 3


def test_a_plan_may_name_a_chain_that_runs():
    for chain in ("anvil", "ganache", "http://127.0.0.1:8545", "https://example.org/path"):
        checks.check(plans.change(presets.find("small"), chain=chain))
    with pytest.raises(PlanError, match="chain is 'moon'"):
        checks.check(plans.change(presets.find("small"), chain="moon"))


def test_only_a_chain_of_its_own_is_ended_with_the_mesh(tmp_path, monkeypatch):
    ended = []
    monkeypatch.setattr("os.kill", lambda pid, number: ended.append((pid, number)))
    for pid in (0, 12345):
        chain = LocalChain("http://127.0.0.1:1", 1, pid)
        ChainLedger(chain, keys.throwaway(1, "requester").account, tmp_path / "log").kill()
    assert ended == [(12345, signal.SIGKILL)]

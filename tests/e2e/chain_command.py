"""A chain with an open task, and funded homes for nodes that are started one by one; SIGTERM ends it."""

from __future__ import annotations

import signal
from pathlib import Path

import trio
from p2pfd_localnet import plan as plans
from p2pfd_localnet.chain import open_ledger
from p2pfd_localnet.checks import check_data
from p2pfd_localnet.presets import find
from p2pfd_localnet.state import State

from p2pfd.core.spec import PhaseSpec
from p2pfd.node import keys
from p2pfd.node.config import save_task

PLAN = plans.change(find("small"), nodes=3, rounds=5, phases=PhaseSpec(60, 30, 30))


async def main() -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with open_ledger(PLAN, State(Path("chain-of-task")), 0) as ledger:
            task = await ledger.found(PLAN, check_data(PLAN))
            await ledger.open(task, PLAN)
            for name in PLAN.names():
                keys.save(keys.throwaway(PLAN.seed, name), Path(name) / "keys")
            save_task(task, Path("task.json"))
            print(ledger.url, flush=True)
            await anext(signals)


if __name__ == "__main__":
    trio.run(main)

"""Pays over and over from one outbox, and is killed over and over while it does: URL FILE TOKEN COUNT KILLS LIFE SEED.

One process imports everything once and then forks a payer for each life, so that a life costs milliseconds. A life has
its share of the payments to begin, and those that earlier ones did not bring to their end. Only the last one ends by
itself. It prints how many were killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import trio

from p2pfd.core.ids import Account
from p2pfd.core.rng import Rng
from p2pfd.errors import ChainError
from p2pfd.settlement import contracts
from p2pfd.settlement.outbox import Outbox
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.sender import Sender
from tests.e2e.paying import CHAIN_ID, GAS, HABITS, PAYEE, PAYER


async def pay(url: str, file: Path, token: Account, count: int, last: bool) -> None:
    """Payments up to a number, which names them; whatever was begun before is gone on with."""
    rpc = Rpc(url, timeout=5.0, patience=5.0)
    with Outbox(file) as outbox:
        sender = Sender(rpc, PAYER, CHAIN_ID, outbox=outbox, habits=HABITS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run)
            for number in range(1, count + 1):
                data = contracts.token()["transfer"].call(PAYEE.account, number)
                while True:
                    try:
                        await sender.send(token, data, GAS, intent=f"pay/{number}")
                        break
                    except ChainError:
                        await trio.sleep(HABITS.look_seconds)
            await sender.finished()
            if not last:
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()
    await rpc.aclose()


def main(url: str, file: str, token: str, count: str, kills: str, life_seconds: str, seed: str) -> None:
    rng, killed = Rng(int(seed)), 0
    for number in range(int(kills) + 1):
        last = number == int(kills)
        share = int(count) * (number + 1) // (int(kills) + 1)
        life = os.fork()
        if life == 0:
            code = 1
            try:
                trio.run(pay, url, Path(file), Account(token), share, last)
                code = 0
            finally:
                os._exit(code)
        if not last:
            time.sleep(rng.unit() * float(life_seconds))
            os.kill(life, signal.SIGKILL)
        _, status = os.waitpid(life, 0)
        killed += os.WIFSIGNALED(status)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise SystemExit(1)
    print(json.dumps({"kills": killed}))


if __name__ == "__main__":
    main(*sys.argv[1:])

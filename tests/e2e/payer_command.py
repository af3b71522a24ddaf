"""Pays over and over from one outbox, and is killed over and over while it does: URL FILE TOKEN COUNT KILLS LIFE SEED.

One process imports everything once and then forks a payer for each life, so that a life costs milliseconds. It prints
how many lives were ended before one came to its end.
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


async def pay(url: str, file: Path, token: Account, count: int) -> None:
    """All payments, each named by its number; whatever was begun is gone on with."""
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
            nursery.cancel_scope.cancel()
    await rpc.aclose()


def main(url: str, file: str, token: str, count: str, kills: str, life_seconds: str, seed: str) -> None:
    rng, done = Rng(int(seed)), 0
    while True:
        life = os.fork()
        if life == 0:
            code = 1
            try:
                trio.run(pay, url, Path(file), Account(token), int(count))
                code = 0
            finally:
                os._exit(code)
        if done < int(kills):
            time.sleep(rng.unit() * float(life_seconds))
            os.kill(life, signal.SIGKILL)
        _, status = os.waitpid(life, 0)
        if os.WIFSIGNALED(status):
            done += 1
        elif os.WEXITSTATUS(status) == 0:
            break
        else:
            raise SystemExit(1)
    print(json.dumps({"kills": done}))


if __name__ == "__main__":
    main(*sys.argv[1:])

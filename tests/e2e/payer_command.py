"""Pays over and over from one outbox, and is killed over and over: URL FILE TOKEN MARKET COUNT KILLS LIFE SEED.

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

from p2pfd.core.claims import Deposit
from p2pfd.core.ids import Account, Amount
from p2pfd.core.rng import Rng
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError
from p2pfd.settlement import contracts
from p2pfd.settlement.profiles import open_chain
from tests.e2e.paying import CHAIN_ID, DEPOSIT_EVERY, GAS, HABITS, PAYEE, PAYER, PROFILE


async def pay(url: str, file: Path, chain: ChainSpec, count: int, last: bool) -> None:
    """Payments up to a number, which names them; whatever was begun before is gone on with."""
    async with open_chain(chain, url, outbox=file, profile=PROFILE) as opened:
        sender, settlement = opened.sender(PAYER), opened.settlement(PAYER)
        for number in range(1, count + 1):
            name = f"pay/{number}"
            while True:
                try:
                    if number % DEPOSIT_EVERY == 0:
                        await settlement.submit_once(name, Deposit(Amount(number)))
                    else:
                        data = contracts.token()["transfer"].call(PAYEE.account, number)
                        await sender.send(chain.token, data, GAS, intent=name)
                    break
                except ChainError:
                    await trio.sleep(HABITS.look_seconds)
        await sender.finished()
        if not last:
            await trio.sleep_forever()


def main(url: str, file: str, token: str, market: str, count: str, kills: str, life_seconds: str, seed: str) -> None:
    rng, killed = Rng(int(seed)), 0
    chain = ChainSpec("amoy", CHAIN_ID, Account(token), Account(market))
    for number in range(int(kills) + 1):
        last = number == int(kills)
        share = int(count) * (number + 1) // (int(kills) + 1)
        life = os.fork()
        if life == 0:
            code = 1
            try:
                trio.run(pay, url, Path(file), chain, share, last)
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

"""``python -m p2pfd.settlement.embedded --state DIR``: the embedded chain in a process of its own.

When it is ready it prints one line of JSON, ``{"url": ..., "chain_id": ..., "pid": ...}``, and serves until SIGTERM,
SIGINT or, with ``--parent-pipe``, the end of its standard input: a parent that dies takes its chain with it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import trio

from p2pfd.core.ids import account, account_bytes
from p2pfd.errors import EnvironmentProblem, P2pfdError
from p2pfd.settlement.embedded.ledger import Ledger
from p2pfd.settlement.embedded.methods import Methods
from p2pfd.settlement.embedded.server import listen, serve
from p2pfd.settlement.embedded.store import Store
from p2pfd.settlement.embedded.waiting import Waiting

DEFAULT_CHAIN_ID = 31_337
STATE_FILE = "chain.sqlite"
EXIT_ENVIRONMENT = 9
EXIT_OTHER = 1
_FUNDS = 10**24
_CHUNK = 4096


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m p2pfd.settlement.embedded", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="directory that keeps the chain")
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        choices=range(2**16),
        metavar="PORT",
        help="port on 127.0.0.1; 0 takes any that is free",
    )
    parser.add_argument("--chain-id", type=int, default=DEFAULT_CHAIN_ID)
    parser.add_argument("--fund", action="append", default=[], help="an account that a new chain gives coins to")
    parser.add_argument(
        "--behind", type=int, default=0, metavar="SECONDS", help="the chain's time is so far behind: it stood still"
    )
    parser.add_argument("--parent-pipe", action="store_true", help="stop at the end of standard input")
    return parser.parse_args(arguments)


async def _until_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return


async def _until_parent_dies(scope: trio.CancelScope) -> None:
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as pipe:
        while await pipe.receive_some(_CHUNK):
            pass
    scope.cancel()


async def _run(options: argparse.Namespace) -> None:
    funded = {account_bytes(account(text)): _FUNDS for text in options.fund}
    listener = await listen(options.port)
    store = Store(options.state / STATE_FILE)
    try:
        ledger = Ledger(store, lambda: int(time.time()) - options.behind, options.chain_id, funded)
        waiting = Waiting(ledger, Methods(ledger).answer)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_signal, signals, nursery.cancel_scope)
                if options.parent_pipe:
                    nursery.start_soon(_until_parent_dies, nursery.cancel_scope)
                port = listener.socket.getsockname()[1]
                ready = {"url": f"http://127.0.0.1:{port}", "chain_id": options.chain_id, "pid": os.getpid()}
                sys.stdout.write(json.dumps(ready) + "\n")
                sys.stdout.flush()
                await serve(waiting.answer, listener, waiting.hold)
    finally:
        store.close()


def main(arguments: Sequence[str]) -> int:
    """Run until told to stop; the exit code."""
    try:
        trio.run(_run, _parsed(arguments))
    except P2pfdError as error:
        return _reported(error)
    except BaseExceptionGroup as group:
        known = [error for error in _leaves(group) if isinstance(error, P2pfdError)]
        if not known:
            raise
        return _reported(known[0])
    return 0


def _reported(error: P2pfdError) -> int:
    sys.stderr.write(f"error: {error}\n")
    return EXIT_ENVIRONMENT if isinstance(error, EnvironmentProblem) else EXIT_OTHER


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

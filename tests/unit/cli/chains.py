"""Chains in processes of their own, for tests that call commands as a shell would: from outside of trio."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from p2pfd.core.ids import Account


@contextmanager
def embedded(state: Path, fund: Sequence[Account], *chain_ids: int) -> Iterator[list[str]]:
    """Embedded chains with these ids, while the block lasts; their addresses."""
    with ExitStack() as stack:
        running = []
        for chain_id in chain_ids:
            command = [sys.executable, "-m", "p2pfd.settlement.embedded", "--parent-pipe", "--chain-id", str(chain_id)]
            command += ["--state", str(state / str(chain_id)), *(word for who in fund for word in ("--fund", who))]
            process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            stack.callback(_end, process)
            running.append(process)
        yield [json.loads(process.stdout.readline())["url"] for process in running if process.stdout is not None]


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=30)

"""A chain in a process of its own, for tests that call commands as a shell would: from outside of trio."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from p2pfd.core.ids import Account


@contextmanager
def embedded(state: Path, fund: Sequence[Account], chain_id: int = 31_337) -> Iterator[str]:
    """The embedded chain with this id, while the block lasts; its address."""
    command = [sys.executable, "-m", "p2pfd.settlement.embedded", "--parent-pipe", "--state", str(state)]
    command += ["--chain-id", str(chain_id), *(word for who in fund for word in ("--fund", who))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.close()
        process.wait(timeout=30)

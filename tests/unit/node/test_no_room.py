"""No room to write: each of a node's files says which it is and what to do, and what was there before stays good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from p2pfd.core.ids import TaskId
from p2pfd.node.store import Saved, Store
from p2pfd.settlement.api import GENESIS

LIMITED = """
import resource, sys
from pathlib import Path
import trio
from p2pfd.core.ids import TaskId
from p2pfd.errors import P2pfdError
from p2pfd.network.api import Cid
from p2pfd.network.diskblobs import DiskBlobs
from p2pfd.network.manifest import cid_of
from p2pfd.node.store import Saved, Store
from p2pfd.settlement.api import GENESIS
from p2pfd.settlement.outbox import Attempt, Outbox, Wish

what, path = sys.argv[1], Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
def fill():
    number = 0
    if what == "store":
        with Store(path / "node.db") as store:
            while True:
                number += 1
                store.save(TaskId(b"\\1" * 32), Saved(str(number).encode(), bytes(20_000), GENESIS))
                print(number)
    if what == "outbox":
        with Outbox(path / "outbox.db") as outbox:
            while True:
                number += 1
                wish = Wish(str(number), None, bytes(20_000), 1)
                outbox.add("scope", wish, 0, Attempt(number.to_bytes(32, "big"), b"", number, 1, 1))
                print(number)
    async def put():
        blobs = DiskBlobs(path / "blobs", 10**9)
        for blob in (bytes(1_000), bytes(300_000)):
            await blobs.put(Cid(cid_of(blob)), blob)
            print(len(blob))
    trio.run(put)
try:
    fill()
except P2pfdError as error:
    print(type(error).__name__, error)
"""


def limited(what: str, path: Path) -> list[str]:
    """Write with a limit, until that is refused."""
    done = subprocess.run([sys.executable, "-c", LIMITED, what, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_store_keeps_what_it_had(tmp_path: Path) -> None:
    *written, error = limited("store", tmp_path)
    assert written, "there was room at first"
    assert error == f"EnvironmentProblem no room to write {tmp_path / 'node.db'}: free some disk space and start again"
    with Store(tmp_path / "node.db") as store:
        assert store.load(TaskId(b"\1" * 32)) == Saved(written[-1].encode(), bytes(20_000), GENESIS)


@pytest.mark.parametrize(("what", "file"), [("outbox", "outbox.db"), ("blobs", "blobs")])
def test_the_others_name_themselves_and_what_to_do(tmp_path: Path, what: str, file: str) -> None:
    *written, error = limited(what, tmp_path)
    assert written, "there was room at first"
    assert str(tmp_path / file) in error
    assert "free some" in error

"""The outbox on disk: what it wrote is there after a crash, and what is wrong with its file is said."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from p2pfd.core.ids import Account
from p2pfd.errors import EnvironmentProblem, P2pfdError, StorageError
from p2pfd.settlement.outbox import Attempt, Fate, Outbox, Wish

TARGET = Account("0x" + "11" * 20)
SCOPE, OTHER = "1/ab/0x01", "1/ab/0x02"


def wish(name: str) -> Wish:
    return Wish(name, TARGET, b"data of " + name.encode(), 100, b"meaning")


def attempt(number: int, nonce: int, fee: int = 5) -> Attempt:
    return Attempt(number.to_bytes(32, "big"), b"raw %d" % number, nonce, 1, fee)


def test_an_intent_and_its_attempts_come_back_as_they_were(tmp_path: Path) -> None:
    with Outbox(tmp_path / "deep" / "outbox") as outbox:
        first = outbox.add(SCOPE, wish("a"), 7, attempt(1, 0))
        outbox.add_attempt(first, attempt(2, 0, fee=9))
        outbox.add(SCOPE, wish("b"), 7, attempt(3, 1))
        outbox.add(OTHER, wish("a"), 7, attempt(4, 0))
    with Outbox(tmp_path / "deep" / "outbox") as outbox:
        held = outbox.find(SCOPE, "a")
        assert held is not None
        assert (held.wish, held.nonce, held.since, held.fate) == (wish("a"), 0, 7, None)
        assert held.attempts == (attempt(1, 0), attempt(2, 0, fee=9)), "the oldest offer first"
        assert [each.wish.name for each in outbox.unfinished(SCOPE)] == ["a", "b"]
        assert [each.wish.name for each in outbox.unfinished(SCOPE, 1)] == ["a"]
        assert (outbox.count(SCOPE), outbox.count(OTHER), outbox.count("nobody")) == (2, 1, 0)
        assert (outbox.last_nonce(SCOPE), outbox.last_nonce("nobody")) == (1, -1)
        assert outbox.find(OTHER, "b") is None, "accounts do not see each other's intents"
        assert outbox.of_transaction(OTHER, attempt(1, 0).tx) is None


def test_a_fate_is_found_by_every_attempt_there_ever_was(tmp_path: Path) -> None:
    fate = Fate(attempt(3, 5).tx, 12, False, 21_000, "market: too early", TARGET)
    with Outbox(tmp_path / "outbox") as outbox:
        held = outbox.add(SCOPE, wish("a"), 7, attempt(1, 0))
        outbox.move(held, 9, attempt(3, 5))
        moved = outbox.find(SCOPE, "a")
        assert moved is not None
        assert (moved.nonce, moved.since, moved.attempts) == (5, 9, (attempt(3, 5),)), "the old nonce is done with"
        outbox.finish([(moved, fate)])
    with Outbox(tmp_path / "outbox") as outbox:
        for number in (1, 3):
            found = outbox.of_transaction(SCOPE, attempt(number, 0).tx)
            assert found is not None
            assert found.fate == fate
        assert outbox.unfinished(SCOPE) == []
        assert outbox.last_nonce(SCOPE) == 5, "what is over still has its nonce"


def test_what_is_forgotten_was_never_there() -> None:
    with Outbox(None) as outbox:
        held = outbox.add(SCOPE, wish("a"), 7, attempt(1, 3))
        outbox.forget(held)
        assert outbox.find(SCOPE, "a") is None
        assert outbox.of_transaction(SCOPE, attempt(1, 3).tx) is None
        assert outbox.last_nonce(SCOPE) == -1


def test_a_name_is_given_once() -> None:
    with Outbox(None) as outbox:
        outbox.add(SCOPE, wish("a"), 7, attempt(1, 0))
        with pytest.raises(StorageError, match="UNIQUE"):
            outbox.add(SCOPE, wish("a"), 7, attempt(2, 1))
        assert outbox.count(SCOPE) == 1
        assert outbox.of_transaction(SCOPE, attempt(2, 1).tx) is None, "and nothing is written by halves"


WRITER = """
import os, signal, sys
from p2pfd.settlement.outbox import Attempt, Outbox, Wish
outbox = Outbox(__import__("pathlib").Path(sys.argv[1]))
for number in range(5):
    outbox.add("s", Wish(str(number), None, b"", 1), 0, Attempt(bytes([number]) * 32, b"raw", number, 0, 0))
print("written", flush=True)
sys.stdin.read()
"""


def test_what_was_written_survives_a_kill_and_nobody_else_gets_in_before(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    words = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        with pytest.raises(EnvironmentProblem, match="in use by another process"):
            Outbox(path)
        os.kill(process.pid, signal.SIGKILL)
    with Outbox(path) as outbox:
        assert [each.wish.name for each in outbox.unfinished("s")] == ["0", "1", "2", "3", "4"]


def test_files_that_are_no_outbox_are_told(tmp_path: Path) -> None:
    def fails(path: Path, said: str) -> None:
        with pytest.raises(P2pfdError, match=said) as caught:
            Outbox(path)
        assert caught.value.fix, "and what to do"

    (tmp_path / "text").write_bytes(b"this is no database" * 100)
    fails(tmp_path / "text", "not a database")
    (tmp_path / "folder").mkdir()
    fails(tmp_path / "folder", "cannot write")
    fails(tmp_path / "text" / "below", "cannot write")
    with sqlite3.connect(tmp_path / "newer") as newer:
        newer.execute("pragma user_version = 9")
    newer.close()
    fails(tmp_path / "newer", "has schema 9")
    with Outbox(tmp_path / "good") as outbox:
        outbox.add(SCOPE, wish("a"), 7, attempt(1, 0))
        outbox._db.execute("delete from attempt")
        with pytest.raises(StorageError, match="'a' has no transaction"):
            outbox.unfinished(SCOPE)

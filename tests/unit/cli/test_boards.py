"""Publishing an invitation on notice boards, finding it there by words, and joining by a task's id alone."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
from contextlib import contextmanager

import pytest
import trio

from p2pfd.cli import boards
from p2pfd.cli.program import PROGRAM
from p2pfd.core.manifest import Manifest
from p2pfd.core.rng import Rng
from p2pfd.core.spec import NO_CHAIN
from p2pfd.network.libp2p import open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.node import keys
from p2pfd.node.board import Board
from p2pfd.node.manifest import seal
from p2pfd.node.notices import Limits
from tests.unit.cli.test_json import problems
from tests.unit.node.test_config import SPEC

pytestmark = pytest.mark.network
ASKER, OTHER = keys.throwaway(1, "requester").account, keys.throwaway(1, "stranger").account


class Served:
    """A board in a thread, as a command sees it: from outside."""

    def __init__(self) -> None:
        self.address = ""
        self.board: Board | None = None
        self._ready = threading.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()

    async def _main(self, seed: bytes) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async with open_transport(seed, "/ip4/127.0.0.1/tcp/0", NetworkSettings(heartbeat_seconds=5)) as transport:
                self.board = Board(Limits(), boards.now, Rng(1))
                await self.board.serve(transport)
                self.address = transport.addresses[0]
                self._ready.set()
                await trio.sleep_forever()

    @contextmanager
    def running(self, seed):
        thread = threading.Thread(target=trio.run, args=(self._main, seed))
        thread.start()
        try:
            assert self._ready.wait(30)
            yield self
        finally:
            self._token.run_sync_soon(self._scope.cancel)
            thread.join(30)


@pytest.fixture(scope="module")
def two():
    with Served().running(b"1" * 32) as one, Served().running(b"2" * 32) as other:
        yield one, other


@pytest.fixture
def say(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0):
        with open("/dev/null") as nothing, monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", nothing)
            assert PROGRAM.main([*words, "--json"]) == code, capsys.readouterr()
        told = json.loads(capsys.readouterr().out)
        return told["error"] if code else told

    return run


def written(path, name, by=ASKER, **more):
    task = dataclasses.replace(SPEC, name=name, chain=NO_CHAIN)
    more.setdefault("issued", boards.now())
    path.write_text(seal(Manifest(task, by.account, **more), by))
    return task


def test_what_is_published_is_found_and_shown(say, two, tmp_path):
    one, other = two
    task = written(tmp_path / "a", "berries", note="ripe ones")
    told = say("publish", "a", "--at", one.address, "--at", other.address)
    assert told["boards"] == {one.address: "kept", other.address: "kept"}
    assert problems("p2pfd publish", told) == []
    assert say("publish", "a", "--at", one.address)["boards"] == {one.address: "known"}
    found = say("task", "find", "RIPE", "berries", "--at", one.address, "--at", other.address)
    assert problems("p2pfd task", found) == []
    assert [each["id"] for each in found["tasks"]] == [task.id.hex()]
    assert say("task", "show", found["tasks"][0]["invitation"])["id"] == task.id.hex()
    assert say("task", "find", "unripe", "--at", one.address)["tasks"] == []


def test_a_task_is_joined_by_its_id_alone(say, two, tmp_path, monkeypatch):
    one, other = two
    task = written(tmp_path / "a", "by-id")
    say("publish", "a", "--at", other.address)
    words = ("join", task.id.hex()[:10], "--home", "node", "--dry-run")
    assert say(*words, "--at", one.address, "--at", other.address)["id"] == task.id.hex()
    monkeypatch.setenv(boards.VARIABLE, f"{one.address},{other.address}")
    assert say(*words)["id"] == task.id.hex()


def test_of_two_who_signed_one_task_one_is_named(say, two, tmp_path):
    one, _ = two
    task = written(tmp_path / "a", "twice")
    written(tmp_path / "b", "twice", by=OTHER)
    for name in "ab":
        say("publish", name, "--at", one.address)
    told = say("join", task.id.hex()[:16], "--home", "node", "--dry-run", "--at", one.address, code=2)
    assert "2 accounts have signed invitations" in told["what"]
    asked = f"{task.id.hex()[:16]}@{OTHER.account}"
    assert say("join", asked, "--home", "node", "--dry-run", "--at", one.address)["id"] == task.id.hex()


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("publish", "a"), 2, "no notice board is named"),
        (("publish", "nothing", "--at", "AT"), 3, "there is no file nothing"),
        (("publish", "old", "--at", "AT"), 8, "hangs on none of 1 boards"),
        (("publish", "a", "--at", "/ip4/127.0.0.1/tcp/9"), 8, "is not a TCP address that ends in"),
        (("task", "find"), 2, "no notice board is named"),
        (("task", "find", "--at", "GONE"), 8, "cannot be reached"),
        (("task", "find", *"abcdefghi", "--at", "AT"), 2, "9 words to look for"),
        (("join", "f" * 16, "--at", "AT"), 3, "no board has an invitation to ffff"),
        (("join", "f" * 16), 2, "no notice board is named"),
        (("join", "digits.p2pfd", "--at", "AT"), 2, "is not a task's id"),
        (("task", "show"), 2, "takes one file"),
        (("task", "check", "a", "b"), 2, "takes one file"),
    ],
    ids=range(12),
)
def test_what_cannot_be_is_said(say, two, tmp_path, words, code, hint):
    written(tmp_path / "a", "said")
    written(tmp_path / "old", "said", issued=1)
    gone = two[0].address.replace(two[0].address.split("/")[4], "9")
    told = say(*({"AT": two[0].address, "GONE": gone}.get(word, word) for word in words), code=code)
    assert hint in told["what"] or "refused" in told["what"]

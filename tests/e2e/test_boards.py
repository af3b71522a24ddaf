"""Notice boards of real processes: what hangs at one relay is found at another, and is there after a power cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from p2pfd.cli import boards
from p2pfd.core.manifest import Manifest
from p2pfd.core.spec import NO_CHAIN
from p2pfd.node import keys
from p2pfd.node.manifest import seal
from tests.e2e.test_waypoint import ROOT, Waypoint
from tests.unit.node.test_config import SPEC, dataclasses

ASKER = keys.throwaway(1, "requester").account
PATIENCE = 40
pytestmark = [pytest.mark.long, pytest.mark.network]


class Relay(Waypoint):
    """A relay that knows others."""

    def __init__(self, home: Path, *known: str) -> None:
        words = ["relay", "--home", str(home), "--listen", "/ip4/127.0.0.1/tcp/0"]
        words += [word for address in known for word in ("--bootstrap", address)]
        command = [sys.executable, "-m", "tests.e2e.p2pfd_command", *words, "--json"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ, text=True
        )
        self.address = self.line("address ").split()[1]


def say(*words: str, code: int = 0) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.e2e.p2pfd_command", *words, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_what_hangs_at_one_relay_is_found_at_another_and_outlives_a_kill(tmp_path):
    task = dataclasses.replace(SPEC, name="berries", chain=NO_CHAIN)
    (tmp_path / "invitation").write_text(seal(Manifest(task, ASKER.account, issued=boards.now()), ASKER))
    one = Relay(tmp_path / "one")
    other = Relay(tmp_path / "other", one.address)
    try:
        assert say("publish", str(tmp_path / "invitation"), "--at", one.address)["boards"] == {one.address: "kept"}
        one.process.kill()  # as a power cut would
        one.process.communicate()
        one = Relay(tmp_path / "one", other.address)
        assert "1 invitations on its board" in one.line("serving ")
        for _ in range(PATIENCE):  # each look takes a second and more; boards ask one another twice a minute
            found = say("task", "find", "berries", "--at", other.address)["tasks"]
            if found:
                break
        assert [each["id"] for each in found] == [task.id.hex()]  # type: ignore[index]
        asked = ("join", task.id.hex()[:12], "--home", str(tmp_path / "node"), "--dry-run")
        assert say(*asked, "--at", other.address)["id"] == task.id.hex()
        assert one.end()["notices"] == 1
    finally:
        for relay in (one, other):
            relay.process.kill()
            relay.process.communicate()

"""Nodes for the supervisor's own tests: they keep the protocol of pipes and files, and learn nothing.

A round takes `FAKE_ROUND_MS`. What goes wrong is told by `FAKE_FAULTS`: ``node-1:die@2`` kills the process in round 2,
``node-1:fail@2`` lets it say why it cannot go on, ``node-1:deaf`` ignores the request to stop, ``node-1:mute`` never
listens, ``node-1:endless`` never finishes, ``node-1:short`` learns from no round. The last round waits for the file
that `FAKE_UNTIL` names, so that who watches has seen what there is to see before a mesh is over.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path


class FakeNode:
    def __init__(self, config_path: Path, control: int, status: int) -> None:
        self.config = json.loads(config_path.read_text())
        self.name = self.config["name"]
        self.home = Path(self.config["home"])
        self.control, self.status = control, status
        faults = [f.split(":") for f in os.environ.get("FAKE_FAULTS", "").split(",") if f]
        self.fault = next((what for name, what in faults if name == self.name), "")
        self.rounds = json.loads(Path(self.config["task"]).read_text())["rounds"]
        self.account = json.loads((self.home / "keys" / "keys.json").read_text())["account"]
        self.peer = json.loads((self.home / "keys" / "keys.json").read_text())["peer"]

    def say(self, event: str, **fields: object) -> None:
        os.write(self.status, json.dumps({"node": self.name, "event": event, **fields}).encode() + b"\n")

    def log(self, event: str, **fields: object) -> None:
        line = {"t": time.time_ns() // 1000, "node": self.name, "event": event, **fields}
        with (self.home / "events.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def asked_to_stop(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.control], [], [], seconds)
        if not ready:
            return False
        raw = os.read(self.control, 65536)
        return not raw or b'"stop"' in raw

    def run(self) -> int:
        if self.fault == "mute":
            while not self.asked_to_stop(60):
                pass
            return 0
        place = self.config["shard"]
        address = f"/ip4/127.0.0.1/tcp/{40000 + place}/p2p/{self.peer}"
        self.log("node.started", pid=os.getpid(), peer=self.peer, account=self.account)
        self.log("node.listening", addresses=[address])
        self.say("listening", addresses=[address], peer=self.peer, account=self.account)
        told = os.read(self.control, 65536)
        if b'"dial"' not in told:
            return 0
        peers = [address.rpartition("/")[2] for address in json.loads(told.split(b"\n")[0])["dial"]]
        self.say("ready")
        for rnd in range(self.rounds):
            self.log("round.opened", round=rnd, workers=self.config["shards"])
            if self.fault == f"die@{rnd + 1}":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == f"fail@{rnd + 1}":
                self.log("node.failed", error="the dog ate it", fix="feed the dog", kind="ChainError")
                self.say("failed", error="the dog ate it", fix="feed the dog", kind="ChainError")
                return 1
            if self.asked_to_stop(float(os.environ.get("FAKE_ROUND_MS", "10")) / 1000):
                return 0
            while rnd == self.rounds - 1 and not Path(os.environ.get("FAKE_UNTIL", os.devnull)).exists():
                if self.asked_to_stop(0.05):
                    return 0
            for event in ("round.committed", "round.revealed"):
                self.log(event, round=rnd, have=self.config["shards"], of=self.config["shards"])
            if self.fault == "short":
                self.log("round.short", round=rnd, votes=0, quorum=1)
                continue
            self.log(
                "round.absorbed", round=rnd, accuracy=0.5 + 0.4 * (rnd + 1) / self.rounds, weights="ab" * 32, votes=1
            )
            sent = 200 * (rnd + 1)
            figures = {"bytes_sent": sent, "bytes_received": sent // 2, "label_bytes": sent // 4, "weights_bytes": 4000}
            self.log("node.network", peers=peers, heard=dict.fromkeys(peers, 2), **figures)
        if self.fault == "deaf":
            self.log("test.deaf")
        while self.fault == "deaf":
            signal.pause()
        while self.fault == "endless":
            if self.asked_to_stop(60):
                return 0
        self.log("node.finished", rounds=self.rounds, weights="ab" * 32, accuracy_together=0.9, accuracy_alone=0.6,
                 bytes_sent=2000, bytes_received=1000, label_bytes=500, fedavg_bytes=40000)  # fmt: skip
        self.say("finished")
        while not self.asked_to_stop(60):
            pass
        self.log("node.stopped")
        return 0


def run(config_path: Path, control: int, status: int) -> int:
    print("a fake node starts", flush=True)
    return FakeNode(config_path, control, status).run()


def main() -> int:
    """`localnet up`, with fake nodes."""
    from p2pfd.cli import start

    return start.run(_program)


def _program() -> int:
    from p2pfd_localnet import life, up

    from p2pfd.cli.app import Program

    entry = os.environ.get("FAKE_ENTRY", "fakes:run")
    command = up.Command("up", "x", "x", up.UP.options, lambda args, screen: up.run(args, screen, entry))
    again = up.Command("start", "x", "x", life.START.options, lambda args, screen: life.start(args, screen, entry))
    return Program("localnet", "x", "x", (command, again)).main()


if __name__ == "__main__":
    sys.exit(main())

"""What a command and all that it starts take: run as a program of its own, in a network namespace of its own.

``unshare -n python meter.py OUT LIMIT FOLDER -- COMMAND...`` writes one JSON object to OUT. It is alone in its
namespace, so what the loopback interface carries is what the command's processes send to one another. It adopts every
orphan among them, so no process escapes its sums, however it was started.

It needs nothing but Python: the rivals' environments need not know of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

EVERY, HEAVY = 0.5, 4
"""Seconds from one look to the next, and at how many of these memory is summed: that is dear with many processes."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
TICK = os.sysconf("SC_CLK_TCK")
STARTED, USER, CHILDREN_SYSTEM = 19, 11, 14
"""Places in /proc/PID/stat, counted after the name."""


def adopt() -> None:
    """Become the parent of orphans below, and end when the bench ends."""
    control = ctypes.CDLL(None, use_errno=True).prctl
    if control(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) or control(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def loopback_up() -> None:
    """A new namespace has a loopback interface that is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        name = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(handle, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


def carried(text: str) -> tuple[int, int]:
    """Bytes and packets that the loopback interface has sent, from the text of /proc/net/dev."""
    for line in text.splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == "lo":
            columns = figures.split()
            return int(columns[8]), int(columns[9])
    return 0, 0


def ticks(stat: str) -> tuple[int, int]:
    """The parent and the clock ticks used, its own and of children it has waited for, from a /proc/PID/stat."""
    columns = stat.rpartition(")")[2].split()
    return int(columns[1]), sum(int(each) for each in columns[USER : CHILDREN_SYSTEM + 1])


def below(root: int) -> dict[int, int]:
    """Each living process below this one, and the ticks that it has used."""
    used: dict[int, int] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            parent, spent = ticks(Path("/proc", entry, "stat").read_text())
        except OSError:
            continue  # it has just ended
        children[parent].append(int(entry))
        used[int(entry)] = spent
    found, todo = {}, list(children[root])
    while todo:
        pid = todo.pop()
        found[pid] = used[pid]
        todo += children[pid]
    return found


def pss(pids: list[int]) -> int:
    """Bytes of memory of these processes together; a page that several share is divided among them."""
    total = 0
    for pid in pids:
        try:
            text = Path("/proc", str(pid), "smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total


def spent() -> float:
    """Processor seconds of all below that have ended and were waited for."""
    gone = resource.getrusage(resource.RUSAGE_CHILDREN)
    return gone.ru_utime + gone.ru_stime


class Meter:
    """One run."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.samples: list[tuple[float, float, int]] = []
        self.peak = self.most = self.looks = 0

    def look(self) -> None:
        """Time, processor seconds and bytes now; now and then, memory."""
        alive = below(os.getpid())
        now = spent() + sum(alive.values()) / TICK
        before = self.samples[-1][1] if self.samples else 0.0
        sent, _ = carried(Path("/proc/net/dev").read_text())
        self.samples.append((time.time(), round(max(now, before), 3), sent))
        self.most = max(self.most, len(alive))
        if self.looks % HEAVY == 0:
            self.peak = max(self.peak, pss(list(alive)))
        self.looks += 1

    def run(self, command: list[str], folder: Path) -> dict[str, object]:
        """Run it, to its end or to the limit, and leave nothing of it behind."""
        begun = time.time()
        with (folder / "out.log").open("wb") as out, (folder / "err.log").open("wb") as err:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
            code: int | None = None
            try:
                while code is None and time.time() - begun < self.limit:
                    self.look()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        code = child.wait(EVERY)
                ended = time.time()
            finally:  # stopped in the middle, too
                self.sweep()
        self.look()
        sent, packets = carried(Path("/proc/net/dev").read_text())
        own = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "code": code,
            "cut_off": code is None,
            "begun": begun,
            "seconds": round(ended - begun, 3),
            "cpu_seconds": round(self.samples[-1][1], 3),
            "wire_bytes": sent,
            "wire_packets": packets,
            "peak_bytes": self.peak,
            "processes": self.most,
            "meter_cpu_seconds": round(own.ru_utime + own.ru_stime, 3),
            "samples": self.samples,
        }

    def sweep(self) -> None:
        """End what is left, and wait for it, so that it counts."""
        for _ in range(100):
            alive = list(below(os.getpid()))
            for pid in alive:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.05)


def main() -> None:
    """Measure, and write what was found."""
    out, limit, folder, dashes, *command = sys.argv[1:]
    if dashes != "--" or not command:
        raise SystemExit("usage: meter.py OUT LIMIT FOLDER -- COMMAND...")
    adopt()
    loopback_up()
    found = Meter(float(limit)).run(command, Path(folder))
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()

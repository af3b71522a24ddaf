"""What every preset of `localnet` takes on this machine: time, work, memory, and what it reaches, as a table.

Each runs as its own `localnet up PRESET`, one after another. Time is what `up` says from its start to the last node's
end; work is the processor time of all processes; memory is the largest sum of their proportional sets, looked at twice
a second. The load is what else the machine did. Presets whose data or chain is not here are named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pfd_localnet.cost import estimate
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import find, names

from tests.bench.processes import LOOK, PROGRAM, below, proportional_kb

LATE = "600"


@dataclass(frozen=True)
class Measured:
    """What a run took. ``told`` is its result, and ``said`` what it said besides."""

    told: dict[str, Any]
    wall: float
    work: float
    memory_mb: int
    disk_mb: float
    said: str


@dataclass(frozen=True)
class Row:
    """One run."""

    name: str
    found: Measured
    load: float


def measure(words: list[str]) -> Measured:
    """Run `localnet up` with these words to its end."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile("w+") as said:
        command = [sys.executable, "-c", PROGRAM, "up", *words, "--state", f"{place}/mesh", "--json"]
        command += ["--no-serve", "--start-timeout", LATE]
        mesh = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
        peak = 0
        while mesh.poll() is None:
            peak = max(peak, sum(proportional_kb(pid) for pid in below(mesh.pid)))
            time.sleep(LOOK)
        assert mesh.stdout is not None
        with mesh.stdout as stream:
            out = stream.read()
        said.seek(0)
        spoken = said.read()
        disk = sum(file.stat().st_blocks * 512 for file in Path(place).rglob("*") if file.is_file())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    last = out.strip().splitlines()[-1:] or ["{}"]
    return Measured(json.loads(last[0]), time.monotonic() - began, work, peak // 1000, disk / 1e6, spoken)


def run(name: str, data: str, more: list[str]) -> Row | str:
    """A preset's row, or why there is none."""
    load = os.getloadavg()[0]
    found = measure([name, *(["--data", data] if data else []), *more])
    if "accuracy" not in found.told:
        return str(found.told.get("error") or " ".join(found.said.strip().splitlines()[-2:]))
    return Row(name, found, load)


def shown(row: Row, more: list[str]) -> str:
    """A row of the table."""
    plan, found, told = find(row.name), row.found, row.found.told
    given = dict(zip(more[::2], more[1::2], strict=False))
    plan = change(plan, **{key: int(given[f"--{key}"]) for key in ("nodes", "rounds") if f"--{key}" in given})
    guess, accuracy = estimate(plan), told["accuracy"]
    lost = f", {len(told['lost'])} lost" if told["lost"] else ""
    took = f"{told['seconds']:.0f} | {found.work:.0f} ({guess.work:.0f}) | {found.memory_mb:,} ({guess.memory_mb:,})"
    reached = f"{accuracy['alone']:.3f} | {accuracy['together']:.3f}{lost}"
    return f"| `{row.name}` | {told['nodes']} | {plan.rounds} | {took} | {reached} | {row.load:.1f} |"


def main() -> None:
    """Run them all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names(), default=names(), metavar="PRESET")
    parser.add_argument("--cifar", default="", metavar="SET", help="instead of cifar10, such as cifar10-jpeg")
    parser.add_argument("--nodes", type=int, help="instead of the preset's")
    parser.add_argument("--rounds", type=int, help="instead of the preset's")
    args = parser.parse_args()
    more = [f"{word}" for key in ("nodes", "rounds") if getattr(args, key) for word in (f"--{key}", getattr(args, key))]
    print(
        "| preset | nodes | rounds | seconds | work, s (estimate) | memory, MB (estimate) | alone | together | load |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    missing = []
    for name in args.only:
        row = run(name, args.cifar if name == "cifar" else "", more)
        if isinstance(row, str):
            missing.append(f"{name}: {row}")
        else:
            print(shown(row, more), flush=True)
    for line in missing:
        print(f"\nleft out: {line}")


if __name__ == "__main__":
    main()

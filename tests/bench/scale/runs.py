"""One run from its cell: start it, watch its processes, and read what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench import bench_sim
from tests.bench.processes import LOOK, PROGRAM, Looks, busy, opened
from tests.bench.scale import gas, traffic
from tests.bench.scale.cells import EMBEDDED, MEETINGS, SIM, Cell
from tests.bench.scale.kept import FORMAT

START_SECONDS = "600"
WEIGH = 4
"""At every so many looks memory is added up."""
GRACE = 60.0
"""Seconds in which a mesh that is stopped may end by itself."""
TAIL = 600
STAT = Path("/proc/stat")
Outcome = dict[str, Any]


def measure(cell: Cell, limit: float) -> Outcome:
    """What a run took, as it is kept; with a ``problem``, and no figures, where it did not come to a good end."""
    load, begun = os.getloadavg()[0], time.time()
    try:
        found = _simulated(cell) if cell.kind == SIM else _mesh(cell, limit)
    except RunFailed as error:
        found = {"problem": str(error)}
    return {
        "format": FORMAT,
        "cell": cell.to_plain(),
        "load": round(load, 2),
        "began": round(begun),
        "whole_seconds": round(time.time() - begun, 1),
        "problem": "",
        **found,
    }


class RunFailed(Exception):
    """A run from which nothing can be told."""


def _simulated(cell: Cell) -> Outcome:
    """Two commands of different length: what the longer one takes more is the cost of its rounds, without a start."""
    short = max(1, cell.rounds // 4)
    before, begun = busy(STAT.read_text()), time.monotonic()
    try:
        less, more = (bench_sim.run(*cell.command(rounds)) for rounds in (short, cell.rounds))
    except SystemExit as error:
        raise RunFailed(str(error)) from error
    others = busy(STAT.read_text()) - before - less.cpu_seconds - more.cpu_seconds
    if more.cpu_seconds <= less.cpu_seconds:
        raise RunFailed(f"{less.cpu_seconds} and {more.cpu_seconds} CPU seconds: too short to tell rounds from a start")
    rounds = cell.rounds - short
    shares = cell.nodes * rounds
    return {
        "rounds": rounds,
        "round_seconds": (more.seconds - less.seconds) / rounds,
        "cpu": (more.cpu_seconds - less.cpu_seconds) / shares,
        "events": (more.events - less.events) / shares,
        "memory": more.largest_mb * 2**20 / cell.nodes,
        "finished": more.finished,
        "command": more.command,
        "command_cpu": more.cpu_seconds,
        "others": max(0.0, others) / (time.monotonic() - begun),
    }


def _mesh(cell: Cell, limit: float) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        place = Path(folder)
        mesh = place / "mesh"
        (place / "scale.toml").write_text(cell.plan)
        words = ["up", str(place / "scale.toml"), "--state", str(mesh), "--json", "--plain", "--no-serve"]
        command = [sys.executable, "-c", PROGRAM, *words, "--start-timeout", START_SECONDS]
        with (place / "out").open("wb") as out, (place / "err").open("wb") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
            looks = Looks(process.pid)
            cut_off = watched(process, looks, limit)
        if cut_off:
            raise RunFailed(f"cut off after {limit:.0f} s")
        told = last_word(place / "out")
        if "error" in told:
            raise RunFailed(f"{told['error']['what']}: {told['error']['fix']}")
        if process.returncode or "accuracy" not in told:
            said = (place / "err").read_text(errors="replace").strip()[-TAIL:]
            raise RunFailed(f"it ended with {process.returncode}: {said}")
        if told["lost"]:
            raise RunFailed(f"{len(told['lost'])} of its nodes were lost, {next(iter(told['lost']))} first")
        try:
            return (_met if cell.kind == MEETINGS else _learnt)(cell, mesh, looks, told)
        except ValueError as error:
            raise RunFailed(str(error)) from error


def watched(process: subprocess.Popen[bytes], looks: Looks, limit: float) -> bool:
    """Look at a mesh until it has ended; whether it had to be stopped."""
    end, number = time.monotonic() + limit, 0
    try:
        while process.poll() is None:
            if time.monotonic() > end:
                return True
            looks.take()
            if number % WEIGH == 0:
                looks.weigh()
            number += 1
            time.sleep(LOOK)
        return False
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()  # its nodes end when their supervisor is gone
                process.wait()


def last_word(out: Path) -> Mapping[str, Any]:
    """What `up` said in the end; nothing where it was cut short."""
    lines = out.read_text(errors="replace").strip().splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}


def of_each(whole: int | None, nodes: int) -> float | None:
    """A node's part of what all take together."""
    return None if whole is None else whole / nodes


def _learnt(cell: Cell, mesh: Path, looks: Looks, told: Mapping[str, Any]) -> Outcome:
    """A mesh with rounds: from the second one's opening to the last one's, and bytes from the first one's end."""
    times = opened(mesh)
    if len(times) < 3:
        raise ValueError(f"{len(times)} rounds: too few to tell a round's cost from a start's and an end's")
    rounds = len(times) - 2
    spent = looks.between(times[1], times[-1])
    in_round, before = traffic.sent(traffic.histories(mesh))
    paid = gas.by_round(gas.calls(mesh, "LabelMarket"))[1:] if cell.chain == EMBEDDED else []
    shares = cell.nodes * rounds
    return {
        "rounds": rounds,
        "round_seconds": (times[-1] - times[1]) / rounds,
        "cpu": sum(spent.values()) / shares,
        "cpu_by_part": {part: used / shares for part, used in sorted(spent.items())},
        "sent": in_round,
        "sent_before": before,
        "label_bytes": told["label_bytes_per_node"] / told["rounds"],
        "weights_bytes": told["fedavg_bytes_per_node"] / told["rounds"],
        "memory": of_each(looks.heaviest(times[1], times[-1]), cell.nodes),
        "others": looks.others(times[1], times[-1]),
        "gas": sum(sum(each.values()) for each in paid) / len(paid) / cell.nodes if paid else None,
        "gas_to_settle": sum(each.get("settle", 0) for each in paid) / len(paid) / cell.nodes if paid else None,
        "accuracy": told["accuracy"]["together"],
    }


def _met(cell: Cell, mesh: Path, looks: Looks, told: Mapping[str, Any]) -> Outcome:
    """A mesh that meets: from when all are ready to the last encounter's end, an encounter."""
    histories = traffic.histories(mesh)
    first, last = traffic.window(histories, "node.ready", "neighbor.over")
    ended = told["encounters"]["over"]
    if not ended:
        raise ValueError("no encounter came to an end")
    spent = looks.between(first, last)
    paid, calls = gas.of_meetings(gas.calls(mesh, "Encounters"))
    return {
        "encounters": ended,
        "accepted": told["encounters"]["accepted"],
        "seconds": last - first,
        "cpu": sum(spent.values()) / ended,
        "cpu_by_part": {part: used / ended for part, used in sorted(spent.items())},
        "sent": traffic.sent_since(histories, first) / ended,
        "memory": of_each(looks.heaviest(first, last), cell.nodes),
        "others": looks.others(first, last),
        "gas": paid / ended,
        "calls": calls / ended,
    }

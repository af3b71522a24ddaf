"""p2pfd beside p2pfl and Flower: the same task, model, data, seeds and target: ``make bench-peers``.

Each run is measured whole, from its command to its end, with all its processes, alone in a network namespace (Linux;
root, or a kernel that lets users have namespaces). What is measured is kept, a file for each run, in
`.bench/peers/runs`: the command goes on where it was stopped, and each time it has 30 minutes more it adds runs, until
all seeds are there. The rivals' environments are made first, and that time does not count.

``make bench-peers ARGS="--write docs/explanation/peers.md"`` writes the page, its table as CSV and its picture, and
``--readme README.md`` the short table there.
``--only "flower 10"`` takes the runs whose names have these words, ``--tiny`` makes short ones of them, and ``--list``
shows all.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench.machine import keep, machine
from tests.bench.peers import page
from tests.bench.peers.cells import OURS, Cell, plan, tiny
from tests.bench.peers.install import HOME, RIVALS, install, missing, versions
from tests.bench.peers.runs import FORMAT, PROGRAMS, measure, programs
from tests.bench.peers.summary import run_of, share

SEEDS, MINUTES = 3, 30.0
KEPT = HOME / "runs"
OWN = ("p2pfd", "torch", "numpy", "libp2p", "trio")


def main() -> None:
    """Measure what is not known yet, and show what is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many in all (3)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="begin no run that would end later (30)")
    parser.add_argument("--only", default="", help="words that a run's name must have")
    parser.add_argument("--tiny", action="store_true", help="two rounds, five with churn, of five nodes: kept apart")
    parser.add_argument("--slow", type=float, default=1.0, help="so much longer may a run take: on a busy machine (1)")
    parser.add_argument("--list", action="store_true", help="the runs, and which are kept")
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    parser.add_argument("--show", action="store_true", help="measure nothing: only show or write what is kept")
    parser.add_argument("--keep-files", type=Path, help="keep each run's files in this folder")
    parser.add_argument("--write", type=Path, help="the page; beside it its figures as .csv and .svg")
    parser.add_argument("--readme", type=Path, help="put the short table into this text, between its two marks")
    options = parser.parse_args()
    asked = [replace(tiny(cell) if options.tiny else cell, slow=options.slow) for cell in plan(options.seeds)]
    cells = [cell for cell in dict.fromkeys(asked) if all(word in cell.name for word in options.only.lower().split())]
    if not cells:
        raise SystemExit(f"error: no run's name has {options.only!r} in it. Fix: bench_peers.py --list")
    kept = KEPT / "tiny" if options.tiny else KEPT
    kept.mkdir(parents=True, exist_ok=True)
    if options.list:
        for cell in cells:
            print(f"{'kept' if known(kept, cell) else '':6}{cell.name}")
        return
    if not options.show:
        here = prepare_machine(cells)
        todo = [cell for cell in cells if options.again or known(kept, cell) is None]
        work(todo, cells, kept, here, options)
    outcomes = [outcome for cell in cells if (outcome := known(kept, cell))]
    if not outcomes and not options.write:
        raise SystemExit("error: no run is kept. Fix: bench_peers.py without --show")
    if options.readme:
        page.insert(options.readme, outcomes)
        print(f"written: {options.readme}")
    if options.write:
        for path in page.write(options.write, outcomes, len(cells)):
            print(f"written: {path}")
    else:
        print(page.tables(outcomes))
    print(json.dumps(page.figures(outcomes)))


def known(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """What is kept of a run, if it was measured in today's way."""
    path = folder / f"{cell.name}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found if (found.get("format"), found.get("programs")) == (FORMAT, programs(cell)) else None


def prepare_machine(cells: Sequence[Cell]) -> dict[str, Any]:
    """Make the environments that are missing; what the machine is, and which versions are on it."""
    if sys.platform != "linux":
        raise SystemExit("error: this measures by network namespaces and /proc. Fix: run it on Linux")
    wanted = sorted({PROGRAMS[cell.system][0] for cell in cells if cell.system not in OURS})
    for rival in wanted:
        if missing(rival):
            install(rival)
    return {**machine(OWN), "rivals": {rival: versions(rival) for rival in RIVALS if rival in wanted}}


def work(
    todo: Sequence[Cell], cells: Sequence[Cell], kept: Path, here: dict[str, Any], options: argparse.Namespace
) -> None:
    """One run after another, as long as there is time; each is kept as soon as it ends."""
    begun = time.monotonic()
    end = begun + 60 * options.minutes
    print(f"{len(cells) - len(todo)} of {len(cells)} runs are kept, {len(todo)} to do, {options.minutes:g} minutes")
    for number, cell in enumerate(todo, start=1):
        now = time.monotonic()
        if now + expected(cell, kept) > end:
            left = len(todo) - number + 1
            print(f"the time is over, {left} runs are left: say it again, and it goes on; or --minutes")
            return
        print(f"[{number}/{len(todo)}, {(now - begun) / 60:.1f} min] {cell.name} … ", end="", flush=True)
        load = os.getloadavg()[0]
        folder = options.keep_files / cell.name if options.keep_files else None
        outcome = {**measure(cell, folder), "load": load, "machine": here}
        keep(kept / f"{cell.name}.json", outcome)
        print(told(outcome), flush=True)


def told(outcome: dict[str, Any]) -> str:
    """A run in a line."""
    run = run_of(outcome)
    what = f"{run.seconds:.0f} s, {run.cpu:.0f} CPU s, {run.megabytes:.2f} MB, {run.ended} nodes ended"
    if run.mean is not None and run.least is not None:
        what += f", accuracy {share(run.mean)} (worst {share(run.least)})"
    return what + ("" if run.whole else ", CUT OFF" if outcome["cut_off"] else ", NOT WHOLE")


def expected(cell: Cell, kept: Path) -> float:
    """Seconds that a run will take: what one like it took with another seed or data, or half its limit."""
    like = [
        outcome["seconds"]
        for path in kept.glob("*.json")
        if (outcome := json.loads(path.read_text()))["cell"]["system"] == cell.system
        and outcome["cell"]["nodes"] == cell.nodes
    ]
    return max(like, default=cell.limit / 2) + 5


if __name__ == "__main__":
    main()

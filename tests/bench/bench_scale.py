"""How the cost of a node and round grows with nodes, public samples, the net and validators: ``make bench-scale``.

Real meshes and simulated ones, one after another. What is measured is kept, a file for each run, in `.bench/scale`: the
command goes on where it was stopped, and tries again what went wrong. ``--only sim`` takes the runs whose names have
that in them, ``--tiny`` makes one short run of each kind, and ``--list`` shows all. A run that takes longer than
``--limit`` minutes is stopped, and the page says so. On a machine that does other work, too, ``--times 2`` makes each
run twice: of several of a kind the one that took the least processor time counts.

``make bench-scale ARGS="--write docs/explanation/scaling.md"`` writes the page and its picture.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.machine import keep, machine
from tests.bench.scale import page
from tests.bench.scale.cells import SIM, Cell, plan, tiny_plan
from tests.bench.scale.kept import best, is_whole, known, path_of
from tests.bench.scale.runs import measure

HOME = Path(__file__).parents[2] / ".bench" / "scale"
PACKAGES = ("p2pfd", "torch", "numpy", "libp2p", "trio", "py-evm")


def main() -> None:
    """Measure what is not known yet, and show what is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="words that a run's name must have")
    parser.add_argument("--tiny", action="store_true", help="one short run of each kind: kept apart")
    parser.add_argument("--limit", type=float, default=10.0, help="minutes after which a mesh is stopped (10)")
    parser.add_argument("--times", type=int, default=1, help="how many runs of a kind there are to be (1)")
    parser.add_argument("--list", action="store_true", help="the runs, and which are kept")
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    parser.add_argument("--show", action="store_true", help="measure nothing: only show or write what is kept")
    parser.add_argument("--write", type=Path, help="the page; beside it its picture, as .svg")
    options = parser.parse_args()
    if sys.platform != "linux":
        raise SystemExit("error: this measures by /proc. Fix: run it on Linux")
    if options.tiny and options.write:
        raise SystemExit("error: tiny runs make no page. Fix: leave out --write, or --tiny")
    kept = HOME / "tiny" if options.tiny else HOME
    every = tiny_plan() if options.tiny else plan()
    cells = [cell for cell in every if all(word in cell.name for word in options.only.lower().split())]
    if not cells:
        raise SystemExit(f"error: no run's name has {options.only!r} in it. Fix: bench_scale.py --list")
    if options.list:
        for cell in cells:
            print(f"{sum(not one['problem'] for one in known(kept, cell)):3} kept  {cell.name}")
        return
    if not options.show:
        wanted = [(cell, nth) for nth in range(1, options.times + 1) for cell in cells]
        todo = [(cell, nth) for cell, nth in wanted if options.again or not is_whole(kept, cell, nth)]
        work(todo, len(wanted), kept, options.limit)
    outcomes = [best(found) for cell in every if (found := known(kept, cell))]
    if options.write:
        for path in page.write(options.write, outcomes, every):
            print(f"written: {path}")
    elif outcomes and not options.tiny:
        print(page.figures(outcomes))
    print(json.dumps({Cell(**outcome["cell"]).name: outcome.get("cpu") for outcome in outcomes}))


def work(todo: Sequence[tuple[Cell, int]], wanted: int, kept: Path, limit: float) -> None:
    """One run after another; each is kept as soon as it ends."""
    here, begun = machine(PACKAGES), time.monotonic()
    print(f"{wanted - len(todo)} of {wanted} runs are kept, {len(todo)} to do", flush=True)
    for place, (cell, nth) in enumerate(todo, start=1):
        minutes = (time.monotonic() - begun) / 60
        print(f"[{place}/{len(todo)}, {minutes:.1f} min] {cell.name} … ", end="", flush=True)
        outcome = {**measure(cell, 60 * limit), "machine": here}
        if not outcome["problem"] or not is_whole(kept, cell, nth):  # what went wrong does not replace what went well
            keep(path_of(kept, cell, nth), outcome)
        print(told(cell, outcome), flush=True)


def told(cell: Cell, outcome: dict[str, Any]) -> str:
    """A run in a line."""
    if outcome["problem"]:
        return f"NOT MEASURED: {' '.join(outcome['problem'].split())[:300]}"
    took = f"{outcome['whole_seconds']:.0f} s in all, load {outcome['load']:.1f}"
    if cell.kind == SIM:
        return f"{1000 * outcome['cpu']:.3f} CPU ms a node and round; {took}"
    gas = f", {outcome['gas']:,.0f} gas" if outcome["gas"] else ""
    return f"{outcome['cpu']:.3f} CPU s, {outcome['sent'] / 1e3:.1f} kB{gas}; {took}"


if __name__ == "__main__":
    main()

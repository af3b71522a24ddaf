"""Kills the processes of meshes, seed by seed, and says how far it is: ``python -m tests.e2e.crash_command --help``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import trio

from tests.e2e.crash_checks import check
from tests.e2e.crash_run import Tell, mesh_of, plan_of

KILLS = 25
SEEDS = range(1, 21)
ROOT = Path(__file__).parents[2]


async def run(seed: int, home: Path, kills: int, tell: Tell) -> dict[str, object]:
    """One seed: so many kills, and then everything is checked. What was found out."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    began = time.monotonic()
    async with mesh_of(plan_of(seed), home, tell) as mesh:
        await mesh.torment(kills)
        tell(f"seed {seed}: {mesh.kills} killed; waiting for the end")
        found = await check(mesh)
    seconds = round(time.monotonic() - began, 1)
    lives = sum(node.lives for node in mesh.nodes)
    return {
        "seed": seed,
        "kind": "encounters" if mesh.plan.meets else "rounds",
        "kills": mesh.kills,
        "chain_kills": mesh.chain.kills,
        "lives": lives,
        "places": dict(sorted(mesh.places.items())),
        "seconds": seconds,
        **found,
    }


def main() -> int:
    """Each seed that has no good result yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1-20", help="the first and the last (1-20)")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"in each seed ({KILLS})")
    parser.add_argument("--results", type=Path, default=Path("crashes.jsonl"), help="a line a seed, added to")
    parser.add_argument("--keep", type=Path, help="where the homes of failed seeds are left")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    done = {each["seed"] for each in map(json.loads, lines) if "error" not in each}
    failed = 0
    for seed in range(int(first), int(last or first) + 1):
        if seed in done:
            continue
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f"crashes-{seed}-", dir=options.keep))
        try:
            found = trio.run(run, seed, place / "mesh", options.kills, lambda line: print(line, flush=True))
        except Exception as error:  # noqa: BLE001 - the next seed is run, whatever became of this one
            failed += 1
            traceback.print_exc()
            found = {"seed": seed, "error": repr(error)[:2000], "home": str(place)}
        else:
            shutil.rmtree(place)
        print(json.dumps(found), flush=True)
        with options.results.open("a") as results:
            results.write(json.dumps(found) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

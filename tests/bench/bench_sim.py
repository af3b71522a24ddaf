"""How large a mesh can be simulated, how fast, and that nobody honest pays for what goes wrong in it.

Whole commands are measured, from their start to their end, with what all their processes use. The processor's seconds
say more than those of the clock where a machine has other things to do.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from p2pfd.sim.check import play, wrongs
from p2pfd.sim.parts import cores
from p2pfd.sim.run import Cast, SimPlan
from p2pfd.sim.schedules import draw
from p2pfd.sim.world import WorldPlan

SCHEDULES = 200
LOSSES = (0, 50_000, 200_000)
PARTS = ("protocol", "learning", "schedules", "penalties")


@dataclass(frozen=True)
class Run:
    """One command: seconds of the clock and of all processors, and the memory of its largest process."""

    command: str
    seconds: float
    cpu_seconds: float
    largest_mb: float
    events: int
    finished: int
    accuracy: float


def run(*words: str) -> Run:
    """Measure `p2pfd sim` with these words."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer")
        began = time.perf_counter()
        with answer.open("wb") as out, open(os.devnull, "wb") as nothing:
            streams = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, nothing.fileno(), 2)]
            program = [sys.executable, "-c", "from p2pfd.cli.main import main; main()", "sim", *words, "--json"]
            child = os.posix_spawn(sys.executable, program, os.environ, file_actions=streams)
            _, status, used = os.wait4(child, 0)
        seconds = time.perf_counter() - began
        if status:
            raise SystemExit(f"p2pfd sim {' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
        report = json.loads(answer.read_text())
    return Run(
        f"p2pfd sim {' '.join(words)}",
        round(seconds, 2),
        round(used.ru_utime + used.ru_stime, 2),
        round(used.ru_maxrss / 1024, 1),
        report["events"],
        report["finished"],
        round(report["accuracy_together"], 4),
    )


def commands(part: str) -> list[tuple[str, ...]]:
    """The commands that are measured."""
    processes = sorted({1, cores()})
    size = (
        ("-n", "10000", "--rounds", "20")
        if part == "protocol"
        else ("-n", "1000", "--rounds", "20", "--learn", "digits")
    )
    return [(*size, "--processes", str(count)) for count in processes]


def schedules() -> dict[str, float | int]:
    """How long a random schedule takes, and how many of these go wrong."""
    began = time.process_time()
    wrong = sum(bool(wrongs(draw(seed))) for seed in range(SCHEDULES))
    each = (time.process_time() - began) / SCHEDULES
    return {
        "schedules": SCHEDULES,
        "wrong": wrong,
        "ms_each": round(1000 * each, 1),
        "minutes_for_10000": round(each * 10_000 / 60, 1),
    }


def penalties() -> list[dict[str, object]]:
    """What happens to honest nodes while messages are lost."""
    rows = []
    for settled, nodes, rounds in ((False, 200, 20), (True, 60, 10)):
        for loss in LOSSES:
            plan = SimPlan(WorldPlan(nodes=nodes, degree=4, loss=loss), rounds=rounds, seed=1, settled=settled)
            played = asdict(play(plan, Cast(plan)))
            played["wrong"] = len(played["wrong"])
            rows.append({"settled": settled, "nodes": nodes, "rounds": rounds, "loss": loss / 1_000_000, **played})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="some of it")
    wanted = parser.parse_args().only
    found: dict[str, object] = {"cores": cores(), "load": round(os.getloadavg()[0], 1)}
    runs = [run(*words) for part in ("protocol", "learning") if part in wanted for words in commands(part)]
    if runs:
        print(f"{'command':62}{'s':>8}{'CPU s':>8}{'MB':>7}{'events':>11}{'finished':>10}{'accuracy':>10}")
    for one in runs:
        print(
            f"{one.command:62}{one.seconds:>8.1f}{one.cpu_seconds:>8.1f}{one.largest_mb:>7.0f}{one.events:>11,}"
            f"{one.finished:>10,}{one.accuracy:>10.1%}"
        )
    found["runs"] = [asdict(one) for one in runs]
    if "schedules" in wanted:
        found["schedules"] = told = schedules()
        print(
            f"\n{told['schedules']} random schedules of faults, 20 nodes: {told['wrong']} go wrong, "
            f"{told['ms_each']} ms each;"
        )
        print(f"10,000 take {told['minutes_for_10000']} minutes of one core")
    if "penalties" in wanted:
        found["penalties"] = rows = penalties()
        print(
            "\n"
            + f"{'mesh':34}{'loss':>6}{'accepted':>10}{'ignored':>9}{'rejected':>10}{'forfeits':>10}{'suspended':>11}"
        )
        for row in rows:
            name = f"{row['nodes']} nodes, {row['rounds']} rounds, {'ledger' if row['settled'] else 'gossip'}"
            print(
                f"{name:34}{row['loss']:>6.0%}{row['accepted']:>10,}{row['ignored']:>9,}{row['rejected']:>10}"
                f"{row['forfeits']:>10}{row['suspensions']:>11}"
            )
    print(json.dumps(found))


if __name__ == "__main__":
    main()

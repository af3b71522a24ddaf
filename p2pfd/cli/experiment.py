"""`p2pfd experiment FILE.toml`: a grid of simulated meshes with real training, nodes that misbehave, and a market."""

from __future__ import annotations

import argparse
import platform
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number, one_of
from p2pfd.cli.screen import Screen
from p2pfd.errors import StorageError, UsageError

if TYPE_CHECKING:
    from p2pfd.experiment.figures import Line
    from p2pfd.experiment.grid import Cell, Experiment
    from p2pfd.experiment.report import Found
    from p2pfd.experiment.result import Result
    from p2pfd.experiment.run import Progress
    from p2pfd.learning.bench.kept import Kept

TELL_EVERY = 2.0
"""Seconds between two words about how far it is."""
OUT = Path(".experiments")
CELLS = "cells.jsonl"
ENGINES = ("local", "ray")


def _options(parser: Parser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the experiment, a .toml file")
    parser.add_argument("--preset", metavar="NAME", help="an experiment that comes along, instead of a file")
    parser.add_argument("--list", action="store_true", help="the presets and the behaviours that there are, and stop")
    parser.add_argument(
        "--seeds", type=number(0, 2**63 - 1), nargs="+", metavar="S", help="one mesh each, instead of the file's"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="in every mesh, such as rounds=3; several times"
    )
    parser.add_argument("--dry-run", action="store_true", help="list the meshes and about how long they take, and stop")
    parser.add_argument(
        "--engine",
        type=one_of(*ENGINES),
        default=ENGINES[0],
        metavar="ENGINE",
        help="what simulates: local, this process; ray, all machines of a Ray cluster, a mesh a CPU",
    )
    parser.add_argument("--address", metavar="HOST:PORT", help="the Ray cluster (the one that this machine is of)")
    parser.suggest("engine", ENGINES)
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"where results are kept and written ({OUT}/NAME)")


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Simulate what is not simulated yet, and write the results."""
    if args.list:
        return _list(screen)
    if (args.file is None) == (args.preset is None):
        raise UsageError(
            "an experiment is a file or a preset, and one of them" if args.file else "there is no experiment to run",
            "p2pfd experiment my.toml, or p2pfd experiment --preset market; the presets: p2pfd experiment --list",
        )
    if args.engine == "local" and args.address is not None:
        raise UsageError("--address is for experiments on a cluster", "add --engine ray")
    from p2pfd.experiment import grid
    from p2pfd.experiment.run import check_cells, kept_in, missing, results
    from p2pfd.experiment.run import run as run_cells

    chosen = grid.from_file(args.file) if args.preset is None else grid.preset(args.preset)
    experiment = grid.with_options(chosen, args.seeds, args.set)
    folder = args.out or OUT / experiment.name
    kept = kept_in(folder / CELLS)
    cells = missing(experiment, kept)
    check_cells(cells)
    every = len({cell.key for cell in experiment.cells()})
    screen.say(
        f"plan    {experiment.name} · {len(experiment.rows)} meshes · {len(experiment.seeds)} seeds · "
        f"{every - len(cells)} of {every} are in {folder} already"
    )
    if args.dry_run:
        return _dry_run(screen, experiment, cells)
    began = time.perf_counter()
    if args.engine == "ray":
        _on_cluster(args, cells, kept, screen)
    else:
        run_cells(cells, kept, time.perf_counter, _teller(screen))
    seconds = time.perf_counter() - began
    return _report(screen, experiment, results(experiment, kept), folder, _command(args), len(cells), seconds)


def _on_cluster(args: argparse.Namespace, cells: list[Cell], kept: Kept[Result], screen: Screen) -> None:
    from p2pfd.cluster import AUTO, connected
    from p2pfd.experiment.cluster import run as run_there

    if cells:
        with connected(args.address or AUTO) as ray:
            run_there(ray, cells, kept, time.perf_counter, _teller(screen))


def _list(screen: Screen) -> int:
    from p2pfd import plugins
    from p2pfd.behaviours import GROUP
    from p2pfd.experiment import grid

    known = {name: grid.preset(name) for name in grid.presets()}
    behaviours = {name: plugins.load(GROUP, name) for name in plugins.names(GROUP)}
    sizes = [(name, f"{len(one.cells())} meshes", one.about) for name, one in known.items()]
    screen.table(("preset", "size", "about"), sizes)
    screen.say()
    rows = [(name, kind.part or "all", kind.about, kind.argument) for name, kind in behaviours.items()]
    screen.table(("behaviour", "of", "about", "after a colon"), rows)
    screen.result(
        {
            "presets": [{"name": name, "about": one.about, "meshes": len(one.cells())} for name, one in known.items()],
            "behaviours": [
                {"name": name, "part": kind.part, "about": kind.about, "argument": kind.argument}
                for name, kind in behaviours.items()
            ],
        }
    )
    return exits.OK.code


def _dry_run(screen: Screen, experiment: Experiment, cells: list[Cell]) -> int:
    from p2pfd.experiment.run import estimate

    wanted = {cell.key for cell in cells}
    listed = [(cell.title, cell.key) for cell in experiment.cells()]
    screen.table(("mesh", "state"), [(title, "to do" if key in wanted else "done") for title, key in listed])
    seconds = estimate(cells, time.perf_counter)
    screen.say(f"about {_long(seconds)} for {len(cells)} meshes on this machine")
    meshes = [{"mesh": title, "key": key, "done": key not in wanted} for title, key in listed]
    screen.result({"experiment": experiment.name, "meshes": meshes, "estimated_seconds": max(0.1, round(seconds, 1))})
    return exits.OK.code


def _teller(screen: Screen) -> Callable[[Progress], None]:
    told = [time.perf_counter()]

    def tell(progress: Progress) -> None:
        now = time.perf_counter()
        if now - told[0] < TELL_EVERY:
            return
        told[0] = now
        what = "encounter" if progress.cell.row.plan.kind == "encounters" else "round"
        screen.say(
            f"run     {progress.done + 1}/{progress.missing} · {progress.cell.title} · {what} {progress.round} of "
            f"{progress.of} · about {_long(progress.left)} left"
        )

    return tell


def _report(
    screen: Screen, experiment: Experiment, found: Found, folder: Path, command: str, ran: int, seconds: float
) -> int:
    from p2pfd.experiment.report import accuracies, fares, figures, lines, pays

    made = lines(experiment, found)
    files = _write(folder, experiment, found, made, command)
    learnt = accuracies(experiment, made)
    screen.say()
    screen.table(learnt.head, learnt.rows)
    fared = fares(experiment, made)
    if fared is not None:
        screen.say()
        screen.table(fared.head, fared.rows)
    for line, row in zip(made, experiment.rows, strict=True):
        paid = pays(line, row.plan)
        screen.say()
        screen.say(screen.style(line.title or "the mesh", "bold"))
        screen.table(paid.head, paid.rows)
    screen.say()
    screen.say(f"done    {ran} meshes simulated in {_long(seconds)} · {_machine()}")
    screen.say(f"        {files['report']} · {files['csv']}")
    told = {"simulated": ran, "seconds": round(seconds, 1), "machine": _machine(), "files": files}
    screen.result({**figures(experiment, made), **told})
    return exits.OK.code


def _write(folder: Path, experiment: Experiment, found: Found, made: list[Line], command: str) -> dict[str, str]:
    """The files of results; a path for each."""
    from p2pfd.experiment.page import curves, page, payments
    from p2pfd.experiment.panels import MEASURES, panels, stacked
    from p2pfd.experiment.report import course_csv, to_csv, to_markdown

    texts = {
        "report": ("report.html", page(experiment, made, command, _machine())),
        "csv": ("results.csv", to_csv(experiment, found)),
        "markdown": ("tables.md", to_markdown(experiment, made)),
    }
    if any(line.faring is not None for line in made):
        texts["course"] = ("course.csv", course_csv(experiment, found))
        for measure in MEASURES:
            drawn = panels(experiment, made, measure)
            if drawn:
                texts[measure.name] = (f"{measure.name}.svg", stacked(drawn))
    else:
        texts["accuracy"] = ("accuracy.svg", curves(made, alone=True))
    for place, line in enumerate(made, start=1):
        if any(group.by_round for group in line.groups):
            texts[f"pay-{place}"] = (f"pay-{place}.svg", payments(line, alone=True))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.values():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error}", "name another directory with --out") from error
    return {key: str(folder / name) for key, (name, _) in texts.items()}


def _command(args: argparse.Namespace) -> str:
    words = ["p2pfd experiment", *([shlex.quote(str(args.file))] if args.file else ["--preset", args.preset])]
    if args.seeds:
        words += ["--seeds", *map(str, args.seeds)]
    for text in args.set:
        words += ["--set", shlex.quote(text)]
    return " ".join(words)


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, one process"


def _long(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


EXPERIMENT = Command(
    "experiment",
    "simulate a grid of meshes that really train, with nodes that misbehave",
    "p2pfd experiment --preset market --seeds 1 2 3",
    _options,
    run,
)

"""`p2pfd bench learning TABLE`: what is learnt for how many bytes, measured on this machine."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number, one_of
from p2pfd.cli.screen import Screen
from p2pfd.errors import PlanError, StorageError

if TYPE_CHECKING:
    from p2pfd.core.spec import Setting
    from p2pfd.learning.bench import Cell, Point, Result, Table

SEEDS = (1, 2, 3)
_CACHE = Path(".bench", "learning.jsonl")


def _options(parser: Parser) -> None:
    parser.add_argument("subject", type=one_of("learning"), help="learning")
    parser.add_argument(
        "table",
        type=one_of("headline", "skew", "attack", "bits", "public"),
        help="headline, skew, attack, bits or public",
    )
    parser.add_argument(
        "--data",
        type=one_of("digits", "fashion", "cifar10-jpeg"),
        default="fashion",
        help="digits, fashion or cifar10-jpeg (fashion)",
    )
    parser.add_argument(
        "--seeds", type=number(0, 2**63 - 1), nargs="+", default=list(SEEDS), metavar="S", help="one mesh each (1 2 3)"
    )
    parser.add_argument("--rows", metavar="TEXT", help="only rows with this text in their name")
    parser.add_argument("--rounds", type=number(1, 10_000), metavar="R", help="other than the recipe's")
    parser.add_argument("--epochs", type=number(1, 1000), metavar="E", help="so many in every round")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of cfd; several times"
    )
    parser.add_argument(
        "--cache", type=Path, default=_CACHE, metavar="FILE", help=f"what was measured already ({_CACHE})"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write accuracy against bytes there, as SVG")


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Measure what is not measured yet, and write the table."""
    from dataclasses import replace

    from p2pfd import plugins
    from p2pfd.learning.bench import Cache, measure, only, table_of
    from p2pfd.learning.bench.cache import code_digest
    from p2pfd.learning.data.sets import load_set
    from p2pfd.learning.recipes import recipe_for

    recipe = recipe_for(args.data)
    if args.rounds:
        recipe = replace(recipe, rounds=args.rounds, even=None)
    adapter = plugins.load("p2pfd.adapters", "cfd")
    if args.set:
        recipe = recipe.having(dict(_setting(text, adapter.defaults) for text in args.set))
    if args.epochs:
        recipe = recipe.alike(args.epochs)
    table = table_of(args.table, recipe)
    if args.rows is not None:
        table = only(table, args.rows)
    cache = Cache(args.cache, code_digest([adapter]))
    seeds = tuple(dict.fromkeys(args.seeds))
    cells = table.cells(seeds)
    missing = list(dict.fromkeys(cell.key for _, cell in cells if cache.get(cell) is None))
    by_key = {cell.key: cell for _, cell in cells}
    if missing:
        load_set(recipe.data)  # whether it is here is known before anything is measured
    began = time.perf_counter()
    for at, key in enumerate(missing, start=1):
        cell = by_key[key]
        cache.put(cell, measure(cell, adapter(), time.process_time, _teller(screen, f"{at}/{len(missing)}", cell)))
    measured: dict[str, list[Result]] = {}
    for name, cell in cells:
        result = cache.get(cell)
        assert result is not None
        measured.setdefault(name, []).append(result)
    if args.plot:
        _plot(args.plot, table, measured)
    seconds = time.perf_counter() - began
    screen.say(f"{table.about}; mean ± standard deviation of {len(seeds)} seeds, on {recipe.test:,} test samples")
    screen.say()
    screen.say(table.markdown(measured))
    screen.say()
    screen.say(
        f"{len(missing)} of {len(by_key)} meshes measured now, in {seconds:.0f} s; {platform.machine()}, one thread"
    )
    figures = {"table": table.name, "data": recipe.data, "rounds": recipe.rounds, "seeds": list(seeds)}
    figures |= table.figures(measured)
    if screen.as_json:
        screen.result(figures)
    else:
        screen.say(json.dumps(figures))
    return exits.OK.code


def _setting(text: str, defaults: Mapping[str, Setting]) -> tuple[str, Setting]:
    """A setting of the type that its default has; what is not of that type stays text, which the adapter refuses."""
    name, equals, value = text.partition("=")
    if not equals or name not in defaults:
        raise PlanError(
            f"--set {text!r} is no setting", f"write NAME=VALUE; the names are {', '.join(sorted(defaults))}"
        )
    if name == "epochs":
        raise PlanError(f"--set {text} leaves open what even shares have", "use --epochs")
    if isinstance(defaults[name], bool):
        return name, {"true": True, "false": False}.get(value, value)
    whole = isinstance(defaults[name], int) and value.isascii() and value.isdigit() and len(value) < 10
    return name, int(value) if whole else value


def _teller(screen: Screen, place: str, cell: Cell) -> Callable[[int, int, Point], None]:
    """A line a round on stderr: the table on stdout may go to a file."""
    began = time.perf_counter()

    def tell(rnd: int, rounds: int, point: Point) -> None:
        seconds = time.perf_counter() - began
        screen.err.write(
            f"{place}  {cell.title} · round {rnd} of {rounds} · {point.accuracy:.3f} · {point.bytes / 1000:,.1f} kB · "
            f"{seconds:.0f} s\n"
        )
        screen.err.flush()

    return tell


def _plot(path: Path, table: Table, measured: Mapping[str, Sequence[Result]]) -> None:
    """The means over the seeds, round by round."""
    from p2pfd.learning.bench.plot import Curve, plot

    curves = []
    for name, results in measured.items():
        rounds = zip(*(result.curve for result in results), strict=True)
        points = tuple((fmean(p.bytes for p in points), fmean(p.accuracy for p in points)) for points in rounds)
        if points[-1][0]:  # who sends nothing has no place on the axis
            curves.append(Curve(name, points))
    try:
        path.write_text(plot(curves, f"accuracy: {table.about}"), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}", "name another file with --plot") from error


BENCH = Command(
    "bench",
    "measure what is learnt for how many bytes",
    "p2pfd bench learning headline --seeds 1 2 3",
    _options,
    run,
)

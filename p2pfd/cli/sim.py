"""`p2pfd sim`: the same machines as on a real mesh, in virtual time, with faults from a seed or from a script."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number, one_of
from p2pfd.cli.screen import Screen
from p2pfd.core.ticks import MILLISECOND
from p2pfd.errors import AssertionUnmet, PlanError, StorageError, UsageError
from p2pfd.sim.graphs import CIRCLE, GRAPHS

if TYPE_CHECKING:
    from p2pfd.sim.run import SimPlan, SimReport

MILLION = 1_000_000
TELL_EVERY = 2.0
"""Seconds between two words about how far a long simulation is."""
Progress = Callable[[float, int, int], None]
_MANY_TOYS, _MANY_LEARNERS = 40_000, 2_000
"""From so many nodes times rounds on, several processes are worth their start."""
_BESIDE = MappingProxyType({"replay": ("json", "plain"), "schedules": ("json", "plain", "seed")})
"""What may be given beside an option that says all itself."""


def _milliseconds(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    try:
        span = int(low), int(high or low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not milliseconds: write 50, or 20-80") from None
    if not 1 <= span[0] <= span[1] <= 60_000:
        raise argparse.ArgumentTypeError(f"{text!r}: latencies rise, and lie between 1 and 60000 milliseconds")
    return span


def _share(text: str) -> int:
    try:
        value = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share: write 0.05 or 5%") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not lie between 0 and 1")
    return round(value * MILLION)


def _options(parser: Parser) -> None:
    parser.add_argument("-n", "--nodes", type=number(1, 100_000), default=100, metavar="N", help="nodes (100)")
    parser.add_argument("--rounds", type=number(1, 100_000), default=10, metavar="R", help="rounds (10)")
    parser.add_argument("--seed", type=number(0, 2**63 - 1), default=0, metavar="S", help="decides everything (0)")
    parser.add_argument(
        "--graph",
        type=one_of(*GRAPHS),
        default=CIRCLE,
        metavar="NAME",
        help="who hears whom: circle (a ring with chords), ring, regular, erdos-renyi or barabasi-albert (circle)",
    )
    parser.add_argument(
        "--degree", type=number(1, 32), default=3, metavar="D", help="neighbours that each node hears (3)"
    )
    parser.add_argument(
        "--latency", type=_milliseconds, default=(20, 80), metavar="MS", help="such as 50 or 20-80 (20-80)"
    )
    parser.add_argument(
        "--loss", type=_share, default=0, metavar="P", help="share of messages that are lost, 0.05 or 5%% (0)"
    )
    parser.add_argument("--faults", type=Path, metavar="FILE", help="a TOML script of what goes wrong, and when")
    parser.add_argument(
        "--phase", type=number(1, 3600), default=10, metavar="S", help="seconds that labels are waited for (10)"
    )
    parser.add_argument(
        "--learn", type=one_of("toy", "digits"), default="toy", metavar="WHAT", help="a toy, or digits for real (toy)"
    )
    parser.add_argument(
        "--processes",
        type=number(1, 8),
        metavar="K",
        help="what runs is the same in any number of processes (a large mesh: as many as there are cores, else 1)",
    )
    parser.add_argument("--settled", action="store_true", help="settle on the reference ledger: one market for all")
    parser.add_argument(
        "--trace",
        type=Path,
        nargs="?",
        const=True,
        metavar="FILE",
        help="also the digest of every event at every node; with a file, the events themselves go there",
    )
    parser.add_argument(
        "--disaster",
        type=_share,
        metavar="P",
        help="a table: on four graphs, what it costs to lose this share of relays, of data-holders, of anyone",
    )
    parser.add_argument(
        "--seeds", type=number(1, 18), default=5, metavar="K", help="seeds in that table, from --seed on (5)"
    )
    parser.add_argument(
        "--schedules",
        type=number(1, 1_000_000),
        metavar="K",
        help="play K random schedules of faults, one a seed from --seed on; the first that goes wrong is made small",
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run such a file again, and compare event by event")


def plan_of(args: argparse.Namespace) -> SimPlan:
    """The plan that the options describe."""
    from p2pfd.sim import script
    from p2pfd.sim.run import SimPlan
    from p2pfd.sim.world import WorldPlan

    low, high = args.latency
    world = WorldPlan(
        nodes=args.nodes,
        degree=args.degree,
        latency_low=low * MILLISECOND,
        latency_high=high * MILLISECOND,
        loss=args.loss,
        graph=args.graph,
        faults=script.read(args.faults, args.nodes) if args.faults else (),
    )
    return SimPlan(
        world,
        rounds=args.rounds,
        seed=args.seed,
        trace=args.trace is not None,
        settled=args.settled,
        phase_seconds=args.phase,
        learn=args.learn,
    )


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Simulate and say what came of it."""
    try:
        if args.replay:
            return _replay(args, screen)
        if args.schedules:
            return _schedules(args, screen)
        plan = plan_of(args)
        if args.disaster is not None:
            return _disaster(plan, args, screen)
        report, seconds = _watched(plan, screen, lambda progress: _simulate(plan, args.trace, args.processes, progress))
    except PlanError as error:
        raise UsageError(error.what, error.fix) from error  # the whole plan stands in the options
    return _told(plan, report, seconds, screen)


def _simulate(plan: SimPlan, trace: Path | bool | None, processes: int | None, progress: Progress) -> SimReport:
    from p2pfd.sim.parts import cores, simulate_in_parts
    from p2pfd.sim.replay import Recorder
    from p2pfd.sim.run import TOY, simulate

    if not isinstance(trace, Path):
        large = plan.world.nodes * plan.rounds >= (_MANY_TOYS if plan.learn == TOY else _MANY_LEARNERS)
        worth = cores() if large and not plan.settled else 1
        return simulate_in_parts(plan, processes or worth, progress)
    if processes is not None and processes > 1:
        raise UsageError("--trace FILE with --processes", "who writes down all events runs all nodes: leave one out")
    try:
        with trace.open("w", encoding="utf-8", newline="\n") as file:
            return simulate(plan, progress, Recorder(plan, file))
    except OSError as error:
        raise StorageError(f"{trace} cannot be written: {error.strerror}", "name another file with --trace") from error


def _replay(args: argparse.Namespace, screen: Screen) -> int:
    from p2pfd.sim.replay import Comparer, open_trace
    from p2pfd.sim.run import simulate

    _alone(args, "replay", "the plan stands in the trace: give nothing beside --replay")
    plan, file = open_trace(args.replay)
    with file:
        comparer = Comparer(plan, file, str(args.replay))
        report, seconds = _watched(plan, screen, lambda progress: simulate(plan, progress, comparer))
        comparer.ended()
    screen.say(f"same    all {comparer.entries:,} events are those of {args.replay}")
    return _told(plan, report, seconds, screen)


def _schedules(args: argparse.Namespace, screen: Screen) -> int:
    from p2pfd.sim.check import wrongs
    from p2pfd.sim.schedules import draw
    from p2pfd.sim.shrink import shrink

    _alone(args, "schedules", "a schedule says itself what it needs: give --seed at the most")
    began = told = time.perf_counter()
    for seed in range(args.seed, args.seed + args.schedules):
        schedule = draw(seed)
        found = wrongs(schedule)
        if found:
            kind = found[0].kind
            small = shrink(schedule, lambda less: any(wrong.kind == kind for wrong in wrongs(less)))  # noqa: B023
            screen.say(small.text())
            raise AssertionUnmet(
                f"schedule {seed}: {kind}: {wrongs(small)[0].what}",
                "the script above is the smallest that was found to do so; write it to a file for --faults",
            )
        if time.perf_counter() - told > TELL_EVERY:
            told = time.perf_counter()
            screen.say(f"sim     {seed + 1 - args.seed:,} of {args.schedules:,} schedules in {told - began:.0f} s")
    seconds = time.perf_counter() - began
    screen.say(f"done    {args.schedules:,} schedules in {seconds:.1f} s: nothing goes wrong in them")
    screen.result({"seed": args.seed, "schedules": args.schedules, "seconds": round(seconds, 3)})
    return exits.OK.code


def _alone(args: argparse.Namespace, option: str, why: str) -> None:
    defaults = SIM.parser("p2pfd").read([])
    named = {name: value for name, value in vars(args).items() if name not in (option, *_BESIDE[option])}
    given = [name for name, value in named.items() if value != getattr(defaults, name)]
    if given:
        raise UsageError(f"--{option} with --{given[0]}", why)


def _disaster(plan: SimPlan, args: argparse.Namespace, screen: Screen) -> int:
    from p2pfd.sim.disaster import GRAPHS as COMPARED
    from p2pfd.sim.disaster import compare, table

    if args.faults or args.trace or args.settled or args.graph != CIRCLE:
        raise UsageError(
            "--disaster with --faults, --graph, --settled or --trace", "it has its own graphs and its own faults"
        )
    began = time.perf_counter()
    seeds = range(args.seed, args.seed + args.seeds)

    def tell(text: str) -> None:
        screen.err.write(f"sim     {time.perf_counter() - began:5.0f} s · {text}\n")
        screen.err.flush()

    rows = compare(plan, args.disaster, seeds, COMPARED, tell)
    seconds = time.perf_counter() - began
    screen.say(table(rows))
    screen.say()
    screen.say(
        f"{args.nodes} nodes, {args.rounds} rounds, degree {args.degree}, {args.disaster / MILLION:.0%} gone, "
        f"{len(seeds)} seeds, {plan.learn}; mean and 95 % interval; {seconds:.0f} s"
    )
    plain = [dataclasses.asdict(row) for row in rows]
    screen.result({"seed": args.seed, "seeds": args.seeds, "seconds": round(seconds, 3), "rows": plain})
    return exits.OK.code


def _watched(plan: SimPlan, screen: Screen, do: Callable[[Progress], SimReport]) -> tuple[SimReport, float]:
    """Say what is simulated, and how far it is; the report, and how many seconds it took."""
    world = plan.world
    faults = f" · {len(world.all_faults)} faults" if world.all_faults else ""
    screen.say(
        f"plan    {world.nodes} nodes · {world.graph} · {plan.rounds} rounds · seed {plan.seed} · latency "
        f"{world.latency_low / MILLISECOND:g}-{world.latency_high / MILLISECOND:g} ms · "
        f"loss {world.loss / MILLION:.1%}{faults}"
    )
    began = time.perf_counter()
    told = [began]

    def progress(virtual: float, events: int, absorbed: int) -> None:
        now = time.perf_counter()
        if now - told[0] < TELL_EVERY:
            return
        told[0] = now
        share = absorbed / (world.nodes * plan.rounds)
        screen.say(
            f"sim     {share:4.0%} · {virtual:,.0f} s of virtual time · {events:,} events in {now - began:.0f} s"
        )

    gc.disable()  # a simulation makes no cycles: what it no longer needs is freed at once, and looking costs time
    try:
        return do(progress), time.perf_counter() - began
    finally:
        gc.enable()


def _told(plan: SimPlan, report: SimReport, seconds: float, screen: Screen) -> int:
    rate = report.events / seconds if seconds else 0
    what = "a toy learner" if plan.learn == "toy" else f"{plan.learn}, test samples"
    screen.say(
        f"done    {report.virtual_seconds:.1f} s of virtual time in {seconds:.2f} s · {report.events:,} events, "
        f"{rate:,.0f} a second · {report.deliveries:,} deliveries"
    )
    cpu, largest = _used()
    screen.say(f"        {cpu:.1f} s of processor time · {largest:.0f} MB in the largest process")
    screen.say(
        f"        accuracy alone {report.accuracy_alone:.1%} → together {report.accuracy_together:.1%} "
        f"({what}) · {report.finished} finished · {report.short_rounds} short rounds"
    )
    where = "on every machine" if plan.learn == "toy" else "on this machine"
    screen.say(f"        digest {report.digest[:16]}…  the same options give the same digest {where}")
    screen.result({"seed": plan.seed, "seconds": round(seconds, 3), **dataclasses.asdict(report)})
    return exits.OK.code


def _used() -> tuple[float, float]:
    """Seconds of all processors, and megabytes of memory of the largest process, of this command so far."""
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 1 if sys.platform == "darwin" else 1024  # which tells bytes, and Linux kilobytes
    return sum(used.ru_utime + used.ru_stime for used in each), max(used.ru_maxrss for used in each) * unit / 2**20


SIM = Command(
    "sim", "simulate a mesh in virtual time", "p2pfd sim -n 1000 --rounds 20 --loss 5% --seed 7", _options, run
)

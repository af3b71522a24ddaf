"""`p2pfd sim`: the same machines as on a real mesh, in virtual time, with faults from a seed."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import time
from collections.abc import Callable
from typing import Any

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number
from p2pfd.cli.screen import Screen
from p2pfd.core.ticks import MILLISECOND
from p2pfd.errors import PlanError, UsageError

MILLION = 1_000_000
TELL_EVERY = 2.0
"""Seconds between two words about how far a long simulation is."""
Progress = Callable[[float, int, int], None]


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
        "--degree", type=number(1, 32), default=3, metavar="D", help="neighbours that each node hears (3)"
    )
    parser.add_argument(
        "--latency", type=_milliseconds, default=(20, 80), metavar="MS", help="such as 50 or 20-80 (20-80)"
    )
    parser.add_argument(
        "--loss", type=_share, default=0, metavar="P", help="share of messages that are lost, 0.05 or 5%% (0)"
    )
    parser.add_argument("--settled", action="store_true", help="settle on the reference ledger: one market for all")
    parser.add_argument("--trace", action="store_true", help="also the digest of every event at every node")


def simulate(args: argparse.Namespace, progress: Progress | None = None) -> dict[str, Any]:
    """Run the plan that the options describe; the report's fields."""
    from p2pfd.sim.run import SimPlan
    from p2pfd.sim.run import simulate as run_plan
    from p2pfd.sim.world import WorldPlan

    low, high = args.latency
    world = WorldPlan(
        nodes=args.nodes,
        degree=args.degree,
        latency_low=low * MILLISECOND,
        latency_high=high * MILLISECOND,
        loss=args.loss,
    )
    plan = SimPlan(world, rounds=args.rounds, seed=args.seed, trace=args.trace, settled=args.settled)
    gc.disable()  # a simulation makes no cycles: what it no longer needs is freed at once, and looking costs time
    try:
        return dataclasses.asdict(run_plan(plan, progress))
    finally:
        gc.enable()


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Simulate and say what came of it."""
    screen.say(
        f"plan    {args.nodes} nodes · {args.rounds} rounds · seed {args.seed} · "
        f"latency {args.latency[0]}-{args.latency[1]} ms · loss {args.loss / MILLION:.1%}"
    )
    began = time.perf_counter()
    told = [began]

    def progress(virtual: float, events: int, absorbed: int) -> None:
        now = time.perf_counter()
        if now - told[0] < TELL_EVERY:
            return
        told[0] = now
        share = absorbed / (args.nodes * args.rounds)
        screen.say(
            f"sim     {share:4.0%} · {virtual:,.0f} s of virtual time · {events:,} events in {now - began:.0f} s"
        )

    try:
        report = simulate(args, progress)
    except PlanError as error:
        raise UsageError(error.what, error.fix) from error  # the whole plan stands in the options
    seconds = time.perf_counter() - began
    rate = report["events"] / seconds if seconds else 0
    screen.say(
        f"done    {report['virtual_seconds']:.1f} s of virtual time in {seconds:.2f} s · {report['events']:,} events, "
        f"{rate:,.0f} a second · {report['deliveries']:,} deliveries"
    )
    screen.say(
        f"        accuracy alone {report['accuracy_alone']:.1%} → together {report['accuracy_together']:.1%} "
        f"(a toy learner) · {report['finished']} finished · {report['short_rounds']} short rounds"
    )
    screen.say(f"        digest {report['digest'][:16]}…  the same options give the same digest on every machine")
    screen.result({"seed": args.seed, "seconds": round(seconds, 3), **report})
    return exits.OK.code


SIM = Command(
    "sim", "simulate a mesh in virtual time", "p2pfd sim -n 1000 --rounds 20 --loss 5% --seed 7", _options, run
)

"""`p2pfd incentives table`: what each strategy earns under each pay rule, and where honesty is not the best reply."""

from __future__ import annotations

import argparse
import dataclasses
import time
from typing import TYPE_CHECKING

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number, one_of
from p2pfd.cli.screen import Screen

if TYPE_CHECKING:
    from p2pfd.incentives.strategies.table import Cell

TELL_EVERY = 2.0
"""Seconds between two words about how far it is."""
_IN_USE = ("labels", "paper", "symmetric", "serum")
_RULES = (*_IN_USE, "labels-median", "serum-median")
_MILLION = 1_000_000


def _share(text: str) -> int:
    try:
        value = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share: write 0.8 or 80%") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not lie between 0 and 1")
    return round(value * _MILLION)


def _options(parser: Parser) -> None:
    parser.add_argument("action", type=one_of("table"), help="table: expected pay, by strategy and rule")
    parser.add_argument(
        "--rule",
        type=one_of(*_RULES),
        action="append",
        metavar="RULE",
        help=f"{', '.join(_RULES)}; several times (the four in use)",
    )
    parser.add_argument("--seed", type=number(0, 2**63 - 1), default=0, metavar="S", help="decides every draw (0)")
    parser.add_argument(
        "--rounds", type=number(2, 1_000_000), default=500, metavar="R", help="rounds, or windows, played (500)"
    )
    parser.add_argument("--accuracy", type=_share, default=800_000, metavar="P", help="of honest seats (80%%)")
    parser.add_argument("--workers", type=number(2, 64), default=10, metavar="N", help="seats of a market (10)")
    parser.add_argument("--classes", type=number(2, 15), default=10, metavar="C", help="classes of a market (10)")
    parser.add_argument("--samples", type=number(1, 1024), default=320, metavar="L", help="labels a round (320)")
    parser.add_argument("--validators", type=number(2, 31), default=5, metavar="N", help="seats of a committee (5)")
    parser.add_argument("--window", type=number(1, 1024), default=64, metavar="E", help="encounters it judges (64)")
    parser.add_argument("--valid", type=_share, default=900_000, metavar="P", help="encounters in order (90%%)")


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Play every strategy and show what it earns."""
    from p2pfd.core.rng import Rng
    from p2pfd.incentives.strategies.game import label_game, vote_game
    from p2pfd.incentives.strategies.table import table

    rules = tuple(dict.fromkeys(args.rule or _IN_USE))
    market = label_game(args.workers, args.classes, args.samples, args.accuracy)
    committee = vote_game(args.validators, args.window, args.accuracy, args.valid)
    names, accuracy = ", ".join(rules), _percent(args.accuracy)
    screen.say(f"plan    {names} · {args.rounds} rounds · seed {args.seed} · honest accuracy {accuracy}")
    screen.say(
        f"        market: {args.workers} workers, {args.samples} samples of {args.classes} classes · committee: "
        f"{args.validators} of {committee.pool}, {args.window} encounters, {_percent(args.valid)} valid"
    )
    began = told = time.perf_counter()

    def progress(played: int, whole: int) -> None:
        nonlocal told
        now = time.perf_counter()
        if now - told >= TELL_EVERY:
            told = now
            screen.say(f"play    {played / whole:4.0%} · round {played} of {whole} in {now - began:.0f} s")

    cells = table(rules, market, committee, args.rounds, Rng(args.seed), progress)
    for rule in rules:
        _show(screen, rule, [cell for cell in cells if cell.rule == rule])
    seconds = time.perf_counter() - began
    paying = sum(cell.best == "no" for cell in cells)
    screen.say(f"done    {len(cells)} cells in {seconds:.1f} s · honesty is not the best reply in {paying}")
    options = {key: value for key, value in vars(args).items() if key not in ("action", "rule", "json", "plain")}
    plan = options | {"accuracy": args.accuracy / _MILLION, "valid": args.valid / _MILLION, "pool": committee.pool}
    screen.result(
        {**plan, "rules": rules, "seconds": round(seconds, 3), "cells": [dataclasses.asdict(cell) for cell in cells]}
    )
    return exits.OK.code


def _show(screen: Screen, rule: str, cells: list[Cell]) -> None:
    units = "a round, in units of the rate" if rule.startswith("labels") else "an encounter, in units of the prepayment"
    screen.say()
    screen.say(screen.style(f"{rule}: pay {units}", "bold"))
    digits = 3 if rule.startswith("labels") else 4
    rows = [
        (
            cell.strategy,
            f"{cell.pay:.{digits}f}",
            "exact" if cell.exact else f"± {cell.half:.{digits}f}",
            f"{cell.honest:.{digits}f}",
            "–" if cell.best is None else cell.best,
            "–" if cell.beside is None else f"{cell.beside:.{digits}f}",
            cell.needs,
        )
        for cell in cells
    ]
    screen.table(("strategy", "pay", "95 %", "if honest", "honest is best", "others earn", "needs"), rows)


def _percent(millionths: int) -> str:
    return f"{millionths / _MILLION:.4g}" if millionths % 10_000 else f"{millionths // 10_000} %"


INCENTIVES = Command(
    "incentives",
    "what honesty, laziness and collusion earn under each pay rule",
    "p2pfd incentives table --rule serum --accuracy 90%",
    _options,
    run,
)

"""`localnet wait`: a script goes on when something is so of a mesh, or learns that it never will be."""

from __future__ import annotations

import argparse
import operator
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, did_you_mean, seconds
from p2pfd.cli.screen import Screen
from p2pfd.errors import AssertionUnmet, DeadlineError, NotRunningError, P2pfdError, UsageError
from p2pfd_localnet.options import add_state
from p2pfd_localnet.plan import UNIT
from p2pfd_localnet.reading import HZ, Reader
from p2pfd_localnet.state import State, option
from p2pfd_localnet.view import GONE, Life, mean

TIMEOUT = 60.0
_EXAMPLE = "localnet wait 'round>=3&&accuracy>=90%' --timeout 60"
_TERM = re.compile(r"\s*([a-z]+)\s*(>=|<=|==|!=|>|<|=)\s*([^\s&<>=!]+)\s*")
Value = float | str | None
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        ">=": operator.ge,
        "<=": operator.le,
        "==": operator.eq,
        "!=": operator.ne,
        ">": operator.gt,
        "<": operator.lt,
    }
)
STATUSES = ("starting", "running", "done", "failed", "interrupted", "stopped", "killed")
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "round": "the latest round that was opened, counted from one",
        "settled": "rounds that the chain has settled",
        "encounters": "encounters that are over",
        "paid": "tokens paid to all nodes for rounds",
        "accuracy": "the mean of the nodes' latest validation accuracies, 0.9 or 90%",
        "nodes": "nodes that listen or are further",
        "finished": "nodes that are done",
        "lost": "nodes that failed or were lost",
        "status": "one of " + ", ".join(STATUSES),
    }
)
_RISING = ("round", "settled", "encounters", "paid", "finished")
"""What never becomes less while a mesh runs."""


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison."""

    name: str
    sign: str
    value: float | str

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.value if isinstance(self.value, str) else f'{self.value:g}'}"

    def holds(self, now: Mapping[str, Value]) -> bool:
        """Whether it is so; of what nobody knows yet, nothing is."""
        known = now[self.name]
        return known is not None and _OPERATORS[self.sign](known, self.value)

    def hopeless(self, now: Mapping[str, Value], most: Mapping[str, int]) -> bool:
        """Whether it can not come true any more, as long as the mesh goes on as it was planned."""
        known, bound = now[self.name], most.get(self.name)
        if isinstance(self.value, str) or self.holds(now):
            return False
        if (
            bound is not None
            and self.sign in (">=", ">", "==")
            and not _OPERATORS[self.sign.replace("==", ">=")](bound, self.value)
        ):
            return True
        passed = self.sign in ("<", "<=") or (self.sign == "==" and isinstance(known, float) and known > self.value)
        return self.name in _RISING and known is not None and passed


def parse(text: str) -> tuple[Term, ...]:
    """The comparisons of a condition; UsageError says what is wrong with it."""
    terms = []
    for part in text.split("&&"):
        found = _TERM.fullmatch(part)
        if found is None:
            raise UsageError(f"{part.strip()[:60]!r} is no condition", f"write NAME>=VALUE, for example: {_EXAMPLE}")
        name, sign, raw = found[1], found[2], found[3]
        if name not in NAMES:
            raise UsageError(f"there is no {name!r} to wait for", did_you_mean(name, NAMES))
        terms.append(
            Term(name, "==" if sign == "=" else sign, _status(sign, raw) if name == "status" else _number(name, raw))
        )
    return tuple(terms)


def _status(sign: str, raw: str) -> str:
    if sign not in ("=", "==", "!="):
        raise UsageError(f"a status is not {sign} another", "write status==running, or status!=starting")
    if raw not in STATUSES:
        raise UsageError(f"there is no status {raw!r}", did_you_mean(raw, STATUSES))
    return raw


def _number(name: str, raw: str) -> float:
    try:
        value = float(raw.removesuffix("%")) / (100 if raw.endswith("%") else 1)
    except ValueError:
        raise UsageError(f"{name} is compared with {raw!r}", "write a number") from None
    if name == "accuracy" and not 0 <= value <= 1:
        raise UsageError(f"an accuracy of {raw} cannot be", "write 0.9, or 90%")
    if value != value or (raw.endswith("%") and name != "accuracy"):
        raise UsageError(f"{name} is compared with {raw!r}", "write a number")
    return value


def facts(reader: Reader) -> dict[str, Value]:
    """What can be waited for, as it is now."""
    view = reader.view
    latest = mean(node.accuracy[max(node.accuracy)] for node in view.nodes.values() if node.accuracy)
    return {
        "round": float(view.opened),
        "settled": float(len(view.settled)),
        "encounters": float(view.meetings.over),
        "paid": sum(sum(node.paid.values()) for node in view.nodes.values()) / UNIT,
        "accuracy": latest,
        "nodes": float(sum(node.life is not Life.STARTING for node in view.living())),
        "finished": float(sum(node.life is Life.FINISHED for node in view.nodes.values())),
        "lost": float(sum(node.life in GONE for node in view.nodes.values())),
        "status": reader.status,
    }


def _most(reader: Reader) -> dict[str, int]:
    """How much there can be of some things, by the plan."""
    rounds, nodes = reader.view.rounds, reader.plan.get("nodes")
    if not isinstance(nodes, int) or not rounds:
        return {}
    return {"round": rounds, "settled": rounds, "encounters": rounds * max(nodes, len(reader.view.nodes))}


def verdict(terms: tuple[Term, ...], reader: Reader, text: str) -> P2pfdError | None:
    """Why the condition will not come true; None while it may."""
    now = facts(reader)
    so = ", ".join(sorted({f"{term.name} is {_shown(now[term.name])}" for term in terms if not term.holds(now)}))
    where = option(reader.state.home)
    if not reader.running and reader.status not in ("done", "failed"):
        return NotRunningError(f"the mesh is {reader.status}, and {so}", f"let it go on: localnet start{where}")
    if not reader.running or any(term.hopeless(now, _most(reader)) for term in terms):
        return AssertionUnmet(f"{text} can no longer come true: {so}", f"see localnet status{where}")
    return None


def _shown(value: Value) -> str:
    return "not known" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def _wait(args: argparse.Namespace, screen: Screen) -> int:
    terms = parse(args.condition)
    reader = Reader(State(args.state))
    began = time.monotonic()
    while True:
        reader.look()
        now = facts(reader)
        took = time.monotonic() - began
        if all(term.holds(now) for term in terms):
            screen.say(f"{args.condition}, after {took:.1f} s")
            screen.result({"condition": args.condition, "seconds": round(took, 3), **now})
            return exits.OK.code
        problem = verdict(terms, reader, args.condition)
        if problem is not None:
            raise problem
        if took >= args.timeout:
            missing = ", ".join(f"{term.name} is {_shown(now[term.name])}" for term in terms if not term.holds(now))
            raise DeadlineError(f"{args.condition} was not so after {args.timeout:g} s: {missing}", "see --timeout")
        time.sleep(min(1 / HZ, max(args.timeout - took, 0.001)))


def _options(parser: Parser) -> None:
    parser.add_argument(
        "condition",
        help="comparisons, joined by &&, of: " + "; ".join(f"{n}, {w}" for n, w in NAMES.items()).replace("%", "%%"),
    )
    parser.add_argument(
        "--timeout", type=seconds(0, 7 * 86_400), default=TIMEOUT, metavar="S", help=f"seconds to wait ({TIMEOUT:g})"
    )
    add_state(parser)


WAIT = Command("wait", "wait until something is so of a mesh", _EXAMPLE, _options, _wait)

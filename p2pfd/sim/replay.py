"""Traces in a file: what happened in a simulation, event by event, and whether it happens again.

The first line is the plan as one JSON object; every further line is one event at one node: the node, the tick, what
happened (cut short, for people), and a hash over the event and all that followed from it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from p2pfd.core.boundedjson import loads
from p2pfd.core.effects import Effect
from p2pfd.core.events import Event
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import AssertionUnmet, DecodeError, PlanError
from p2pfd.sim import script
from p2pfd.sim.run import SimPlan
from p2pfd.sim.trace import Trace
from p2pfd.sim.world import WorldPlan

FORMAT = "p2pfd-trace-1"
MAX_LINE = 4 << 20
_MOST_TEXT = 160
_WORLD = ("nodes", "degree", "latency_low", "latency_high", "loss", "graph")
_PLAN = ("rounds", "seed", "settled", "phase_seconds", "learn")


class Recorder(Trace):
    """A trace that is also written to a file."""

    def __init__(self, plan: SimPlan, file: TextIO) -> None:
        super().__init__(plan.world.nodes)
        self._file = file
        file.write(json.dumps({"format": FORMAT, **plan_to_plain(plan)}) + "\n")

    def record(self, node: int, at: Tick, event: Event, effects: Sequence[Effect]) -> None:
        """One event, and its line."""
        super().record(node, at, event, effects)
        self._file.write(_line(node, at, event, effects))


class Comparer(Trace):
    """A trace that is held against the lines of a file: AssertionUnmet at the first event that differs."""

    def __init__(self, plan: SimPlan, file: TextIO, name: str) -> None:
        super().__init__(plan.world.nodes)
        self._file = file
        self._name = name

    def record(self, node: int, at: Tick, event: Event, effects: Sequence[Effect]) -> None:
        """One event, which must be the next line of the file."""
        super().record(node, at, event, effects)
        written, line = self._file.readline(MAX_LINE), _line(node, at, event, effects)
        if written != line:
            raise _differs(self._name, self.entries, written, line)

    def ended(self) -> None:
        """No further event: nor may there be a further line."""
        written = self._file.readline(MAX_LINE)
        if written:
            raise _differs(self._name, self.entries + 1, written, "")


def open_trace(path: Path) -> tuple[SimPlan, TextIO]:
    """The plan of a trace, and the file, from its first event on."""
    try:
        file = path.open(encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}", "name a file that --trace FILE wrote") from error
    try:
        return _plan_in(path, file.readline(MAX_LINE)), file
    except BaseException:
        file.close()
        raise


def plan_to_plain(plan: SimPlan) -> dict[str, Any]:
    """The plan as plain values; `plan_from_plain` makes the very same of them."""
    world = {name: getattr(plan.world, name) for name in _WORLD}
    return {**world, **{name: getattr(plan, name) for name in _PLAN}, "faults": script.write(plan.world.all_faults)}


def plan_from_plain(value: Mapping[str, Any]) -> SimPlan:
    """The plan; PlanError for what is none."""
    wanted = {field.name: field.type for kind in (WorldPlan, SimPlan) for field in dataclasses.fields(kind)}
    kinds = {"int": int, "str": str, "bool": bool}
    for name in (*_WORLD, *_PLAN, "faults"):
        kind = str if name == "faults" else kinds[str(wanted[name])]
        if type(value.get(name)) is not kind:
            raise PlanError(f"a trace whose {name} is no {kind.__name__}", "it is damaged: write it anew")
    faults = script.parse(value["faults"], value["nodes"], "the trace's script")
    world = WorldPlan(**{name: value[name] for name in _WORLD}, faults=faults)
    return SimPlan(world, **{name: value[name] for name in _PLAN}, trace=True)


def _plan_in(path: Path, line: str) -> SimPlan:
    try:
        value = loads(line.encode())
    except (ValueError, DecodeError) as error:
        raise PlanError(f"{path} is no trace: {error}", "name a file that --trace FILE wrote") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise PlanError(f"{path} is no trace of the form {FORMAT}", "name a file that --trace FILE wrote")
    try:
        return plan_from_plain(value)
    except PlanError as error:
        raise PlanError(f"{path}: {error.what}", error.fix) from error


def _line(node: int, at: Tick, event: Event, effects: Sequence[Effect]) -> str:
    text = repr(event)
    what = hashlib.blake2b(f"{text} {effects!r}".encode(), digest_size=8).hexdigest()
    return json.dumps([node, at, text[:_MOST_TEXT], what]) + "\n"


def _differs(name: str, number: int, written: str, line: str) -> AssertionUnmet:
    return AssertionUnmet(
        f"event {number:,} is another one: {name} has {_told(written)}; this run has {_told(line)}",
        "the code, numpy or the machine has changed since, or the trace was edited",
    )


def _told(line: str) -> str:
    if not line:
        return "no further event"
    try:
        node, at, text, what = loads(line.encode())
        return f"node {int(node)} at {int(at) / SECOND:.6f} s: {str(text)[:_MOST_TEXT]} [{str(what)[:16]}]"
    except (ValueError, TypeError, OverflowError):
        return f"a damaged line, {line[:40]!r}"

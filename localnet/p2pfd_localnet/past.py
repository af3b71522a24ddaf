"""What a mesh that was stopped has behind it: what it began with, how long it ran, and for how long it stood still.

While a mesh is stopped its time stands still. Its nodes and its own chain start again behind the wall clock, by as many
whole seconds as they were away, so that no deadline passes while nobody can meet it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from p2pfd.core.ids import Account
from p2pfd.core.ticks import SECOND
from p2pfd.errors import P2pfdError, PlanError, StorageError
from p2pfd_localnet.events import parse
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.planfile import from_plain
from p2pfd_localnet.state import State, write

_LAST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Past:
    """A mesh's history in numbers. Times are microseconds of the wall clock."""

    began: int
    """When its present life began."""
    until: int = 0
    """When that ended in order; 0 as long as it lasts, and when it was cut off."""
    ran: float = 0.0
    """Seconds that it ran in earlier lives."""
    paused: int = 0
    """Seconds for which its time stood still."""
    port: int = 0
    """The chain's port, if one was asked for."""
    before: Mapping[Account, int] = field(default_factory=dict)
    """What the accounts had when the task was opened."""

    def again(self, now: int, last_word: int, *, still: bool) -> Past:
        """The next life: it begins now. When the last one was cut off, it ended with the last word of its nodes.

        Not ``still`` is a mesh whose chain went on meanwhile.
        """
        end = max(self.began, min(self.until or last_word, now))
        away = (now - end) // SECOND if still else 0
        ran = self.ran + (end - self.began) / SECOND
        return dataclasses.replace(self, began=now, until=0, ran=ran, paused=self.paused + away)


def mark(state: State, status: str, plan: Plan) -> None:
    """Say how far the mesh came, and what it is."""
    write(state.mesh, {"schema": 1, "status": status, "plan": plan.to_plain()})


def plan_of(state: State) -> Plan:
    """The plan of the mesh in a directory; StorageError where it cannot be made out."""
    value = state.read(state.mesh).get("plan")
    try:
        if not isinstance(value, dict):
            raise PlanError("there is no plan in it")
        plan = from_plain({key: entry for key, entry in value.items() if entry is not None})
    except P2pfdError as error:
        raise StorageError(f"{state.mesh} is damaged: {error.what}", state.anew) from error
    return plan


def save(state: State, past: Past) -> None:
    """Write it, whole or not at all."""
    write(state.past, {"schema": 1, **dataclasses.asdict(past), "before": dict(past.before)})


def load(state: State) -> Past | None:
    """What was saved; None of a mesh whose task was never opened."""
    if not state.past.exists():
        return None
    value = state.read(state.past)
    try:
        before = {Account(str(who)): _whole(units) for who, units in value["before"].items()}
        wholes = {name: _whole(value[name]) for name in ("began", "until", "paused", "port")}
        return Past(ran=float(value["ran"]), before=before, **wholes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(f"{state.past} is damaged: {error!r}", state.anew) from error


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def last_word(state: State) -> int:
    """When any node wrote its last event; 0 when none wrote one."""
    return max((_last(state, name) for name in state.names()), default=0)


def _last(state: State, name: str) -> int:
    path = state.node(name) / "events.jsonl"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LAST_BYTES))
            raw = file.read()
    except FileNotFoundError:
        return 0
    return max((event.t for line in raw.split(b"\n") if (event := parse(line)) is not None), default=0)

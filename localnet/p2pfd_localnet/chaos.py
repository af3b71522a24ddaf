"""What is to be done to a mesh, and when: `[[chaos]]` tables of a plan, or a file of its own.

    [[chaos]]
    at = "round>=2"         # when the second round opens; or "round>=2+1.5": so many seconds after that; or a number:
    do = "partition"        # seconds after the mesh is ready
    groups = "0-4|rest"
    to = "round>=4"         # undone then; or `for = 10`: so many seconds after it was done; without either, it stays

    [[chaos]]
    at = 5
    do = "loss"
    share = "20%"
    for = 30

    [[chaos]]               # a quarter of the nodes, each once within these twenty seconds, is killed, and comes back
    at = "round>=2"         # after three to six seconds
    do = "churn"
    for = 20
    share = 0.25
    least = 3
    most = 6

What can be done has the names that the commands have, and `p2pfd_localnet.deeds.KEYS` the keys of each. A file may
also hold the tables of the simulator's scripts (`p2pfd.sim.script`), with the same keys and the same meaning:
``[[absence]]``, ``[[churn]]``, ``[[partition]]``, ``[[loss]]``, ``[[delay]]`` and ``[[chain-away]]``; time begins when
the mesh is ready. In a mesh of encounters, ``"encounter>=5"`` waits until five are over.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pfd.core.rng import Rng
from p2pfd.core.tables import did_you_mean
from p2pfd.core.ticks import SECOND
from p2pfd.errors import PlanError, UsageError
from p2pfd.sim import faults, script
from p2pfd_localnet.deeds import (
    ALL,
    KEYS,
    KINDS,
    PREFIX,
    REST,
    ChainDown,
    Deed,
    Delay,
    Kill,
    Loss,
    Partition,
    deed_of,
    said,
    seconds_of,
    share_of,
    undone,
    write,
)

CHURN = "churn"
CHURN_KEYS = ("share", "least", "most")
TIMES = ("at", "to", "for")
MAX_ACTS = 1_000
MAX_BYTES = 1 << 20
LATEST = 30 * 86_400.0
READY, ROUND, ENCOUNTER = "ready", "round", "encounter"
_WHEN = re.compile(r"(round|encounter)\s*>=\s*([0-9]{1,6})\s*(?:\+\s*([0-9]{1,6}(?:\.[0-9]{1,6})?))?")
_HOW = 'write a number of seconds after the mesh is ready, or "round>=2", or "round>=2+1.5"'


@dataclass(frozen=True, slots=True)
class When:
    """A moment: so many seconds after the mesh is ready, or after a round opened, or after encounters were over."""

    what: str = READY
    number: int = 0
    after: float = 0.0

    def __str__(self) -> str:
        if self.what == READY:
            return f"{self.after:g} s"
        return f"{self.what}>={self.number}" + (f"+{self.after:g}" if self.after else "")

    def later(self, seconds: float) -> When:
        """So much later."""
        return dataclasses.replace(self, after=self.after + seconds)

    def to_plain(self) -> float | str:
        """As a table has it."""
        return self.after if self.what == READY else str(self)


@dataclass(frozen=True, slots=True)
class Churn:
    """For some time, a share of the nodes is killed, each once, and each is away as long as is drawn for it."""

    name = CHURN
    share: int
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Act:
    """Something to do, when, and until when: ``hold`` counts from when it was done, ``until`` is its own moment."""

    at: When
    deed: Deed | Churn
    until: When | None = None
    hold: float | None = None

    def __str__(self) -> str:
        what = f"churn of {self.deed.share / 10_000:g} %" if isinstance(self.deed, Churn) else said(self.deed)
        end = f" until {self.until}" if self.until is not None else f" for {self.hold:g} s" if self.hold else ""
        return f"at {self.at}: {what}{end}"

    def to_plain(self) -> dict[str, Any]:
        """The table that `parse` reads as this very act."""
        plain: dict[str, Any] = {"at": self.at.to_plain()}
        if isinstance(self.deed, Churn):
            churn = self.deed
            plain |= {"do": CHURN, "share": f"{churn.share / 10_000:g}%", "least": churn.least, "most": churn.most}
        else:
            plain |= write(self.deed)
        if self.until is not None:
            plain["to"] = self.until.to_plain()
        if self.hold is not None:
            plain["for"] = self.hold
        return plain


def parse(tables: object, where: str = "chaos") -> tuple[Act, ...]:
    """The acts that these tables describe; PlanError says which of them is wrong, and how."""
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise PlanError(f"{where}: chaos is no list of tables", "write [[chaos]]")
    if len(tables) > MAX_ACTS:
        raise PlanError(f"{where}: {len(tables):,} acts", f"{MAX_ACTS:,} are the most")
    acts = []
    for number, table in enumerate(tables, start=1):
        try:
            acts.append(_act(table))
        except UsageError as error:
            raise PlanError(f"{where}: [[chaos]] {number}: {error.what}", error.fix) from None
    return tuple(acts)


def read(path: Path, nodes: int) -> tuple[Act, ...]:
    """The acts in a file, for a mesh of so many nodes: `[[chaos]]` tables, a script of the simulator, or both."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}", "name a TOML file with [[chaos]] tables") from error
    if len(raw) > MAX_BYTES:
        raise PlanError(f"{path} has more than {MAX_BYTES:,} bytes", "that is no script of chaos")
    try:
        text = raw.decode()
        value = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path} is not TOML: {error}", "each act is a table [[chaos]]") from error
    acts = parse(value.pop("chaos", []), str(path))
    if value:
        acts += from_script(script.parse(_without_chaos(text), nodes, str(path)), str(path))
    return acts


def from_script(found: Sequence[faults.Fault], where: str = "the script") -> tuple[Act, ...]:
    """What a script of the simulator would do, done to a real mesh."""
    return tuple(_from_fault(fault, where) for fault in found)


def spelt_out(acts: Sequence[Act], names: Sequence[str], rng: Rng) -> tuple[Act, ...]:
    """The acts with churn drawn: who is killed when, and when it comes back."""
    found: list[Act] = []
    for number, act in enumerate(acts):
        if not isinstance(act.deed, Churn):
            found.append(act)
            continue
        churn, own = act.deed, rng.split("churn", number)
        count = (churn.share * len(names) + faults.WHOLE // 2) // faults.WHOLE
        for name in own.sample(list(names), min(count, len(names))):
            start = act.at.later((act.hold or 0.0) * own.unit())
            found.append(Act(start, Kill(name), hold=churn.least + (churn.most - churn.least) * own.unit()))
    return tuple(found)


def _act(table: Mapping[str, Any]) -> Act:
    if "at" not in table:
        raise UsageError("it does not say when", f"at: {_HOW}")
    at = _when("at", table["at"])
    until = _when("to", table["to"]) if "to" in table else None
    hold = seconds_of("for", table["for"], LATEST) if "for" in table else None
    if until is not None and hold is not None:
        raise UsageError("it has both to and for", "say once when it ends")
    if until is not None and until.what == at.what and (until.number, until.after) <= (at.number, at.after):
        raise UsageError("it ends before it begins", "let `to` be later than `at`")
    rest = {key: value for key, value in table.items() if key not in TIMES}
    if rest.get("do") == CHURN:
        return _churn(at, until, hold, rest)
    if isinstance(rest.get("do"), str) and rest["do"] not in KINDS:
        raise UsageError(
            f"there is nothing called {rest['do'][:40]!r} to do", did_you_mean(rest["do"][:40], (*KINDS, CHURN))
        )
    strange = next((key for key in rest if key != "do" and key not in KEYS.get(str(rest.get("do")), ())), None)
    if strange is not None and "do" in rest:
        legal = (*TIMES, "do", *KEYS.get(str(rest["do"]), ()))
        raise UsageError(f"{rest['do']} has no key {strange[:40]!r}", did_you_mean(strange[:40], legal))
    deed = deed_of(rest)
    if (until is not None or hold is not None) and undone(deed) is None:
        raise UsageError(f"nothing undoes {deed.name}", "leave out `to` and `for`")
    return Act(at, deed, until, hold)


def _churn(at: When, until: When | None, hold: float | None, table: Mapping[str, Any]) -> Act:
    strange = next((key for key in table if key not in ("do", *CHURN_KEYS)), None)
    if strange is not None:
        raise UsageError(f"churn has no key {strange[:40]!r}", did_you_mean(strange[:40], (*TIMES, *CHURN_KEYS)))
    if until is not None and until.what == at.what == READY:
        hold, until = until.after - at.after, None
    if until is not None or hold is None:
        raise UsageError("churn does not say for how long", "write `for = 20`: within so many seconds all have gone")
    missing = next((key for key in CHURN_KEYS if key not in table), None)
    if missing is not None:
        raise UsageError(f"churn lacks {missing}", f"its keys are {', '.join((*TIMES, *CHURN_KEYS))}")
    least, most = (seconds_of(key, table[key]) for key in ("least", "most"))
    if not 0 < least <= most:
        raise UsageError("the shortest absence is longer than the longest, or none", "let least and most rise")
    return Act(at, Churn(share_of(table["share"]), least, most), hold=hold)


def _when(key: str, value: object) -> When:
    if not isinstance(value, str):
        return When(after=seconds_of(key, value, LATEST))
    found = _WHEN.fullmatch(value.strip())
    if found is None or (found[1] == ROUND and int(found[2]) < 1):
        raise UsageError(f"{key} is {value[:40]!r}", _HOW)
    return When(found[1], int(found[2]), float(found[3] or 0))


def _without_chaos(text: str) -> str:
    """The text with its own tables blanked, line for line: what else is wrong is told with its line."""
    kept, ours = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            ours = re.match(r"\s*\[\[?\s*\"?chaos\"?\s*\]", line) is not None
        kept.append("" if ours else line)
    return "\n".join(kept) + "\n"


def _from_fault(fault: faults.Fault, where: str) -> Act:
    begin = When(after=fault.begin / SECOND)
    close = None if isinstance(fault, faults.Disaster) else fault.end
    end = None if close is None else When(after=close / SECOND)
    match fault:
        case faults.Absence(node=node):
            return Act(begin, Kill(f"{PREFIX}{node}"), end)
        case faults.Churn(share=share, least=least, most=most):
            span = (fault.end - fault.begin) / SECOND
            return Act(begin, Churn(share, least / SECOND, most / SECOND), hold=span)
        case faults.Partition(cut=cut):
            return Act(begin, Partition(f"0-{cut - 1}|{REST}"), end)
        case faults.Loss(share=share):
            return Act(begin, Loss(share), end)
        case faults.Delay(least=least, most=most):
            return Act(begin, Delay(least / SECOND, most / SECOND, ALL), end)
        case faults.ChainAway():
            return Act(begin, ChainDown(), end)
        case _:
            raise PlanError(
                f"{where}: {fault.kind} is for the simulator alone",
                "a real mesh takes absence, churn, partition, loss, delay and chain-away",
            )

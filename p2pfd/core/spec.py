"""TaskSpec: everything a task depends on. Its digest is the task's id and is in every envelope."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from p2pfd.core.canonical import Plain, digest_of
from p2pfd.core.ids import Account, Amount, TaskId, account
from p2pfd.core.labels import MAX_CLASSES
from p2pfd.errors import PlanError

Setting = int | str | bool
"""A knob of an adapter. Fractions are written as decimal text ("0.05"): a digest must not depend on binary floats."""

VERSION = 1
MAX_SEATS = 64
MAX_PUBLIC = 1024
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Which data, how it is dealt out to the nodes, and the hash that every node checks its copy against."""

    name: str
    sha256: bytes
    classes: int
    partition: str
    seed: int
    public: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True)
class PhaseSpec:
    """How long the chain waits for the last one, in seconds; a phase ends at once when all have acted."""

    enrol_seconds: int
    commit_seconds: int
    reveal_seconds: int


@dataclass(frozen=True, slots=True)
class MoneySpec:
    """What a round pays and what a worker risks, in the token's smallest unit."""

    pot: Amount
    rate: Amount
    bond: Amount
    forfeit: Amount


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """Where the task settles. The profile ``none`` means that it does not, and then the rest is empty."""

    profile: str
    chain_id: int
    token: Account
    market: Account


NO_ACCOUNT = Account("0x" + "0" * 40)
NO_CHAIN = ChainSpec(profile="none", chain_id=0, token=NO_ACCOUNT, market=NO_ACCOUNT)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A task. Two specs with one digest are the same task; any difference is another task."""

    name: str
    data: DataSpec
    adapter: str
    settings: Mapping[str, Setting]
    aggregator: str
    codecs: tuple[str, ...]
    rounds: int
    seats: int
    quorum: int
    phases: PhaseSpec
    money: MoneySpec
    chain: ChainSpec = field(default=NO_CHAIN)
    version: int = VERSION

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))
        _check(self)

    def to_plain(self) -> dict[str, Plain]:
        """The spec as maps and lists, as it is hashed and written to files."""
        return _plain(self)

    @property
    def id(self) -> TaskId:
        """The digest of the whole spec."""
        return TaskId(digest_of("task", self.to_plain()))


def from_plain(value: object) -> TaskSpec:
    """The spec that `to_plain` wrote; PlanError names the key that is wrong, missing or unknown."""
    fields = _record(TaskSpec, value, "task", optional={"chain", "version"})
    nested = {"data": DataSpec, "phases": PhaseSpec, "money": MoneySpec, "chain": ChainSpec}
    for key, kind in nested.items():
        if key in fields:
            fields[key] = kind(**_typed(kind, _record(kind, fields[key], key), key))
    if not isinstance(fields["codecs"], (list, tuple)) or not all(isinstance(c, str) for c in fields["codecs"]):
        raise PlanError("task.codecs is not a list of names", "write it as a list of text")
    fields["codecs"] = tuple(fields["codecs"])
    settings = fields["settings"]
    if not isinstance(settings, Mapping):
        raise PlanError("task.settings is not a table", "write one line a setting")
    return TaskSpec(**_typed(TaskSpec, fields, "task", skip={*nested, "codecs", "settings"}))


def _plain(record: Any) -> dict[str, Plain]:
    out: dict[str, Plain] = {}
    for entry in dataclasses.fields(record):
        value = getattr(record, entry.name)
        if dataclasses.is_dataclass(value):
            out[entry.name] = _plain(value)
        elif isinstance(value, Mapping):
            out[entry.name] = dict(value)
        elif isinstance(value, tuple):
            out[entry.name] = list(value)
        else:
            out[entry.name] = value
    return out


def _record(kind: type[object], value: object, where: str, optional: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    if not isinstance(value, Mapping):
        raise PlanError(f"{where} is not a table")
    names = [entry.name for entry in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = [key for key in value if key not in names]
    if unknown:
        raise PlanError(f"{where} has no key {unknown[0]!r}", f"the keys are {', '.join(names)}")
    missing = [name for name in names if name not in value and name not in optional]
    if missing:
        raise PlanError(f"{where}.{missing[0]} is missing", f"the keys are {', '.join(names)}")
    return dict(value)


def _typed(kind: type[S], fields: dict[str, Any], where: str, skip: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    for entry in dataclasses.fields(kind):  # type: ignore[arg-type]
        if entry.name in skip or entry.name not in fields:
            continue
        value = fields[entry.name]
        if entry.type == "Account":
            if not isinstance(value, str):
                raise PlanError(f"{where}.{entry.name} is not an account", "an account is 0x and forty hex digits")
            fields[entry.name] = account(value)
            continue
        wanted: type = {"str": str, "bytes": bytes}.get(str(entry.type), int)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise PlanError(f"{where}.{entry.name} is {value!r}", f"it must be of type {wanted.__name__}")
    return fields


def _check(spec: TaskSpec) -> None:
    def need(holds: bool, what: str, fix: str) -> None:
        if not holds:
            raise PlanError(what, fix)

    def within(where: str, value: int, low: int, high: int) -> None:
        need(low <= value <= high, f"{where} is {value}", f"it must lie between {low} and {high}")

    need(spec.version == VERSION, f"task.version is {spec.version}", f"this release reads version {VERSION}")
    need(bool(spec.name) and len(spec.name) <= 64, "task.name is empty or long", "use 1 to 64 letters")
    need(len(spec.data.sha256) == 32, "data.sha256 is not 32 bytes", "write the hash of the data set")
    within("data.classes", spec.data.classes, 2, MAX_CLASSES)
    within("data.public", spec.data.public, 1, MAX_PUBLIC)
    within("data.validation", spec.data.validation, 0, 10**9)
    within("data.test", spec.data.test, 0, 10**9)
    within("task.rounds", spec.rounds, 1, 10_000)
    within("task.seats", spec.seats, 1, MAX_SEATS)
    within("task.quorum", spec.quorum, 1, spec.seats)
    for where, value in (
        ("phases.enrol_seconds", spec.phases.enrol_seconds),
        ("phases.commit_seconds", spec.phases.commit_seconds),
        ("phases.reveal_seconds", spec.phases.reveal_seconds),
    ):
        within(where, value, 1, 30 * 86_400)
    for where, value in (
        ("money.pot", spec.money.pot),
        ("money.rate", spec.money.rate),
        ("money.bond", spec.money.bond),
    ):
        within(where, value, 0, 2**63)
    within("money.forfeit", spec.money.forfeit, 0, spec.money.bond)
    for key, setting in spec.settings.items():
        need(isinstance(key, str), f"settings has the key {key!r}", "a key is text")
        need(
            isinstance(setting, (int, str, bool)),
            f"settings.{key} is a {type(setting).__name__}",
            'use a whole number, text or true/false; write a fraction as text, "0.05"',
        )

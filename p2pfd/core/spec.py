"""TaskSpec: everything a task depends on. Its digest is the task's id and is in every envelope."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from p2pfd.core.canonical import Plain, digest_of
from p2pfd.core.encounter_spec import NO_ENCOUNTERS, EncounterSpec, check_encounters
from p2pfd.core.ids import Account, Amount, TaskId, account
from p2pfd.core.labels import MAX_CLASSES
from p2pfd.errors import DecodeError, PlanError

Setting = int | str | bool
"""A knob of an adapter. Fractions are written as decimal text ("0.05"): a digest must not depend on binary floats."""

VERSION = 1
MAX_SEATS = 64
"""Of a label market on a chain."""
MOST_NODES = 256
"""Of a task that has no such market."""
MAX_PUBLIC = 8192
MAX_NAME = 64
MAX_CODECS = 8
MAX_SETTINGS = 64
MAX_SETTING_TEXT = 256
MAX_INTEGER = 2**63 - 1
"""The largest seed, chain id and setting: what databases and other languages all can hold."""
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Which data, how it is dealt out to the nodes, and the hash that every node checks its copy against.

    ``private`` is how many samples the nodes share out among themselves; 0 stands for all that are left.
    ``public_from`` is where public samples come from, if they are not held out of the same data: another set, whose
    hash is then ``public_sha256``, or a recipe.
    """

    name: str
    sha256: bytes
    classes: int
    partition: str
    seed: int
    public: int
    validation: int
    test: int
    private: int = 0
    public_from: str = ""
    public_sha256: bytes = b""


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
    partners: int = 0
    """With how many others a node merges in a round, where there is no common student; 0 stands for all."""
    version: int = VERSION
    encounters: EncounterSpec = field(default=NO_ENCOUNTERS)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))
        _check(self)

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Callable[[object], TaskSpec], tuple[object]]:
        return from_plain, (self.to_plain(),)  # a mapping proxy cannot be copied or sent to another process

    def to_plain(self) -> dict[str, Plain]:
        """The spec as maps and lists, as it is hashed and written to files."""
        return _plain(self)

    @property
    def id(self) -> TaskId:
        """The digest of the whole spec."""
        return TaskId(digest_of("task", self.to_plain()))


def from_plain(value: object) -> TaskSpec:
    """The spec that `to_plain` wrote; PlanError names the key that is wrong, missing or unknown."""
    fields = _record(TaskSpec, value, "task", optional={"chain", "version", *LATER})
    nested = {
        "data": DataSpec,
        "phases": PhaseSpec,
        "money": MoneySpec,
        "chain": ChainSpec,
        "encounters": EncounterSpec,
    }
    for key, kind in nested.items():
        if key in fields:
            fields[key] = kind(**_typed(kind, _record(kind, fields[key], key, optional=LATER), key))
    if not isinstance(fields["codecs"], (list, tuple)):
        raise PlanError("task.codecs is not a list of names", "write it as a list of text")
    fields["codecs"] = tuple(fields["codecs"])
    settings = fields["settings"]
    if not isinstance(settings, Mapping):
        raise PlanError("task.settings is not a table", "write one line a setting")
    return TaskSpec(**_typed(TaskSpec, fields, "task", skip={*nested, "codecs", "settings"}))


LATER = frozenset({"private", "public_from", "public_sha256", "partners", "encounters"})
"""Keys that came later: at their defaults they are not written, so that older tasks keep their ids."""


HASHES = ("sha256", "public_sha256")
"""Keys of `DataSpec` that files for people hold as hexadecimal text."""


def unhex(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A task as `from_plain` takes it, of one whose hashes are text; PlanError names the hash that is none."""
    data = value.get("data")
    if not isinstance(data, Mapping):
        return value
    read = dict(data)
    for name in HASHES:
        if isinstance(read.get(name), str):
            try:
                read[name] = bytes.fromhex(read[name])
            except ValueError as error:
                raise PlanError(f"data.{name} is not hexadecimal", "write 64 hex digits") from error
    return {**value, "data": read}


def in_hex(spec: TaskSpec) -> dict[str, Any]:
    """A task as maps and lists, its hashes as hexadecimal text."""
    value: dict[str, Any] = spec.to_plain()
    value["data"].update((name, value["data"][name].hex()) for name in HASHES if name in value["data"])
    return value


def _plain(record: Any) -> dict[str, Plain]:
    out: dict[str, Plain] = {}
    for entry in dataclasses.fields(record):
        value = getattr(record, entry.name)
        if entry.name in LATER and value == entry.default:
            continue
        if dataclasses.is_dataclass(value):
            out[entry.name] = _plain(value)
        elif isinstance(value, Mapping):
            out[entry.name] = dict(value)
        elif isinstance(value, tuple):
            out[entry.name] = list(value)
        else:
            out[entry.name] = value
    return out


def _record(kind: type[object], value: object, where: str, optional: Set[str] = frozenset()) -> dict[str, Any]:
    names = [entry.name for entry in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if not isinstance(value, Mapping):
        raise PlanError(f"{where} is not a table", f"the keys are {', '.join(names)}")
    unknown = [key for key in value if key not in names]
    if unknown:
        raise PlanError(f"{where} has no key {_shown(unknown[0])}", f"the keys are {', '.join(names)}")
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
            fields[entry.name] = _account(f"{where}.{entry.name}", value)
            continue
        wanted: type = {"str": str, "bytes": bytes}.get(str(entry.type), int)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise PlanError(f"{where}.{entry.name} is {_shown(value)}", f"it must be of type {wanted.__name__}")
    return fields


def _account(where: str, value: object) -> Account:
    try:
        if isinstance(value, str):
            return account(value)
    except DecodeError as error:
        raise PlanError(f"{where} is {error.what}", error.fix) from error
    raise PlanError(f"{where} is {_shown(value)}", "an account is 0x and forty hex digits")


def _shown(value: object) -> str:
    """A value as an error quotes it: shortened, and without Python's refusal to print huge numbers."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    text = repr(value) if isinstance(value, (int, str, bytes, float, type(None))) else type(value).__name__
    return text if len(text) <= 80 else text[:77] + "..."


def _need(holds: bool, what: str, fix: str) -> None:
    if not holds:
        raise PlanError(what, fix)


def _within(where: str, value: int, low: int, high: int) -> None:
    _need(low <= value <= high, f"{where} is {_shown(value)}", f"it must lie between {low} and {high}")


def _name(where: str, value: object) -> None:
    good = isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()
    _need(good, f"{where} is {_shown(value)}", f"use 1 to {MAX_NAME} printable characters")


def _check(spec: TaskSpec) -> None:
    _need(spec.version == VERSION, f"task.version is {_shown(spec.version)}", f"this release reads version {VERSION}")
    _name("task.name", spec.name)
    _name("data.name", spec.data.name)
    _name("data.partition", spec.data.partition)
    _name("task.adapter", spec.adapter)
    _name("task.aggregator", spec.aggregator)
    _need(len(spec.codecs) <= MAX_CODECS, "task.codecs is long", f"name at most {MAX_CODECS}")
    for codec in spec.codecs:
        _name("a name in task.codecs", codec)
    _need(len(spec.data.sha256) == 32, "data.sha256 is not 32 bytes", "write the hash of the data set")
    _within("data.classes", spec.data.classes, 2, MAX_CLASSES)
    _within("data.seed", spec.data.seed, 0, MAX_INTEGER)
    _within("data.public", spec.data.public, 1, MAX_PUBLIC)
    _within("data.validation", spec.data.validation, 0, 10**9)
    _within("data.test", spec.data.test, 0, 10**9)
    _within("data.private", spec.data.private, 0, 10**9)
    if spec.data.public_from:
        _name("data.public_from", spec.data.public_from)
    hashed = len(spec.data.public_sha256)
    _need(hashed in (0, 32), "data.public_sha256 is not 32 bytes", "write the hash of the set in data.public_from")
    _within("task.rounds", spec.rounds, 1, 10_000)
    market = spec.chain != NO_CHAIN and spec.encounters == NO_ENCOUNTERS
    _within("task.seats", spec.seats, 1, MAX_SEATS if market else MOST_NODES)
    _within("task.quorum", spec.quorum, 1, spec.seats)
    _within("task.partners", spec.partners, 0, MOST_NODES)
    _within("phases.enrol_seconds", spec.phases.enrol_seconds, 1, 30 * 86_400)
    _within("phases.commit_seconds", spec.phases.commit_seconds, 1, 30 * 86_400)
    _within("phases.reveal_seconds", spec.phases.reveal_seconds, 1, 30 * 86_400)
    _within("money.pot", spec.money.pot, 0, 2**63)
    _within("money.rate", spec.money.rate, 0, 2**63)
    _within("money.bond", spec.money.bond, 0, 2**63)
    _within("money.forfeit", spec.money.forfeit, 0, spec.money.bond)
    _check_chain(spec.chain)
    check_encounters(spec.encounters)
    if spec.encounters != NO_ENCOUNTERS:
        _need(spec.chain != NO_CHAIN, "encounters are settled, and the task names no chain", "name one")
    _check_settings(spec.settings)


def _check_chain(chain: ChainSpec) -> None:
    _name("chain.profile", chain.profile)
    for where, value in (("chain.token", chain.token), ("chain.market", chain.market)):
        _need(_account(where, value) == value, f"{where} has capital letters", "write the address in lower case")
    if chain.profile == NO_CHAIN.profile:
        _need(chain == NO_CHAIN, "chain.profile is 'none', yet the chain has an id or contracts", "leave them out")
    else:
        _within("chain.chain_id", chain.chain_id, 1, MAX_INTEGER)


def _check_settings(settings: Mapping[str, Setting]) -> None:
    _need(len(settings) <= MAX_SETTINGS, f"there are {len(settings)} settings", f"at most {MAX_SETTINGS} are taken")
    for key, setting in settings.items():
        _name("a key in settings", key)
        match setting:
            case int():
                _within(f"settings.{key}", setting, -MAX_INTEGER, MAX_INTEGER)
            case str():
                good = len(setting) <= MAX_SETTING_TEXT and (setting.isprintable() or not setting)
                _need(good, f"settings.{key} is {_shown(setting)}", f"at most {MAX_SETTING_TEXT} printable characters")
            case _:
                raise PlanError(
                    f"settings.{key} is {_shown(setting)}",
                    'use a whole number, text or true/false; write a fraction as text, "0.05"',
                )

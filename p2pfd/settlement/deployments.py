"""What was deployed on a chain, by whom and how: one JSON file a chain, written before and after all that is sent.

The file is there to be kept under version control. It holds no secrets: a signed transaction stands in it from the
moment before it is sent until it is final, so that the same bytes can be sent again.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2pfd.core import boundedjson
from p2pfd.core.ids import Account, account
from p2pfd.core.spec import NO_ACCOUNT
from p2pfd.durable import write_whole
from p2pfd.errors import DecodeError, NotRunningError, PlanError, StorageError

VERSION = 1
MAX_BYTES = 4 * 1024 * 1024
MAX_CONTRACTS = 64
_HASH_BYTES = 32
_NUMBER_BITS = 256


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that a constructor takes and that is fixed for ever."""

    name: str
    default: int
    unit: str
    """``tokens`` (in millionths), or the name of what is counted."""
    what: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """A contract to be deployed. Its constructor takes, in order, addresses of contracts before it and settings."""

    contract: str
    arguments: tuple[str | Setting, ...]
    always: bool = False
    """Whether every chain has it; the others are deployed when they are asked for, or needed by one that is."""


_SUPPLY = Setting("supply", 10**12, "tokens", "what the deployer gets of a new token")
_UNBOND = Setting("unbond_seconds", 86_400, "seconds", "how long tokens unbond")
_LONGEST = Setting("longest", 3_600, "seconds", "how long an encounter may last; not longer than tokens unbond")
_BOND = Setting("bond", 10**8, "tokens", "what a validator's seat costs")
_THRESHOLD = Setting("threshold", 10**7, "tokens", "what a party of an encounter must have free to begin")

RECIPES: tuple[Recipe, ...] = (
    Recipe("Token", (_SUPPLY,), always=True),
    Recipe("LabelMarket", ("Token", _UNBOND), always=True),
    Recipe("Court", ()),
    Recipe("SampledMarket", ("Token", _UNBOND, "Court")),
    Recipe("OptimisticMarket", ("Token", _UNBOND, "Court")),
    Recipe("Encounters", ("Token", _UNBOND, _LONGEST, _BOND, _THRESHOLD)),
)
"""All that can be deployed, each line after those that it names. One more contract is one more line."""


def chosen(also: Collection[str], held: Deployments | None = None) -> tuple[Recipe, ...]:
    """What belongs on a chain: what every chain has, what the file has, what was asked for, and what these need."""
    names = {*also, *(() if held is None else held.contracts)}
    for recipe in reversed(RECIPES):
        if recipe.always or recipe.contract in names:
            names |= {recipe.contract, *(entry for entry in recipe.arguments if isinstance(entry, str))}
    return tuple(recipe for recipe in RECIPES if recipe.contract in names)


def settings(recipes: tuple[Recipe, ...] = RECIPES) -> dict[str, Setting]:
    """Every setting that some constructor takes, by name."""
    return {entry.name: entry for recipe in recipes for entry in recipe.arguments if isinstance(entry, Setting)}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A signed deployment: its hash, its bytes until it is final, and what it offers."""

    tx: str
    raw: str
    gas: int
    tip: int
    fee: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One contract. The chain includes one attempt at most: they have one nonce, and the address follows from it."""

    address: Account
    state: str
    """``given``: it was there before. ``sending``: signed, and perhaps sent. ``done`` and ``failed``: final."""
    artifact: str = ""
    arguments: str = ""
    deployer: Account = NO_ACCOUNT
    nonce: int = -1
    attempts: tuple[Attempt, ...] = ()
    tx: str = ""
    block: int = -1
    block_hash: str = ""
    gas: int = 0
    price: int = 0
    failed: tuple[str, ...] = ()
    """Transactions that the chain included and that created nothing."""


@dataclass(frozen=True, slots=True)
class Deployments:
    """A chain's file."""

    chain_id: int
    genesis: str
    profile: str
    settings: Mapping[str, int] = field(default_factory=dict)
    contracts: Mapping[str, Entry] = field(default_factory=dict)

    def having(self, name: str, entry: Entry) -> Deployments:
        """The same with this entry."""
        return dataclasses.replace(self, contracts={**self.contracts, name: entry})

    def complete(self) -> bool:
        """Whether what every chain has, and all else that was begun, stands."""
        states = {name: entry.state for name, entry in self.contracts.items()}
        return all(states.get(recipe.contract) in ("given", "done") for recipe in chosen((), self))


def load(path: Path) -> Deployments | None:
    """The file's content, None where there is none; PlanError names what is wrong with it."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "name another deployments file") from error
    try:
        if len(raw) > MAX_BYTES:
            raise DecodeError(f"it has more than {MAX_BYTES} bytes")
        return _read(boundedjson.loads(raw))
    except DecodeError as error:
        raise _wrong(path, error.what) from error
    except (ValueError, RecursionError) as error:
        raise _wrong(path, "it is not JSON") from error


def save(held: Deployments, path: Path) -> None:
    """Put it on disk; a reader, and a power cut, see what was before or this."""
    text = json.dumps({"version": VERSION, **dataclasses.asdict(held)}, indent=1) + "\n"
    try:
        write_whole(path, text.encode("ascii"))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "nothing is sent that is not on disk") from error


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only one who works on the files of this folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"cannot use {path.parent}: {error.strerror}", "name another deployments file") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise NotRunningError(
                f"another deployment works in {path.parent}", "wait until it is over; two would deploy twice"
            ) from error
        yield
    finally:
        os.close(handle)


def _wrong(path: Path, why: str) -> PlanError:
    return PlanError(f"{path}: {why}", "restore it from version control; what stands on the chain is listed only there")


# -- reading -----------------------------------------------------------------------------------------------------------


def _read(value: object) -> Deployments:
    table = _table(value, "the file")
    if table.pop("version", None) != VERSION:
        raise DecodeError("it is not a deployments file of this version")
    held = _record(Deployments, table, "the file")
    numbers = {name: _number(entry, name) for name, entry in _table(held["settings"], "settings").items()}
    entries = _table(held["contracts"], "contracts")
    if len(entries) > MAX_CONTRACTS or len(numbers) > MAX_CONTRACTS:
        raise DecodeError(f"it has more than {MAX_CONTRACTS} contracts or settings")
    contracts = {name: _entry(entry, name) for name, entry in entries.items()}
    return Deployments(**{**held, "settings": numbers, "contracts": contracts})


def _entry(value: object, name: str) -> Entry:
    held = _record(Entry, value, name)
    held["address"], held["deployer"] = account(held["address"]), account(held["deployer"])
    if held["state"] not in ("given", "sending", "done", "failed"):
        raise DecodeError(f"{name}.state is none")
    attempts = tuple(Attempt(**_record(Attempt, entry, f"{name}.attempts")) for entry in _list(held["attempts"], name))
    for attempt in attempts:
        _hex(attempt.tx, f"{name}.attempts.tx", _HASH_BYTES)
        _hex(attempt.raw, f"{name}.attempts.raw")
    held["failed"] = tuple(_hex(entry, f"{name}.failed", _HASH_BYTES) for entry in _list(held["failed"], name))
    _hex(held["arguments"], f"{name}.arguments")
    if held["state"] == "sending" and (not attempts or held["nonce"] < 0):
        raise DecodeError(f"{name} is being sent, and what was sent is missing")
    return Entry(**{**held, "attempts": attempts})


def _record(kind: type[Any], value: object, where: str) -> dict[str, Any]:
    table = _table(value, where)
    fields = {entry.name: str(entry.type) for entry in dataclasses.fields(kind)}
    if table.keys() != fields.keys():
        odd = min(table.keys() ^ fields.keys())
        raise DecodeError(f"{where}: the name {odd!r} is {'unknown' if odd in table else 'missing'}")
    for name, wanted in fields.items():
        if wanted == "int":
            _number(table[name], f"{where}.{name}")
        elif wanted in ("str", "Account") and not isinstance(table[name], str):
            raise DecodeError(f"{where}.{name} is not text")
    return table


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DecodeError(f"{where} is not a table")
    return dict(value)


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise DecodeError(f"{where} has something else where a list belongs")
    return value


def _number(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value < 2**_NUMBER_BITS:
        raise DecodeError(f"{where} is not a number")
    return value


def _hex(value: object, where: str, size: int | None = None) -> str:
    try:
        if isinstance(value, str) and value.startswith("0x"):
            raw = bytes.fromhex(value[2:])
            if size is None or len(raw) == size:
                return value
    except ValueError:
        pass
    if value == "" and size is None:
        return ""
    raise DecodeError(f"{where} is not hexadecimal text")

"""What can be done to a running mesh, as values, and how people write it: on a command line, in a file, on the page.

Written as a table, a deed is named by ``do`` and has the keys of that name in `KEYS`, times in seconds:
``{"do": "loss", "share": "20%", "nodes": "0-4"}``. Nodes are named by their names, their numbers, or both ends of a
range: ``node-3``, ``3``, ``0-4``, ``all``, and several of these with commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, ClassVar

from p2pfd.core.tables import did_you_mean
from p2pfd.errors import UsageError

ALL = "all"
REST = "rest"
PREFIX = "node-"
WHOLE = 1_000_000
LONGEST = 3_600.0
"""The longest delay or pause of a disk, in seconds."""
MAX_DEPTH = 64
MAX_TEXT = 4_000


@dataclass(frozen=True, slots=True)
class Kill:
    """End these processes at once, as a power cut would."""

    name: ClassVar[str] = "kill"
    nodes: str


@dataclass(frozen=True, slots=True)
class Revive:
    """Start these again; each goes on from what it has on disk."""

    name: ClassVar[str] = "revive"
    nodes: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop these processes where they are; the others see that they are silent."""

    name: ClassVar[str] = "pause"
    nodes: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Let these processes go on."""

    name: ClassVar[str] = "resume"
    nodes: str


@dataclass(frozen=True, slots=True)
class Partition:
    """Who is in one group loses all who are in another; who is in none keeps everybody."""

    name: ClassVar[str] = "partition"
    groups: str


@dataclass(frozen=True, slots=True)
class Heal:
    """Partitions end."""

    name: ClassVar[str] = "heal"


@dataclass(frozen=True, slots=True)
class Loss:
    """A share, in millionths, of what comes in is lost."""

    name: ClassVar[str] = "loss"
    share: int
    nodes: str = ALL


@dataclass(frozen=True, slots=True)
class Delay:
    """What comes in comes later, by as many seconds as are drawn for it."""

    name: ClassVar[str] = "delay"
    least: float
    most: float
    nodes: str = ALL


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """Each write to a node's database takes so many seconds longer."""

    name: ClassVar[str] = "slow-disk"
    seconds: float
    nodes: str = ALL


@dataclass(frozen=True, slots=True)
class ChainDown:
    """The chain answers nobody."""

    name: ClassVar[str] = "chain-down"


@dataclass(frozen=True, slots=True)
class ChainUp:
    """The chain answers again."""

    name: ClassVar[str] = "chain-up"


@dataclass(frozen=True, slots=True)
class ChainReorg:
    """The chain's last blocks are replaced by others, without their transactions."""

    name: ClassVar[str] = "chain-reorg"
    depth: int


@dataclass(frozen=True, slots=True)
class Add:
    """So many nodes join late, in seats that the plan has kept free."""

    name: ClassVar[str] = "add"
    count: int = 1


Deed = (
    Kill | Revive | Pause | Resume | Partition | Heal | Loss | Delay | SlowDisk | ChainDown | ChainUp | ChainReorg | Add
)
KINDS: Mapping[str, type[Deed]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            *(Kill, Revive, Pause, Resume, Partition, Heal, Loss, Delay, SlowDisk),
            *(ChainDown, ChainUp, ChainReorg, Add),
        )
    }
)
KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("kill", "revive", "pause", "resume"), ("nodes",)),
        "partition": ("groups", "cut"),
        "loss": ("share", "nodes"),
        "delay": ("least", "most", "nodes"),
        "slow-disk": ("seconds", "nodes"),
        "chain-reorg": ("depth",),
        "add": ("count",),
    }
)
"""The keys of each deed that has any. ``cut = 5`` stands for ``groups = "0-4|rest"``."""


def deed_of(table: Mapping[str, Any]) -> Deed:
    """The deed that a table describes; UsageError says what is wrong with it."""
    name = table.get("do")
    if not isinstance(name, str) or name not in KINDS:
        raise UsageError(f"there is nothing called {_shown(name)} to do", did_you_mean(str(name)[:40], KINDS))
    legal = KEYS.get(name, ())
    for key in table:
        if key != "do" and key not in legal:
            keys = did_you_mean(key[:40], legal) if legal else "it has none"
            raise UsageError(f"{name} has no key {key[:40]!r}", keys)
    return _READERS[name](table)


def write(deed: Deed) -> dict[str, Any]:
    """The table that `deed_of` reads as this very deed."""
    match deed:
        case Loss(share, nodes):
            return {"do": deed.name, "share": f"{share / 10_000:g}%", "nodes": nodes}
        case Delay(least, most, nodes):
            return {"do": deed.name, "least": least, "most": most, "nodes": nodes}
        case _:
            return {"do": deed.name, **{key: getattr(deed, key) for key in KEYS.get(deed.name, ()) if key != "cut"}}


def undone(deed: Deed) -> Deed | None:
    """What takes a deed back; None where nothing does."""
    match deed:
        case Kill(nodes):
            return Revive(nodes)
        case Pause(nodes):
            return Resume(nodes)
        case Partition():
            return Heal()
        case Loss(nodes=nodes):
            return Loss(0, nodes)
        case Delay(nodes=nodes):
            return Delay(0.0, 0.0, nodes)
        case SlowDisk(nodes=nodes):
            return SlowDisk(0.0, nodes)
        case ChainDown():
            return ChainUp()
        case _:
            return None


def said(deed: Deed) -> str:
    """The deed in a few words."""
    match deed:
        case Kill(nodes) | Revive(nodes) | Pause(nodes) | Resume(nodes):
            return f"{deed.name} {nodes}"
        case Partition(groups):
            return f"partition {groups}"
        case Loss(share, nodes):
            return f"loss of {share / 10_000:g} % ({nodes})" if share else f"no more loss ({nodes})"
        case Delay(least, most, nodes):
            span = f"{1000 * least:g} ms" if least == most else f"{1000 * least:g} to {1000 * most:g} ms"
            return f"delay of {span} ({nodes})" if most else f"no more delay ({nodes})"
        case SlowDisk(seconds, nodes):
            return f"disk slower by {1000 * seconds:g} ms ({nodes})" if seconds else f"disk as quick as it is ({nodes})"
        case ChainReorg(depth):
            return f"chain-reorg {depth}"
        case Add(count):
            return f"add {count}"
        case Heal() | ChainDown() | ChainUp():
            return deed.name


def select(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """The nodes that a text names, in the mesh's order; UsageError for one that is not there."""
    chosen: set[str] = set()
    for word in filter(None, re.split(r"[,\s]+", text)):
        chosen.update(_named(word, names))
    if not chosen:
        raise UsageError("no node is named", f"the nodes are {_listed(names)}")
    return tuple(name for name in names if name in chosen)


def groups_of(text: str, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The groups of a partition; `rest` stands for all who are in no other."""
    words = [part.strip() for part in text.split("|")]
    if len(words) < 2 or words.count(REST) > 1:
        raise UsageError(f"{_shown(text)} is no partition", "write the groups with a bar: '0-4|5-9', or 'node-0|rest'")
    named = {word: select(word, names) for word in words if word != REST}
    flat = [name for group in named.values() for name in group]
    twice = next((name for name in flat if flat.count(name) > 1), None)
    if twice is not None or len(named) + words.count(REST) < len(words):
        raise UsageError(f"{twice or words[0]} is in two groups", "name every node once")
    rest = tuple(name for name in names if name not in flat)
    if REST in words and not rest:
        raise UsageError("nobody is left for 'rest'", "leave it out, or name fewer nodes")
    return tuple(rest if word == REST else named[word] for word in words)


def _named(word: str, names: Sequence[str]) -> Sequence[str]:
    if word == ALL:
        return names
    if word in names:
        return (word,)
    found = re.fullmatch(r"(?:node-)?([0-9]{1,4})(?:-(?:node-)?([0-9]{1,4}))?", word)
    if found is None:
        raise UsageError(f"there is no node {_shown(word)}", did_you_mean(word[:40], names))
    low, high = int(found[1]), int(found[2] or found[1])
    wanted = [f"{PREFIX}{number}" for number in range(low, high + 1)]
    strange = next((name for name in wanted if name not in names), None)
    if strange is not None or not wanted:
        raise UsageError(f"there is no node {strange or word}", f"the nodes are {_listed(names)}")
    return wanted


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{names[0]} to {names[-1]}"


# -- values as people write them ---------------------------------------------------------------------------------------


def share_of(value: object) -> int:
    """A share in millionths: of 0.2 or "20%"."""
    how = 'write a share such as 0.2 or "20%"'
    try:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?%", value):
            found = round(Fraction(value[:-1]) * WHOLE / 100)
        else:
            found = round(_number(value) * WHOLE)
    except ValueError:
        raise UsageError(f"share is {_shown(value)}", how) from None
    if not 0 <= found <= WHOLE:
        raise UsageError(f"share is {_shown(value)}", how)
    return found


def seconds_of(key: str, value: object, most: float = LONGEST) -> float:
    """A time; UsageError unless it is a number of seconds within bounds."""
    try:
        found = float(_number(value))
    except ValueError:
        raise UsageError(f"{key} is {_shown(value)}", "write a number of seconds such as 1.5") from None
    if not 0 <= found <= most:
        raise UsageError(f"{key} is {_shown(value)}", f"it lies between 0 and {most:g} seconds")
    return found


def _number(value: object) -> Fraction:
    # TOML can say inf and nan, and numbers of any length.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise ValueError(value)
    return Fraction(str(value))


def _whole(key: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{key} is {_shown(value)}", f"it is a whole number between {low} and {high}")
    return value


def _nodes(table: Mapping[str, Any], default: str | None = None) -> str:
    value = table.get("nodes", default)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(name, str) for name in value):
        value = ",".join(value)
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        raise UsageError(f"nodes is {_shown(value)}", "name nodes such as 'node-3', '0-4' or ['node-0', 'node-7']")
    return value.strip()


def _partition(table: Mapping[str, Any]) -> Deed:
    groups, cut = table.get("groups"), table.get("cut")
    if (groups is None) == (cut is None):
        raise UsageError("partition needs groups or cut, and not both", "write groups = '0-4|5-9', or cut = 5")
    if cut is not None:
        last = _whole("cut", cut, 1, 9_999) - 1
        return Partition(f"0-{last}|{REST}")
    if not isinstance(groups, str) or len(groups) > MAX_TEXT or "|" not in groups:
        raise UsageError(f"groups is {_shown(groups)}", "write the groups with a bar: '0-4|5-9', or 'node-0|rest'")
    return Partition(groups)


def _delay(table: Mapping[str, Any]) -> Deed:
    least = seconds_of("least", table.get("least"))
    most = seconds_of("most", table.get("most", table.get("least")))
    if most < least:
        raise UsageError(f"most is {most:g}, and least is {least:g}", "let most be the longer of the two")
    return Delay(least, most, _nodes(table, ALL))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Deed]] = MappingProxyType(
    {
        "kill": lambda table: Kill(_nodes(table)),
        "revive": lambda table: Revive(_nodes(table)),
        "pause": lambda table: Pause(_nodes(table)),
        "resume": lambda table: Resume(_nodes(table)),
        "partition": _partition,
        "heal": lambda _: Heal(),
        "loss": lambda table: Loss(share_of(table.get("share")), _nodes(table, ALL)),
        "delay": _delay,
        "slow-disk": lambda table: SlowDisk(seconds_of("seconds", table.get("seconds")), _nodes(table, ALL)),
        "chain-down": lambda _: ChainDown(),
        "chain-up": lambda _: ChainUp(),
        "chain-reorg": lambda table: ChainReorg(_whole("depth", table.get("depth"), 1, MAX_DEPTH)),
        "add": lambda table: Add(_whole("count", table.get("count", 1), 1, 64)),
    }
)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 48 else f"{text[:48]}…"

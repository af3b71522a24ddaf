"""What a mesh's nodes have told of themselves: their bytes and rounds, from their events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

Event = Mapping[str, Any]


def histories(mesh: Path) -> list[list[Event]]:
    """Each node's events, in order."""
    return [list(_lines(path)) for path in sorted((mesh / "nodes").glob("*/events.jsonl"))]


def _lines(path: Path) -> Iterator[Event]:
    for line in path.read_text().splitlines():
        yield json.loads(line)


def by_round(events: Iterable[Event]) -> dict[int, int]:
    """The bytes that a node had sent when it had learnt from a round."""
    found: dict[int, int] = {}
    learnt = None
    for event in events:
        if event["event"] == "round.absorbed":
            learnt = event["round"]
        elif event["event"] == "node.network" and learnt is not None:
            found.setdefault(learnt, event["bytes_sent"])
    return found


def sent(nodes: Sequence[Iterable[Event]]) -> tuple[float, float]:
    """Bytes that a node sends in a round, and until its first one is over: means over nodes, of all rounds but the
    first."""
    later, before = [], []
    for events in nodes:
        told = by_round(events)
        if len(told) > 1:
            first, last = min(told), max(told)
            later.append((told[last] - told[first]) / (last - first))
            before.append(told[first])
    return (fmean(later), fmean(before)) if later else (0.0, 0.0)


def window(nodes: Sequence[Iterable[Event]], begins: str, ends: str) -> tuple[float, float]:
    """From when the last of all nodes told the one word for the first time, to when the last word of the other kind was
    told, in seconds."""
    firsts, lasts = [], []
    for events in nodes:
        told = [(event["event"], event["t"] / 1e6) for event in events]
        firsts += [t for name, t in told if name == begins][:1]
        lasts += [t for name, t in told if name == ends][-1:]
    if not firsts or not lasts:
        raise ValueError(f"no node told of {begins} and {ends}")
    return max(firsts), max(lasts)


def sent_since(nodes: Sequence[Sequence[Event]], when: float) -> int:
    """Bytes that all nodes together have sent since then, until each one's last word of it."""
    total = 0
    for events in nodes:
        told = [(event["t"] / 1e6, event["bytes_sent"]) for event in events if "bytes_sent" in event]
        if told:
            total += told[-1][1] - max((count for t, count in told if t <= when), default=0)
    return total

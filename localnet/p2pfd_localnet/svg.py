"""Pictures of a run as SVG text: lines over rounds, and a mesh as a graph. Their colours are the page's classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 36
GRAPH_WIDTH, GRAPH_HEIGHT, MARGIN = 720, 420, 34
_STEPS = 260
_MOST_TICKS = 12


@dataclass(frozen=True, slots=True)
class Line:
    """A named series of points."""

    name: str
    points: tuple[tuple[float, float], ...]
    kind: str = ""
    """A class of its own besides ``line``, such as ``mean``."""


def lines(series: Sequence[Line], *, low: float, high: float, x_label: str, what: str, height: int = HEIGHT) -> str:
    """Series of points over a common axis; ``what`` it shows, for whoever does not see it."""
    xs = [x for line in series for x, _ in line.points]
    first, last = (min(xs), max(xs)) if xs else (0.0, 1.0)
    span = (last - first) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - first) / span * (WIDTH - LEFT - RIGHT)
        return across, height - BOTTOM - (y - low) / (high - low) * (height - TOP - BOTTOM)

    out = [_open(WIDTH, height, "chart", what)]
    for step in range(6):
        value = low + (high - low) * step / 5
        _, y = place(first, value)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(_text(LEFT - 8, y + 4, f"{100 * value:.0f} %", "end"))
    ticks = sorted(set(xs)) if len(set(xs)) <= _MOST_TICKS else [round(first + span * step / 10) for step in range(11)]
    out += [_text(place(x, low)[0], height - BOTTOM + 16, f"{x:.0f}", "middle") for x in ticks]
    for line in series:
        spots = [place(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        kind = f"line {line.kind}".strip()
        marks = line.kind == "mean" and len(spots) <= 60
        out.append(
            f'<g><title>{escape(line.name)}</title><polyline class="{kind}" points="{path}"/>'
            + "".join(f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="3.4"/>' for x, y in spots if marks)
            + "</g>"
        )
    out.append(_text(WIDTH / 2, height - 4, x_label, "middle"))
    return "\n".join([*out, "</svg>"])


def graph(nodes: Mapping[str, str], edges: Mapping[tuple[str, str], int], what: str) -> str:
    """Nodes by name with their class, connections with how many messages came by them."""
    names = list(nodes)
    pairs = [(names.index(a), names.index(b)) for a, b in edges]
    spots = _settled(len(names), pairs)
    most = max(edges.values(), default=0) or 1
    radius = 11 if len(names) > 30 else 14 if len(names) > 16 else 20
    out = [_open(GRAPH_WIDTH, GRAPH_HEIGHT, "mesh", what)]
    for (a, b), heard in zip(pairs, edges.values(), strict=True):
        (x1, y1), (x2, y2) = spots[a], spots[b]
        kind = f'edge heard" stroke-width="{0.8 + 2 * heard / most:.2f}' if heard else "edge"
        out.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')
    for (name, kind), (x, y) in zip(nodes.items(), spots, strict=True):
        held = "!" if "blamed" in kind else ""
        badge = held or {"finished": "✓", "failed": "✕", "lost": "✕"}.get(kind.partition(" ")[0], "")
        out.append(
            f'<g class="node {escape(kind)}" transform="translate({x:.1f} {y:.1f})"><title>{escape(name)}</title>'
            f'<circle class="body" r="{radius}"/>'
            f'<text class="name" font-size="{0.9 * radius:.0f}">{escape(name.removeprefix("node-"))}</text>'
            f'<text class="badge" x="{radius}" y="{-0.85 * radius:.0f}">{badge}</text></g>'
        )
    return "\n".join([*out, "</svg>"])


def _settled(count: int, pairs: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """Where nodes come to rest that all push each other away, while connections pull."""
    turn = 2 * math.pi * np.arange(count) / max(1, count) - math.pi / 2
    middle = np.array([GRAPH_WIDTH / 2, GRAPH_HEIGHT / 2])
    at = middle + np.stack([0.28 * GRAPH_WIDTH * np.cos(turn), 0.33 * GRAPH_HEIGHT * np.sin(turn)], axis=1)
    room = 1.25 * math.sqrt(GRAPH_WIDTH * GRAPH_HEIGHT / max(4, count))
    pull = 0.010 * min(1.0, 3.2 * count / max(1, 2 * len(pairs)))
    one, two = (np.array([pair[side] for pair in pairs], dtype=int) for side in (0, 1))
    heat, pace = 1.0, np.zeros_like(at)
    for _ in range(_STEPS):
        apart = at[None, :] - at[:, None]
        far = np.maximum(np.hypot(apart[..., 0], apart[..., 1]), 0.2)
        pace -= (apart * (0.55 * room * room / far**3)[..., None]).sum(axis=1)
        if len(pairs):
            drawn = pull * (at[two] - at[one])
            np.add.at(pace, one, drawn)
            np.add.at(pace, two, -drawn)
        pace += (middle - at) * np.array([0.005, 0.011])
        step = np.hypot(pace[:, 0], pace[:, 1])
        most = 14 * heat + 0.2
        at = at + pace * np.minimum(1.0, most / np.maximum(step, 1e-9))[:, None]
        at = np.clip(at, MARGIN, [GRAPH_WIDTH - MARGIN, GRAPH_HEIGHT - MARGIN])
        pace *= 0.55
        heat *= 0.985
    return [(float(x), float(y)) for x, y in at]


def _open(width: int, height: int, kind: str, what: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(what)}">'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

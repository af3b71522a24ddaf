"""Accuracy against bytes as one SVG text: no script, no font, no other file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 170, 34, 48
_COLOURS = ("#0b6e99", "#c2571a", "#4c8c2b", "#7a4fa3", "#8a6d00", "#a3324f", "#3b6ea8", "#5c6670")


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of (bytes, accuracy), bytes above nothing and rising."""

    name: str
    points: tuple[tuple[float, float], ...]


def plot(curves: Sequence[Curve], title: str) -> str:
    """Each curve with its name beside its end; bytes on a logarithmic axis."""
    sizes = [size for curve in curves for size, _ in curve.points]
    scores = [score for curve in curves for _, score in curve.points]
    low, high = math.floor(math.log10(min(sizes))), max(math.ceil(math.log10(max(sizes))), 1)
    high = max(high, low + 1)
    floor = max(0.0, math.floor(min(scores) * 10) / 10)
    roof = max(math.ceil(max(scores) * 10) / 10, floor + 0.1)

    def across(size: float) -> float:
        return _LEFT + (math.log10(size) - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def down(score: float) -> float:
        return HEIGHT - _BOTTOM - (score - floor) / (roof - floor) * (HEIGHT - _TOP - _BOTTOM)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#1b1f24">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 18, title, "start"),
    ]
    for power in range(low, high + 1):
        x = across(10.0**power)
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" stroke="#eaeef2"/>')
        out.append(_text(x, HEIGHT - _BOTTOM + 18, _size(10**power), "middle"))
    for step in range(round((roof - floor) * 10) + 1):
        y = down(floor + step / 10)
        out.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eaeef2"/>')
        out.append(_text(_LEFT - 8, y + 4, f"{floor + step / 10:.1f}", "end"))
    out.append(_text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, "bytes that a node has sent", "middle"))
    heights = _apart([down(curve.points[-1][1]) for curve in curves])
    for place, (curve, height) in enumerate(zip(curves, heights, strict=True)):
        colour = _COLOURS[place % len(_COLOURS)]
        spots = [(across(size), down(score)) for size, score in curve.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>' for x, y in spots]
        out.append(_text(WIDTH - _RIGHT + 10, height + 4, curve.name, "start", colour))
    return "\n".join([*out, "</svg>", ""])


def _apart(heights: Sequence[float], gap: float = 15) -> list[float]:
    """The heights, moved so that no two words stand on one another."""
    out = list(heights)
    last = -math.inf
    for place in sorted(range(len(out)), key=lambda at: heights[at]):
        out[place] = last = max(out[place], last + gap)
    return out


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count} {unit}"
        count //= 1000
    return f"{count} TB"


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#1b1f24") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'

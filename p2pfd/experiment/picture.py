"""Plots as SVG text: no script, no font, no other file; light or dark as the reader's screen is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 190, 34, 44
_LIGHT = ("#0b6e99", "#c2571a", "#4c8c2b", "#7a4fa3", "#8a6d00", "#a3324f", "#b5179e", "#5c6670")
_DARK = ("#5cc3ec", "#f09a62", "#93cf70", "#c19be6", "#d6b83f", "#ee8aa4", "#f07bd8", "#aab4be")
_GAP = 15
_LETTER = 6
"""How wide a letter is, about."""
_MANY = 20
"""Of more than so many rounds or seconds, only round numbers are marked."""


@dataclass(frozen=True, slots=True)
class Series:
    """Named points, from left to right."""

    name: str
    points: tuple[tuple[float, float], ...]


def style(scope: str = "") -> str:
    """The colours of all plots, as CSS: once in a page, or in each plot that is a file of its own."""

    def rules(ink: str, faint: str, ground: str, colours: Sequence[str]) -> str:
        lines = [f"{scope}.ink{{fill:{ink}}}", f"{scope}.rule{{stroke:{faint}}}", f"{scope}.ground{{fill:{ground}}}"]
        for place, colour in enumerate(colours):
            lines.append(f"{scope}.l{place}{{stroke:{colour};fill:none}}{scope}.f{place}{{fill:{colour}}}")
        return "".join(lines)

    light = rules("#1b1f24", "#e3e8ed", "#ffffff", _LIGHT)
    dark = rules("#e6edf3", "#30363d", "#0d1117", _DARK)
    return f"{light}@media (prefers-color-scheme:dark){{{dark}}}"


def plot(series: Sequence[Series], title: str, across: str, *, percent: bool = False, alone: bool = False) -> str:
    """Lines, each with its name beside its end. ``alone`` is for a file of its own, which brings its colours."""
    margin = max([_RIGHT, *(_LETTER * len(one.name) + 16 for one in series)])
    drawn = [one for one in series if one.points]
    xs = [x for one in drawn for x, _ in one.points] or [0.0, 1.0]
    ys = [y for one in drawn for _, y in one.points] or [0.0, 1.0]
    first, last = min(xs), max(max(xs), min(xs) + 1)
    step = _step(max(ys) - min(min(ys), 0.0) or 1.0)
    low, high = math.floor(min(0.0, *ys) / step) * step, math.ceil(max(ys) / step) * step or step

    def place(x: float, y: float) -> tuple[float, float]:
        right = _LEFT + (x - first) / (last - first) * (WIDTH - _LEFT - margin)
        return right, HEIGHT - _BOTTOM - (y - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    colours = f"<style>{style()}</style>" if alone else ""
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12">{colours}<title>{escape(title)}</title>',
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>',
        _text(_LEFT, 18, title, "start"),
    ]
    for mark in range(round((high - low) / step) + 1):
        value = low + mark * step
        _, y = place(first, value)
        out.append(f'<line class="rule" x1="{_LEFT}" x2="{WIDTH - margin}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(_text(_LEFT - 8, y + 4, f"{value:.0%}" if percent else f"{value:g}", "end"))
    every = max(1, math.ceil((last - first) / 10)) if last - first <= _MANY else round(_step(last - first))
    ticks = range(math.ceil(first / every) * every, math.floor(last) + 1, every)
    out += [_text(place(x, low)[0], HEIGHT - _BOTTOM + 18, str(x), "middle") for x in ticks]
    out.append(_text((_LEFT + WIDTH - margin) / 2, HEIGHT - 8, across, "middle"))
    ends = _apart([place(*one.points[-1])[1] for one in drawn])
    for number, (one, height) in enumerate(zip(drawn, ends, strict=True)):
        colour = number % len(_LIGHT)
        spots = [place(x, y) for x, y in one.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        dots = "".join(f'<circle class="f{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in spots)
        dashed = ' stroke-dasharray="5 3"' if number >= len(_LIGHT) else ""
        out.append(
            f"<g><title>{escape(one.name)}</title>"
            f'<polyline class="l{colour}" points="{path}" stroke-width="2"{dashed}/>{dots}</g>'
        )
        out.append(_text(WIDTH - margin + 10, height + 4, one.name, "start", f"f{colour}"))
    return "\n".join([*out, "</svg>", ""])


def _step(span: float) -> float:
    """A round distance between marks, so that there are four to ten of them."""
    power = 10.0 ** math.floor(math.log10(span))
    return next(power * size for size in (0.1, 0.2, 0.5, 1.0, 2.0) if span / (power * size) <= 8)


def _apart(heights: Sequence[float]) -> list[float]:
    """The heights, moved so that no two names stand on one another and none below the plot."""
    out = list(heights)
    last = -math.inf
    for place in sorted(range(len(out)), key=lambda at: heights[at]):
        out[place] = last = max(out[place], last + _GAP)
    over = max(0.0, last - (HEIGHT - 8)) if out else 0.0
    return [height - over for height in out]


def _text(x: float, y: float, words: str, anchor: str, kind: str = "ink") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'

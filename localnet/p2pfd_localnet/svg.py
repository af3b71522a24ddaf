"""Two kinds of plots as SVG text: lines over rounds, and bars beside names. No script, no font, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 36
INK, FAINT, ACCENT, SECOND = "#1b1f24", "#c9d1d9", "#0b6e99", "#c2571a"


@dataclass(frozen=True, slots=True)
class Line:
    """A named series of points."""

    name: str
    points: tuple[tuple[float, float], ...]
    colour: str = FAINT
    width: float = 1.2


def lines(series: Sequence[Line], *, low: float, high: float, y_label: str, x_label: str, percent: bool) -> str:
    """Series of points over a common axis."""
    xs = [x for line in series for x, _ in line.points]
    first, last = (min(xs), max(xs)) if xs else (0.0, 1.0)
    span = (last - first) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - first) / span * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    out = [_open(HEIGHT)]
    for step in range(6):
        value = low + (high - low) * step / 5
        _, y = place(first, value)
        text = f"{100 * value:.0f} %" if percent else f"{value:g}"
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eaeef2"/>')
        out.append(_text(LEFT - 8, y + 4, text, "end"))
    ticks = sorted(set(xs)) if len(set(xs)) <= 12 else [first + span * step / 10 for step in range(11)]
    out += [_text(place(x, low)[0], HEIGHT - BOTTOM + 16, f"{x:.0f}", "middle") for x in ticks]
    for line in series:
        spots = [place(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        title = f"<title>{escape(line.name)}</title>"
        out.append(
            f'<g>{title}<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="{line.width}"/>'
            + "".join(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{line.width + 0.6:.1f}" fill="{line.colour}"/>' for x, y in spots
            )
            + "</g>"
        )
    out.append(_text(WIDTH / 2, HEIGHT - 4, x_label, "middle"))
    out.append(_text(LEFT, TOP - 4, y_label, "start"))
    return "\n".join([*out, "</svg>"])


def bars(rows: Sequence[tuple[str, float, str]], *, colour: str = ACCENT) -> str:
    """Horizontal bars, each with its name and its figure in words; values below zero go to the left."""
    height = 24 * len(rows) + 16
    low, high = min([0.0, *(value for _, value, _ in rows)]), max([0.0, *(value for _, value, _ in rows)])
    span = (high - low) or 1.0
    left, right = 96, 120

    def across(value: float) -> float:
        return left + (value - low) / span * (WIDTH - left - right)

    zero = across(0.0)
    out = [_open(height)]
    for place, (name, value, words) in enumerate(rows):
        y, end = 8 + 24 * place, across(value)
        start, width = min(zero, end), max(abs(end - zero), 1.0)
        out.append(_text(left - 8, y + 14, name, "end"))
        out.append(
            f'<rect x="{start:.1f}" y="{y + 3}" width="{width:.1f}" height="15" rx="2" '
            f'fill="{colour if value >= 0 else SECOND}"/>'
        )
        out.append(_text(max(end, zero) + 8, y + 14, words, "start"))
    out.append(f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="4" y2="{height - 4}" stroke="{FAINT}"/>')
    return "\n".join([*out, "</svg>"])


def _open(height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}" role="img">'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

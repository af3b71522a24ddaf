"""The results as one HTML file that needs no other: tables and plots, light or dark as the reader's screen is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from p2pfd.experiment.figures import Line
from p2pfd.experiment.grid import Experiment
from p2pfd.experiment.panels import MEASURES, panels
from p2pfd.experiment.picture import Series, plot, style
from p2pfd.experiment.report import Sheet, accuracies, budget, fares, pays

_CSS = """
:root{color-scheme:light dark}
body{margin:2rem auto;max-width:60rem;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;border-bottom:1px solid #e3e8ed;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
figure{margin:1rem 0;overflow-x:auto}
.wide{overflow-x:auto}
code{font-family:ui-monospace,monospace}
.quiet{color:#5c6670}
svg{max-width:100%;height:auto}
@media (prefers-color-scheme:dark){
body{color:#e6edf3;background:#0d1117}
th,td{border-color:#30363d}
.quiet{color:#9aa4ae}
}
"""


def page(experiment: Experiment, lines: Sequence[Line], command: str, machine: str) -> str:
    """The whole file."""
    seeds = ", ".join(map(str, experiment.seeds))
    parts = [
        f"<h1>{escape(experiment.name)}</h1>",
        f"<p>{escape(experiment.about)}</p>" if experiment.about else "",
        f'<p class="quiet"><code>{escape(command)}</code><br>seeds {seeds}; mean ± standard deviation from one seed to '
        f"the next; {escape(machine)}</p>",
        "<h2>What was learnt</h2>",
        _table(accuracies(experiment, lines)),
        *_over_time(experiment, lines),
    ]
    for line, row in zip(lines, experiment.rows, strict=True):
        parts.append(f"<h2>{escape(line.title or 'The mesh')}</h2>")
        parts.append(f'<p class="quiet">{escape(budget(row.plan))}</p>')
        parts.append(_table(pays(line, row.plan)))
        if any(group.by_round for group in line.groups):
            parts.append(f"<figure>{payments(line)}</figure>")
    parts.append(
        '<p class="quiet">Pay is what the market paid a node in a round, in units of the rate. A gain is what a node '
        "has in the end more than in the beginning: its pay, what others forfeited to it, less what it forfeited.</p>"
    )
    title = escape(experiment.name)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = "\n".join(part for part in parts if part)
    top = f"<!doctype html>\n<html lang=en><head>{head}<style>{_CSS}{style()}</style></head>"
    return f"{top}\n<body>\n{body}\n</body></html>\n"


def _over_time(experiment: Experiment, lines: Sequence[Line]) -> list[str]:
    fared = fares(experiment, lines)
    if fared is None:
        return [f"<figure>{curves(lines)}</figure>"]
    drawn = [one for measure in MEASURES for one in panels(experiment, lines, measure)]
    return ["<h2>Votes and stakes</h2>", _table(fared), *(f"<figure>{one}</figure>" for one in drawn)]


def curves(lines: Sequence[Line], *, alone: bool = False) -> str:
    """Accuracy over the rounds, a line for each mesh."""
    series = [Series(line.title or "the mesh", tuple(enumerate(line.curve))) for line in lines]
    return plot(series, "accuracy of the honest nodes' student", "rounds", percent=True, alone=alone)


def payments(line: Line, *, alone: bool = False) -> str:
    """Pay over the rounds, a line for each kind of node."""
    series = [Series(group.kind, tuple(enumerate(group.by_round, start=1))) for group in line.groups]
    title = f"pay in a round, in units of the rate{f': {line.title}' if line.title else ''}"
    return plot(series, title, "round", alone=alone)


def _table(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(word)}</th>" for word in sheet.head)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in sheet.rows)
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{rows}\n</table></div>'

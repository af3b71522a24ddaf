"""A run as one HTML page that needs nothing else: figures, plots, a table of the nodes."""

from __future__ import annotations

from html import escape

from p2pfd.cli.screen import shorten, size
from p2pfd.core.ids import Account
from p2pfd.incentives.payouts import WHOLE
from p2pfd_localnet import svg
from p2pfd_localnet.summary import Summary
from p2pfd_localnet.view import NodeView
from p2pfd_localnet.words import percent, tokens

_VOTES = {True: "✓", False: "✗", None: "–"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; max-width: 760px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em; margin-bottom: 0 } h2 { font-size: 1.1em; margin-top: 2em }
svg { max-width: 100%; height: auto }
p.lead { color: #57606a; margin-top: .2em }
.figures { display: flex; flex-wrap: wrap; gap: 1.2em 2.5em; margin: 1.5em 0 }
.figures div { display: flex; flex-direction: column } .figures b { font-size: 1.6em; font-weight: 600 }
.figures span { color: #57606a } table { border-collapse: collapse; width: 100%; font-size: .9em }
.wide { overflow-x: auto } th, td { text-align: left; padding: .3em .6em; border-bottom: 1px solid #eaeef2 }
td.n { text-align: right; font-variant-numeric: tabular-nums }
td.n, td:first-child, td code { white-space: nowrap } td:last-child { min-width: 11em }
code { font-size: .92em; overflow-wrap: anywhere }
"""


def render(summary: Summary) -> str:
    """The page."""
    plan = summary.plan
    parts = [
        f"<h1>{escape(plan.name)}</h1>",
        f'<p class="lead">{plan.nodes} nodes, {_length(summary)}, seed {plan.seed}, '
        f"adapter {escape(plan.adapter)}, chain {escape(plan.chain)}</p>",
        _figures(summary),
        f"<h2>Accuracy after each {'encounter that was accepted' if plan.meets else 'round'}</h2>",
        f"<p>On the validation samples. {_lines_mean(summary)}</p>",
        _accuracy(summary),
        *_money(summary),
        *_attack(summary),
        *_encounters(summary),
        "<h2>Bytes sent by each node</h2>",
        "<p>Everything that left the node's sockets to other nodes, all overhead included. Beside it what federated "
        "averaging would send for its weights alone, without any overhead: one model a round.</p>",
        svg.bars(_traffic(summary)),
        "<h2>Nodes</h2>",
        _nodes(summary),
        "<h2>The same run again</h2>",
        f"<p><code>{escape(plan.command())} --fresh</code></p>",
    ]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(plan.name)}</title>'
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>\n' + "\n".join(
        [*parts, "</body></html>\n"]
    )


def _length(summary: Summary) -> str:
    met = summary.meetings
    if not summary.plan.meets:
        return f"{summary.rounds} rounds"
    return f"{met.over} encounters, of which {len(met.accepted)} were accepted and {len(met.refused)} refused"


def _lines_mean(summary: Summary) -> str:
    if len({tuple(sorted(node.accuracy.items())) for node in summary.nodes}) == 1:
        return "All nodes derived the same model in every round: their lines are one."
    return "Thin lines are nodes, the thick one is their mean."


def _figures(summary: Summary) -> str:
    figures = [
        (percent(summary.alone), "test accuracy alone"),
        (percent(summary.together), "test accuracy together"),
        (size(summary.sent), "sent per node"),
        *([(size(summary.labels), "of it labels")] if summary.labels else []),
        (size(summary.fedavg), "FedAvg’s weights"),
        (f"{summary.seconds:.0f} s", "from start to end"),
    ]
    return (
        '<div class="figures">'
        + "".join(f"<div><b>{escape(value)}</b><span>{escape(what)}</span></div>" for value, what in figures)
        + "</div>"
    )


def _accuracy(summary: Summary) -> str:
    series = [
        svg.Line(node.name, tuple((rnd + 1, value) for rnd, value in sorted(node.accuracy.items())))
        for node in summary.nodes
        if node.accuracy
    ]
    series.append(svg.Line("mean", summary.curve, svg.ACCENT, 2.6))
    values = [value for line in series for _, value in line.points]
    low = max(0.0, (int(10 * min(values)) - 1) / 10) if values else 0.0
    x = "encounter" if summary.plan.meets else "round"
    return svg.lines(series, low=low, high=1.0, y_label="accuracy", x_label=x, percent=True)


def _money(summary: Summary) -> list[str]:
    if summary.plan.chain == "none":
        return []
    rows = [(node.name, float(summary.payout(node)), tokens(summary.payout(node))) for node in summary.nodes]
    return [
        "<h2>What each node earned</h2>",
        "<p>Tokens, as the difference of the account's balances on the chain before and after.</p>",
        svg.bars(rows),
    ]


def _attack(summary: Summary) -> list[str]:
    if not summary.bad:
        return []
    rows = [
        f"<tr><td>{escape(node.name)}</td><td>{escape(summary.bad[node.name])}</td>"
        f'<td class="n">{tokens(summary.payout(node))}</td></tr>'
        for node in summary.nodes
        if node.name in summary.bad
    ]
    pay = ""
    if summary.plan.chain != "none":
        honest, bad = summary.mean_payout(bad=False), summary.mean_payout(bad=True)
        less = f", {tokens(round(honest - bad))} less" if honest > bad else ""
        pay = f"On average an honest node earned {tokens(round(honest))} tokens, a bad one {tokens(round(bad))}{less}. "
    return [
        "<h2>Who was bad</h2>",
        f"<p>{pay}The honest nodes knew nothing of it; accuracies include what the bad ones said.</p>",
        '<div class="wide"><table><tr><th>node</th><th>behaviour</th><th>tokens</th></tr>' + "".join(rows),
        "</table></div>",
    ]


def _encounters(summary: Summary) -> list[str]:
    if not summary.ends:
        return []
    names = {Account(node.account): node.name for node in summary.nodes}
    rows = []
    for end in summary.ends:
        terms = end.terms
        votes = " ".join(
            f"{escape(names.get(judge.holder, '?') if judge.holder else '?')}&nbsp;{_VOTES[judge.vote]}&nbsp;"
            f"{_signed(judge.change)}"
            for judge in end.judges
        )
        rows.append(
            f"<tr><td>{escape(names.get(terms.learner, terms.learner))}</td>"
            f"<td>{escape(names.get(terms.neighbor, terms.neighbor))}</td><td>{votes}</td>"
            f'<td class="n">{_signed(end.neighbor - terms.prepayment)}</td>'
            f'<td class="n">{_signed(end.learner - terms.prepayment)}</td></tr>'
        )
    plan = summary.plan.encounters
    share = plan.prepayment * plan.share // WHOLE
    cells = "".join(f"<th>{name}</th>" for name in ("learner", "neighbor", "validators", "neighbor", "learner"))
    return [
        "<h2>What each encounter paid, and why</h2>",
        f"<p>Both put {tokens(plan.prepayment)} aside. Where most validators found the model no worse (✓), the "
        f"neighbor gets {tokens(share)} of the learner's; where they found it worse (✗), the learner gets as much of "
        f"the neighbor's. Validators share the rest by the rule {escape(plan.rule)}, by which a vote that the others "
        "do not share can cost; what they leave is the learner's. All of it is recomputed from the chain: "
        "<code>p2pfd verify</code> does it again, <code>p2pfd explain</code> shows the sums.</p>",
        f'<div class="wide"><table><tr>{cells}</tr>' + "".join(rows) + "</table></div>",
    ]


def _signed(units: int) -> str:
    return f"{'+' if units > 0 else ''}{tokens(units)}"


def _traffic(summary: Summary) -> list[tuple[str, float, str]]:
    rows = [(node.name, float(node.sent), size(node.sent)) for node in summary.finished]
    return [*rows, ("FedAvg", float(summary.fedavg), size(summary.fedavg))]


def _nodes(summary: Summary) -> str:
    head = ("node", "account", "alone", "together", "tokens", "weights", "state")
    rows = [_row(summary, node) for node in summary.nodes]
    cells = "".join(f"<th>{name}</th>" for name in head)
    return f'<div class="wide"><table><tr>{cells}</tr>' + "".join(rows) + "</table></div>"


def _long(name: str) -> str:
    """A long name by its ends; the whole of it shows under the pointer."""
    return f'<code title="{escape(name)}">{escape(shorten(name))}</code>'


def _row(summary: Summary, node: NodeView) -> str:
    state = node.life.value + (f": {node.error}" if node.error else "")
    cells = [
        f"<td>{escape(node.name)}</td>",
        f"<td>{_long(node.account)}</td>",
        f'<td class="n">{percent(node.alone)}</td>',
        f'<td class="n">{percent(node.together)}</td>',
        f'<td class="n">{tokens(summary.payout(node))}</td>',
        f"<td>{_long(node.weights)}</td>",
        f"<td>{escape(state)}</td>",
    ]
    return "<tr>" + "".join(cells) + "</tr>"

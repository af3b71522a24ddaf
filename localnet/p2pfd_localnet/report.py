"""A run as one HTML page that needs nothing else, in the looks of the live page: what that page showed, to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any

from p2pfd.cli.screen import shorten, size
from p2pfd.learning.device import CPU
from p2pfd_localnet import svg
from p2pfd_localnet.markup import card, figures, head, row, scroll
from p2pfd_localnet.reasons import attack, encounters, why
from p2pfd_localnet.summary import Summary
from p2pfd_localnet.view import NodeView
from p2pfd_localnet.words import percent, tokens

_OF_ITS_OWN = """
.mesh, .chart { display: block; width: 100%; height: auto; margin-top: 4px }
.mesh { max-height: 520px } .chart { aspect-ratio: auto; font-size: 12px } .half .chart { font-size: 15px }
.brand svg { flex: none }
.state { display: block; white-space: normal }
details.why { min-width: 7em; white-space: normal } details.why table { width: auto; font-size: .95em }
details.why th, details.why td { padding: .15em .4em }
details.why .sums { margin: .4em 0; max-width: 30em; white-space: normal }
th, td { vertical-align: baseline } td code, p code { overflow-wrap: anywhere }
main > .card { grid-column: 1 / -1 } main > .half { grid-column: auto }
@media (max-width: 860px) { main > .half { grid-column: 1 / -1 } }
@media print {
  @page { margin: 14mm }
  :root { --paper: #fff; --card: #fff }
  body { max-width: none; padding: 0; font-size: 11px } main { display: block }
  .card { box-shadow: none; break-inside: avoid-page; margin-bottom: 10px } .card.long { break-inside: auto }
  tr, .bar { break-inside: avoid } .scroll { overflow: visible; max-height: none }
  th, td { padding: .2em .5em } .mesh { max-height: 90mm } details:not([open]) { display: none }
}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
Told = Mapping[str, Any]


def render(summary: Summary, told: Told | None = None) -> str:
    """The page; ``told`` is all that a live page would have been told of the mesh by its end."""
    plan, told = summary.plan, told or {}
    page = files("p2pfd_localnet") / "page"
    parts = [
        card("How it went", _figures(summary), kind="now"),
        *_graph(told),
        _accuracy(summary, half="nodes" in told),
        *_chaos(told),
        *_rounds(told),
        *attack(summary),
        *encounters(summary, told),
        _nodes(summary, told),
        _bytes(summary),
        card("The same run again", f"<p><code>{escape(plan.command())} --fresh</code></p>"),
    ]
    title = escape(plan.name)
    chain = "no chain" if plan.chain == "none" else f"{plan.chain} chain"
    lead = f"{plan.nodes} nodes · {_length(summary)} · {plan.adapter} · {chain} · seed {plan.seed}"
    meta = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="content-security-policy" content="{_POLICY}">'
        '<meta name="color-scheme" content="light dark">'
    )
    icon = (page / "icon.svg").read_text(encoding="utf-8").replace("<svg ", '<svg aria-hidden="true" width="34" ', 1)
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head>{meta}<title>{title}</title>',
            f"<style>{(page / 'style.css').read_text(encoding='utf-8')}{_OF_ITS_OWN}</style></head><body>",
            f'<header><div class="brand">{icon}<div><h1>{title}</h1><p>{escape(lead)}</p></div></div>'
            f'<p class="pill" data-state="done">{escape(_ending(summary))}</p></header>',
            "<main>",
            *parts,
            "</main>",
            "</body></html>\n",
        ]
    )


def _ending(summary: Summary) -> str:
    lost = len(summary.lost)
    gone = "".join(f", with the machine {name}" for name in summary.machines_lost)
    return f"✕ {lost} of {len(summary.nodes)} nodes lost{gone}" if lost else "✓ finished"


def _length(summary: Summary) -> str:
    met = summary.meetings
    if not summary.plan.meets:
        return f"{summary.rounds} rounds"
    return f"{met.over} encounters, of which {len(met.accepted)} were accepted and {len(met.refused)} refused"


def _figures(summary: Summary) -> str:
    found = [
        (percent(summary.alone), "test accuracy alone"),
        (percent(summary.together), "test accuracy together"),
        (size(summary.sent), "sent per node"),
        *([(size(summary.labels), "of it labels")] if summary.labels else []),
        (size(summary.fedavg), "FedAvg’s weights"),
    ]
    if summary.audit is not None:
        wrong = len(summary.audit.problems)
        found.append((f"✕ {wrong} wrong" if wrong else f"✓ {summary.audit.payments}", "payments recomputed"))
    devices = sorted({node.device for node in summary.nodes if node.device})
    if devices and devices != [CPU]:
        found.append((", ".join(devices), "trained on"))
    found.append((f"{summary.seconds:.0f} s", "from start to end"))
    return figures(found)


def _graph(told: Told) -> Iterator[str]:
    nodes: Mapping[str, Any] = told.get("nodes", {})
    if not nodes:
        return
    edges: dict[tuple[str, str], int] = {}
    for name, node in nodes.items():
        for other in node["links"]:
            if other in nodes and other != name:
                key = (name, other) if name < other else (other, name)
                edges[key] = edges.get(key, 0) + node["heard"].get(other, 0)
    blamed = {name for node in nodes.values() for name in [*node["offences"], *node["refuses"]]}
    looks = {name: node["life"] + (" blamed" if name in blamed else "") for name, node in nodes.items()}
    heard = sum(1 for count in edges.values() if count)
    text = f"{len(nodes)} nodes, {len(edges)} connections; by {heard} of them came messages that were new"
    held = f"; others hold something against {', '.join(sorted(blamed))}" if blamed else ""
    picture = svg.graph(looks, edges, f"The mesh: {text}")
    yield card("Who heard whom", f'<p class="note">{escape(text + held)}.</p>{picture}', kind="half")


def _accuracy(summary: Summary, *, half: bool) -> str:
    series = [
        svg.Line(node.name, tuple((rnd + 1, value) for rnd, value in sorted(node.accuracy.items())))
        for node in summary.nodes
        if node.accuracy
    ]
    one = len({line.points for line in series}) == 1 and len(series) > 1
    words = (
        "All nodes derived the same model: their lines are one."
        if one
        else "Thin lines are nodes, the thick one is their mean."
    )
    series.append(svg.Line("mean", summary.curve, "mean"))
    values = [value for line in series for _, value in line.points]
    low = max(0.0, (int(10 * min(values)) - 1) / 10) if values else 0.0
    unit = "encounter of its own that was accepted" if summary.plan.meets else "round"
    last = f"{percent(summary.curve[-1][1])} at last. " if summary.curve else ""
    what = f"Mean accuracy by {unit}. {last}"
    chart = svg.lines(
        series, low=low, high=1.0, x_label=unit, what=what, height=svg.GRAPH_HEIGHT if half else svg.HEIGHT
    )
    text = f'<p class="note">On the validation samples: {last}{words}</p>'
    return card(
        f"Accuracy after each {'encounter' if summary.plan.meets else 'round'}", text + chart, kind="half" * half
    )


def _chaos(told: Told) -> Iterator[str]:
    """What was done to the mesh on purpose."""
    acts = list(told.get("acts", {}).values())
    if not acts:
        return
    first = told["about"]["began"]
    rows = []
    for entry in acts:
        words = " ".join(str(value) for value in entry["fields"].values())
        what = f"{entry['node']} {entry['event'].removeprefix('chaos.')}"
        rows.append(row(f"{(entry['t'] - first) / 1000:.1f} s", what, words, numbers=()))
    yield card("What was done to it", scroll("Chaos", head("after", "", ""), rows), kind="long")


def _rounds(told: Told) -> Iterator[str]:
    rounds: Mapping[str, Any] = told.get("rounds", {})
    if not rounds or told["about"]["plan"]["meets"]:
        return
    exchanges = any(each["offered"] for each in rounds.values())
    paid = any(each["settled"] for each in rounds.values())
    names = ("offered", "merged") if exchanges else ("bound", "shown", "learned")
    rows = []
    for number, each in rounds.items():
        learned = len(each["accuracy"])
        counts = (each["offered"], learned) if exchanges else (each["committed"], each["revealed"], learned)
        times = each["times"]
        took = f"{(max(times.values()) - times['opened']) / 1000:.1f} s" if times.get("opened") else "–"
        settled = each["settled"]
        pay = "–" if settled is None else tokens(settled["paid"]) if settled["counted"] else "not counted"
        cells = (*map(str, counts), percent(each["mean"]), *([pay] if paid else []), took)
        rows.append(row(str(int(number) + 1), *cells, numbers=range(len(cells))))
    heads = ("round", *names, "accuracy", *(["paid"] if paid else []), "took")
    yield card("Rounds", scroll("Rounds", head(*heads, numbers=range(1, len(heads))), rows), kind="long")


def _bytes(summary: Summary) -> str:
    rows = [(node.name, node.sent, "") for node in summary.finished]
    if summary.labels:
        rows.append(("labels alone", summary.labels, " second"))
    rows.append(("FedAvg’s weights", summary.fedavg, " third"))
    most = max((count for _, count, _ in rows), default=0) or 1
    bars = "".join(
        f'<div class="bar{kind}" role="listitem"><span class="bar-name">{escape(name)}</span><span class="track">'
        f'<span class="fill" style="display:block;transform:scaleX({count / most:.4f})"></span></span>'
        f'<span class="bar-figure">{size(count)}</span></div>'
        for name, count, kind in rows
    )
    text = (
        "Everything that left the node’s sockets to other nodes, all overhead included. Beside it what federated "
        "averaging would send for its weights alone, without any overhead: one model a round."
    )
    return card("Bytes sent by each node", f'<p class="note">{text}</p><div class="bars" role="list">{bars}</div>')


def _nodes(summary: Summary, told: Told) -> str:
    placed = any(node.machine for node in summary.nodes)
    heads = ["node", "state", *(["machine"] if placed else []), "account", "alone", "together", "weights"]
    chain = summary.plan.chain != "none"
    stakes: Mapping[str, Any] = told.get("stakes", {})
    if chain:
        heads += [*(["stake"] if stakes else []), "tokens", *(["why"] if told.get("whys") else [])]
    rows = [_row(summary, told, node, chain=chain) for node in summary.nodes]
    text = ""
    if chain:
        text = (
            '<p class="note">Tokens are the difference of the account’s balances on the chain before and after; '
            "<code>p2pfd verify</code> computes every payment again, <code>p2pfd explain</code> shows the sums.</p>"
        )
    numbers = [place for place, name in enumerate(heads) if name in ("alone", "together", "stake", "tokens")]
    return card("Nodes", text + scroll("Nodes", head(*heads, numbers=numbers), rows), kind="long")


def _row(summary: Summary, told: Told, node: NodeView, *, chain: bool) -> str:
    shunned = [name for name, other in told.get("nodes", {}).items() if node.name in other["refuses"]]
    state = node.life.value + (f": {node.error}" if node.error else "")
    state += f", refused by {', '.join(shunned)}" if shunned else ""
    cells = [
        f'<td><span class="state">{escape(state)}</span></td>',
        *([f"<td>{escape(node.machine)}</td>"] if any(one.machine for one in summary.nodes) else []),
        f"<td>{_long(node.account)}</td>",
        f'<td class="n">{percent(node.alone)}</td>',
        f'<td class="n">{percent(node.together)}</td>',
        f"<td>{_long(node.weights)}</td>",
    ]
    if chain:
        stake = told.get("stakes", {}).get(node.name)
        if told.get("stakes"):
            cells.append(f'<td class="n">{tokens(stake["locked"]) if stake else "–"}</td>')
        cells.append(f'<td class="n">{tokens(summary.payout(node))}</td>')
        if told.get("whys"):
            cells.append(f"<td>{why(told, node.name)}</td>")
    return f'<tr><th scope="row">{escape(node.name)}</th>{"".join(cells)}</tr>'


def _long(name: str) -> str:
    """A long name by its ends; the whole of it shows under the pointer."""
    return f'<code title="{escape(name)}">{escape(shorten(name))}</code>'

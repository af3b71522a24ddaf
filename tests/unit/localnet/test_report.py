import dataclasses
import io
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from p2pfd_localnet import svg
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.picture import Picture
from p2pfd_localnet.plan import UNIT, change
from p2pfd_localnet.presets import PRESETS, find
from p2pfd_localnet.report import render
from p2pfd_localnet.summary import summarise
from p2pfd_localnet.view import MeshView
from p2pfd_localnet.words import Words, tokens

from p2pfd.cli.screen import Screen
from p2pfd.core.encounter_claims import EncounterTerms
from p2pfd.core.ids import Account
from p2pfd.core.ticks import Tick
from p2pfd.incentives.audit import Audit
from p2pfd.incentives.encounter_audit import End, Judge

AUDIT = Audit(earned={}, rounds=2, payments=6, problems=())


def finished(nodes=3, rounds=2, lose=(), attack=None):
    plan = change(PRESETS[0], nodes=nodes, rounds=rounds, attack=attack)
    view = MeshView(plan.names(), rounds)
    for place, name in enumerate(plan.names()):
        view.take(
            NodeEvent(0, name, "listening", {"addresses": ["/ip4/127.0.0.1/tcp/1"], "account": f"0x{place:040x}"})
        )
        for rnd in range(rounds):
            view.take(NodeEvent(0, name, "round.absorbed", {"round": rnd, "accuracy": 0.6 + rnd / 10, "weights": "ab"}))
        if name in lose:
            view.take(NodeEvent(0, name, "exited", {"code": 0, "signal": 9}))
        else:
            figures = {
                "accuracy_together": 0.9,
                "accuracy_alone": 0.6,
                "bytes_sent": 2000,
                "label_bytes": 500,
                "fedavg_bytes": 40_000,
            }
            view.take(NodeEvent(0, name, "finished", figures))
    payouts = {Account(f"0x{place:040x}"): (place - 1) * 5 * UNIT for place in range(nodes)}
    return summarise(plan, view, 12.5, payouts, AUDIT, "report.html")


def test_who_was_bad_and_what_it_cost_them_is_told_everywhere():
    summary = finished(nodes=4, attack={"copy": 2})
    bad = summary.plan.dishonest()
    assert sorted(bad.values()) == ["copy", "copy"]
    pay = {name: (place - 1) * 5 * UNIT for place, name in enumerate(summary.plan.names())}
    honest = sum(pay[name] for name in pay if name not in bad) // 2
    others = sum(pay[name] for name in bad) // 2
    assert summary.to_plain()["attack"] == {"nodes": bad, "mean_payout": {"honest": honest, "bad": others}}
    out = io.StringIO()
    Words(Screen(out=out, plain=True, env={}), Path("x")).end(summary)
    assert f"bad     {', '.join(f'{name} copy' for name in bad)}" in out.getvalue()
    assert f"on average the honest earned {tokens(honest)}, the bad {tokens(others)}" in out.getvalue()
    assert "<h2>Who was bad</h2>" in render(summary)
    clean = finished()
    assert "attack" not in clean.to_plain()
    assert "Who was bad" not in render(clean)


def test_the_summary_counts_the_finished_only():
    summary = finished(lose=("node-1",))
    assert [node.name for node in summary.finished] == ["node-0", "node-2"]
    assert summary.alone == pytest.approx(0.6)
    value = summary.to_plain()
    assert set(value["accuracy"]["by_node"]) == {"node-0", "node-2"}
    assert value["accuracy"]["by_round"] == pytest.approx([0.6, 0.7])
    assert value["payouts"] == {f"0x{place:040x}": (place - 1) * 5 * UNIT for place in range(3)}
    assert value["lost"] == {"node-1": "its process was ended by signal 9"}
    assert (value["bytes_per_node"], value["fedavg_bytes_per_node"]) == (2000, 40_000)


@pytest.mark.parametrize("nodes", [1, 3, 64])
def test_the_page_is_whole_and_needs_no_other_file(nodes):
    page = render(finished(nodes))
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page
    assert "<script" not in page
    for start in [at for at in range(len(page)) if page.startswith("<svg", at)]:
        ElementTree.fromstring(page[start : page.index("</svg>", start) + 6])
    opened = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag != "meta":
                opened.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Balance().feed(page)
    assert opened == []
    assert "-5.00" in page


def test_names_cannot_break_the_page():
    plan = change(PRESETS[0], name='<script>"&', nodes=1)
    page = render(summarise(plan, MeshView(plan.names(), 1), 1.0, {}, None, "r"))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_lines_that_are_one_are_said_to_be_one():
    plan = change(PRESETS[0], nodes=2)
    view = MeshView(plan.names(), 1)
    for name in plan.names():
        view.nodes[name].accuracy[0] = 0.5
    assert "their lines are one" in render(summarise(plan, view, 1.0, {}, None, "r"))
    view.nodes["node-1"].accuracy[0] = 0.6
    assert "Thin lines are nodes" in render(summarise(plan, view, 1.0, {}, None, "r"))


def test_pictures_of_nothing_and_of_much():
    ElementTree.fromstring(svg.lines([], low=0, high=1, x_label="x", what="nothing"))
    many = svg.Line("a", tuple((float(x), 0.5) for x in range(400)), "mean")
    assert "<circle" not in svg.lines([many], low=0, high=1, x_label="x", what="much")
    ElementTree.fromstring(svg.graph({}, {}, "nobody"))
    ElementTree.fromstring(svg.graph({"node-0": "finished"}, {}, "one"))


def test_the_graph_comes_to_rest_with_all_nodes_apart_and_in_the_picture():
    names = {f"node-{place}": "ready blamed" if place == 7 else "finished" for place in range(40)}
    edges = {(f"node-{place}", f"node-{(place + step) % 40}"): place for place in range(40) for step in (1, 7)}
    drawn = ElementTree.fromstring(svg.graph(names, edges, "forty"))
    spaces = {"s": "http://www.w3.org/2000/svg"}
    assert len(drawn.findall("s:line", spaces)) == 80
    spots = [
        tuple(map(float, group.get("transform")[len("translate(") : -1].split()))
        for group in drawn.findall("s:g", spaces)
    ]
    assert len(set(spots)) == 40
    assert all(0 < x < svg.GRAPH_WIDTH and 0 < y < svg.GRAPH_HEIGHT for x, y in spots)
    closest = min(abs(a - c) + abs(b - d) for i, (a, b) in enumerate(spots) for c, d in spots[:i])
    assert closest > 12, "no node hides another"


def test_the_end_says_what_came_of_it():
    out = io.StringIO()
    Words(Screen(out=out, err=out, env={}), home=Path("x")).end(finished(12))
    text = out.getvalue()
    assert "alone 60.0 % → together 90.0 %" in text
    assert "2.0 kB sent per node, of which labels 500 B (FedAvg's weights: 40.0 kB)" in text
    assert "node-11 50.00" in text
    assert "localnet down --state x" in text
    assert "\x1b" not in text
    assert tokens(-1_500_000) == "-1.50"


def test_a_payment_that_is_wrong_is_said_and_nothing_else_is():
    def told(audit):
        out = io.StringIO()
        words = Words(Screen(out=out, plain=True, env={}), Path("x"))
        words.end(dataclasses.replace(finished(), audit=audit))
        return out.getvalue()

    assert "audit   6 payments recomputed" in told(AUDIT)
    wrong = told(dataclasses.replace(AUDIT, problems=("round 1: 0xab was paid 3",)))
    assert "wrong   round 1: 0xab was paid 3" in wrong
    assert "audit" not in wrong
    assert "audit" not in told(None)


class Wall:
    def now(self) -> Tick:
        return Tick(1)


def met():
    """A mesh in which one encounter was voted on and another one was not, as its page would have been told."""
    plan = dataclasses.replace(find("encounters"), nodes=5)
    view = MeshView(plan.names(), plan.rounds)
    picture = Picture(plan, view, Wall())
    who = [Account(f"0x{place:040x}") for place in range(5)]
    spec = plan.encounters
    terms = EncounterTerms(who[0], who[1], spec.prepayment, 1, 2, 0, 1, spec.share, 3)

    def happen(node, name, part="", **fields):
        key = part and f"{name.partition('.')[0]}-{part}"
        event = NodeEvent(5_000, f"node-{node}", name, {**fields, **({"part": key} if key else {})})
        view.take(event)
        picture.take(event)

    for place, account in enumerate(who):
        happen(place, "node.started", pid=1, peer=f"peer-{place}", account=account)
        happen(
            place, "node.network", peers=[f"peer-{(place + 1) % 5}"], heard={f"peer-{(place + 1) % 5}": 3}, bytes_sent=9
        )
    happen(2, "node.network", offences={"peer-4": 20}, refused=["peer-4"], bytes_sent=9)
    key = f"{terms.key:x}"
    happen(0, "learner.opened", key, neighbor=who[1], prepayment=1)
    for place, good in enumerate((True, False)):
        happen(2 + place, "validator.drawn", key, place=place, neighbor=who[1])
        happen(2 + place, "validator.judged", key, good=good, before=500_000, after=612_000)
    void = f"{(int(who[3], 16) << 96):x}"
    happen(3, "learner.opened", void, neighbor=who[4])
    happen(3, "learner.over", void, end="voided")
    votes = zip(who[2:], (True, False, None), (UNIT, -UNIT // 2, -UNIT), strict=True)
    judges = tuple(Judge(seat, holder, vote, (0, 0), 1, 1, 1, paid) for seat, (holder, vote, paid) in enumerate(votes))
    end = End(terms, judges, 3 * UNIT, 17 * UNIT, 3 * UNIT, 17 * UNIT)
    return summarise(plan, view, 1.0, {}, None, "r", (end,)), picture.since(0)[1]


def test_each_encounter_is_in_the_report_with_its_votes_and_what_it_paid():
    summary, told = met()
    page = render(summary, told)
    for part in (
        '<th scope="row">node-0</th><td>node-1</td>',
        "no worse: accuracy 50.0 %, then 61.2 %:</span> 2 +1.00",
        "</span> 3 -0.50",
        '<td class="n">+7.00</td><td class="n">-7.00</td>',
        "Ended without votes: node-3 and node-4.",
        "the chain credited just this",
        "others hold something against node-4",
        "refused by node-2",
    ):
        assert part in page
    assert "What each encounter paid" not in render(summarise(summary.plan, MeshView([], 1), 1.0, {}, None, "r"))


def test_rounds_and_reasons_are_in_the_report():
    stage = finished()
    why = {
        "score": 1.5, "paid": 3_000_000, "same": True, "peers": 2, "samples": 4, "mean": 0.4, "rate": UNIT, "due": 4,
        "all_due": 9 * UNIT, "pot": 8 * UNIT, "parts": [[3, 2, 4, 1.25]],
    }  # fmt: skip
    told = {
        "about": {"plan": {"meets": False}},
        "rounds": {
            "0": {
                "workers": 3, "committed": 3, "revealed": 2, "offered": 0, "mean": 0.61, "accuracy": {"node-0": 0.6},
                "times": {"opened": 1_000, "settled": 3_500}, "short": False, "payments": {},
                "settled": {"counted": True, "paid": 5 * UNIT, "refunded": 0},
            }
        },
        "whys": {"0 node-1": {**why, "paid": 1}, "1 node-1": why},
        "stakes": {"node-1": {"locked": 100 * UNIT, "suspended": False}},
    }  # fmt: skip
    page = render(stage, told)
    for part in (
        '<th scope="row">1</th><td class="n">3</td><td class="n">2</td><td class="n">1</td><td class="n">61.0 %</td>',
        '<td class="n">5.00</td><td class="n">2.5 s</td>',
        "<summary>3.00 in round 2</summary>",
        '<th scope="row">3</th><td>2</td><td>4</td><td>1.250</td><td>+0.50</td>',
        "all are due 9.00, the pot holds 8.00: in proportion",
        "as the labels on the chain say",
        '<td class="n">100.00</td>',
    ):
        assert part in page

import dataclasses
import io
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from p2pfd_localnet import svg
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.plan import UNIT, change
from p2pfd_localnet.presets import PRESETS, find
from p2pfd_localnet.report import render
from p2pfd_localnet.summary import summarise
from p2pfd_localnet.view import MeshView
from p2pfd_localnet.words import Words, tokens

from p2pfd.cli.screen import Screen
from p2pfd.core.encounter_claims import EncounterTerms
from p2pfd.core.ids import Account
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
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
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
    assert "−" in page or nodes == 64 or "-5.00" in page


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


def test_bars_to_the_left_of_zero_and_lines_without_points():
    ElementTree.fromstring(svg.bars([("a", -3.0, "-3"), ("b", 4.0, "4"), ("c", 0.0, "0")]))
    ElementTree.fromstring(svg.bars([]))
    ElementTree.fromstring(svg.lines([], low=0, high=1, y_label="y", x_label="x", percent=True))


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


def test_each_encounter_is_in_the_report_with_its_votes_and_what_it_paid():
    plan = dataclasses.replace(find("encounters"), nodes=5)
    view = MeshView(plan.names(), plan.rounds)
    who = [Account(f"0x{place:040x}") for place in range(5)]
    for name, account in zip(plan.names(), who, strict=True):
        view.take(NodeEvent(0, name, "node.started", {"pid": 1, "peer": name, "account": account}))
    spec = plan.encounters
    terms = EncounterTerms(who[0], who[1], spec.prepayment, 1, 2, 0, 1, spec.share, 3)
    votes = zip(who[2:], (True, False, None), (UNIT, -UNIT // 2, -UNIT), strict=True)
    judges = tuple(Judge(seat, holder, vote, (0, 0), 1, 1, 1, paid) for seat, (holder, vote, paid) in enumerate(votes))
    end = End(terms, judges, 3 * UNIT, 17 * UNIT, 3 * UNIT, 17 * UNIT)
    page = render(summarise(plan, view, 1.0, {}, None, "r", (end,)))
    for told in ("<td>node-0</td><td>node-1</td>", "node-2&nbsp;✓&nbsp;+1.00", "node-3&nbsp;✗&nbsp;-0.50"):
        assert told in page
    assert '<td class="n">+7.00</td><td class="n">-7.00</td>' in page
    assert "What each encounter paid" not in render(summarise(plan, view, 1.0, {}, None, "r"))

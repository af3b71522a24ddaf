"""The mesh's metrics: read by the parser of Prometheus's own client, complete on their page, and enough for Grafana."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from p2pfd_localnet import meshmetrics
from p2pfd_localnet.plan import UNIT
from prometheus_client.parser import text_string_to_metric_families

from p2pfd.node import metrics as node_metrics
from tests.unit.localnet.test_picture import Stage

ROOT = Path(__file__).parents[3]
BOARD = ROOT / "docs/howto/grafana/p2pfd.json"
PAGE = ROOT / "docs/reference/metrics.md"


@pytest.fixture
def stage() -> Stage:
    made = Stage(3)
    made.picture.status("running")
    made.happen("node.listening", "node-0", addresses=["/ip4/127.0.0.1/tcp/1"], metrics="http://127.0.0.1:9464/metrics")
    made.happen("round.opened", round=1, workers=3)
    made.happen("round.committed", round=1, have=2, of=3)
    made.happen("round.absorbed", "node-0", round=0, accuracy=0.5)
    made.happen("round.absorbed", "node-1", round=0, accuracy=0.7)
    made.happen("round.paid", round=0, account="0x" + "0" * 39 + "1", amount=3 * UNIT, score=1)
    made.happen("node.network", "node-2", bytes_sent=9, peers=["peer-0"], offences={"peer-1": 20}, refused=["peer-1"])
    made.happen("exited", "node-2", code=0, signal=9)
    made.picture.stake("node-1", 100 * UNIT, suspended=False)
    made.picture.block(12, ["something"])
    made.happen("learner.opened", part=f"learner-{1 << 96:x}", neighbor="0x" + "0" * 39 + "2")
    return made


def read(stage: Stage) -> dict[str, dict[tuple[str, ...], float]]:
    text = meshmetrics.exposition(stage.picture.since(0)[1])
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_a_mesh_tells_its_figures(stage: Stage) -> None:
    found = read(stage)
    assert found["localnet_info"] == {("digits", "cfd", "embedded", "7"): 1}
    assert found["localnet_nodes"][("lost",)] == 1
    assert found["localnet_round"] == {(): 2}
    assert found["localnet_accuracy"][()] == pytest.approx(0.6)
    assert found["localnet_node_accuracy"] == {("node-0",): 0.5, ("node-1",): 0.7}
    assert found["localnet_round_workers"][("committed",)] == 2
    assert found["localnet_node_sent_bytes"][("node-2",)] == 9
    assert found["localnet_node_peers"][("node-2",)] == 1
    assert found["localnet_node_refused_by"] == {("node-0",): 0, ("node-1",): 1, ("node-2",): 0}
    assert found["localnet_node_earned_tokens"][("node-1",)] == 3
    assert found["localnet_node_stake_tokens"] == {("node-1",): 100}
    assert found["localnet_encounters"] == {("open",): 1}
    assert found["localnet_chain_block"] == {(): 12}
    assert set(found) == {family.name for family in meshmetrics.FAMILIES}


def test_a_mesh_of_which_nothing_is_known_yet_tells_what_it_can() -> None:
    found = read(Stage(1))
    assert found["localnet_round"] == {(): 0}
    assert found["localnet_accuracy"] == {}


def test_nodes_that_serve_metrics_are_told(stage: Stage) -> None:
    told = json.loads(meshmetrics.targets(stage.picture.since(0)[1]))
    assert told == [{"targets": ["127.0.0.1:9464"], "labels": {"node": "node-0", "mesh": "digits"}}]


def test_every_metric_of_the_mesh_is_on_its_page() -> None:
    rows = re.findall(r"^\| `(localnet_\w+)` \| gauge \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [
        (family.name, ", ".join(f"`{label}`" for label in family.labels), family.meaning)
        for family in meshmetrics.FAMILIES
    ]


def test_every_metric_and_label_on_the_dashboard_is_exported() -> None:
    families = {family.name: family for family in (*meshmetrics.FAMILIES, *node_metrics.FAMILIES)}
    scraped = {"instance", "job", "node", "mesh"}
    board = json.loads(BOARD.read_text())
    shown = [panel for panel in board["panels"] if panel["type"] != "row"]
    used = set()
    for panel in shown:
        for target in panel["targets"]:
            names = set(re.findall(r"\b(?:localnet|p2pfd|process)_\w+", target["expr"]))
            assert names, panel["title"]
            assert names <= set(families), panel["title"]
            used |= names
            legal = scraped | {label for name in names for label in families[name].labels}
            grouped = {word for part in re.findall(r"by \(([^)]*)\)", target["expr"]) for word in part.split(", ")}
            chosen = set(re.findall(r"(\w+)(?:=~?|!=)\"", target["expr"]))
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert grouped | chosen | legend <= legal, panel["title"]
            counters = {name for name in names if families[name].kind == "counter"}
            assert all(re.search(rf"(?:rate|increase)\({name}", target["expr"]) for name in counters), panel["title"]
    assert len(used) > 20


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    board = json.loads(BOARD.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])

"""What the scaling bench computes, and its page, from figures that are made up here; the meshes are the bench's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from p2pfd_localnet.checks import check
from p2pfd_localnet.presets import find

from tests.bench.machine import keep
from tests.bench.processes import TICKS, Looks, below, busy, proportional_kb
from tests.bench.scale import gas, page, tables, traffic
from tests.bench.scale.cells import MEETINGS, SERIES, SIM, Cell, plan, tiny_plan
from tests.bench.scale.fit import fitted, full_round, reached
from tests.bench.scale.gas import Call
from tests.bench.scale.kept import FORMAT, best, is_whole, known, path_of
from tests.bench.scale.runs import last_word, measure

HERE = {
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 8,
    "system": "a system",
    "python": "3.11",
    "versions": {"p2pfd": "1"},
}


def outcome(cell: Cell, cpu: float, **more: Any) -> dict[str, Any]:
    """A run's figures as they are kept."""
    return {
        "cell": cell.to_plain(),
        "problem": "",
        "machine": HERE,
        "load": 0.1,
        "others": 0.05,
        "runs": 1,
        "spread": 0.0,
        "whole_seconds": 60.0,
        "rounds": 6,
        "round_seconds": 2.0,
        "cpu": cpu,
        "cpu_by_part": {"nodes": cpu, "supervisor": 0.0},
        "sent": 1000.0 * cell.nodes,
        "sent_before": 2000.0 * cell.nodes,
        "label_bytes": cell.public / 2,
        "weights_bytes": 4 * 7_210,
        "memory": 50e6,
        "gas": 188_000.0 if cell.chain == "embedded" else None,
        "gas_to_settle": 60_000.0 if cell.chain == "embedded" else None,
        "encounters": 30,
        "accepted": 20,
        "calls": 2.0,
        "seconds": 20.0,
        "events": 8.0,
        "finished": cell.nodes,
        "command_cpu": 3.0,
        **more,
    }


def some(outcomes_of: Sequence[str]) -> list[dict[str, Any]]:
    """Figures of whole series: a tenth of a second, and a hundredth for each other node."""
    cells = dict.fromkeys(cell for name in outcomes_of for cell in SERIES[name])
    return [outcome(cell, 0.1 + 0.01 * cell.nodes) for cell in cells]


def test_a_line_through_points_on_a_line_is_that_line() -> None:
    line = fitted([(10, 0.2), (20, 0.3), (50, 0.6)])
    assert line is not None
    assert (line.a, line.b) == pytest.approx((0.1, 0.01))
    assert line.off == pytest.approx(0)
    assert line.at(100) == pytest.approx(1.1)


def test_a_line_says_by_how_much_it_misses_a_point() -> None:
    line = fitted([(0, 1.0), (1, 3.0), (2, 2.0)])
    assert line is not None
    assert (line.a, line.b) == pytest.approx((1.5, 0.5))
    assert line.off == pytest.approx(0.5)


@pytest.mark.parametrize("points", [[], [(10, 0.2)], [(10, 0.2), (10, 0.3)]], ids=["none", "one", "one place"])
def test_no_line_goes_through_one_place(points: list[tuple[float, float]]) -> None:
    assert fitted(points) is None


def test_a_round_fills_a_minute_where_its_work_is_a_minute_of_all_cores() -> None:
    line = fitted([(10, 0.2), (20, 0.3)])
    assert line is not None
    nodes = full_round(line, cores=2)
    assert nodes is not None
    assert nodes * line.at(nodes) == pytest.approx(120)


def test_where_nodes_cost_the_same_in_any_mesh_the_limit_is_plain() -> None:
    line = fitted([(10, 0.5), (20, 0.5)])
    assert line is not None
    assert full_round(line, cores=1) == pytest.approx(120)
    assert reached(line, 3.0) is None


def test_what_falls_with_more_nodes_has_no_limit() -> None:
    line = fitted([(10, 0.2), (20, 0.1)])
    assert line is not None
    assert full_round(line, cores=2) is None


def test_every_mesh_of_the_bench_is_a_plan_that_can_be_carried_out(tmp_path: Path) -> None:
    for cell in [*plan(), *tiny_plan()]:
        if cell.kind != SIM:
            path = tmp_path / f"{cell.name}.toml"
            path.write_text(cell.plan)
            found = find(str(path))
            check(found)
            assert (found.nodes, found.rounds, found.data.public) == (cell.nodes, cell.rounds, cell.public)
            assert found.encounters.size == cell.validators or cell.kind != MEETINGS


def test_each_run_has_a_name_of_its_own_and_runs_once() -> None:
    cells = plan()
    assert len({cell.name for cell in cells}) == len(cells)
    assert set(cells) == {cell for series in SERIES.values() for cell in series}
    assert [cell.name for cell in cells[-2:]] == ["sim-10000n-20r-toy", "mesh-100n-4r-none-digits-mlp8-320p"]


def test_a_rounds_gas_ends_with_the_call_that_settles() -> None:
    made = [Call("enrol", 5, True), Call("commit", 10, True), Call("settle", 7, False), Call("settle", 20, True)]
    made += [Call("commit", 11, True), Call("commit", 12, True), Call("settle", 21, True), Call("withdraw", 3, True)]
    assert gas.by_round(made) == [{"enrol": 5, "commit": 10, "settle": 27}, {"commit": 23, "settle": 21}]


def test_money_and_seats_are_no_part_of_an_encounter() -> None:
    made = [Call("deposit", 5, True), Call("join", 6, True), Call("open", 7, True), Call("settle", 8, False)]
    assert gas.of_meetings(made) == (15, 2)


def test_bytes_of_a_round_are_counted_from_the_first_ones_end() -> None:
    def told(name: str, **fields: int) -> dict[str, Any]:
        return {"event": name, "t": 1, **fields}

    events = [told("node.network", bytes_sent=70)]
    for rnd, total in ((0, 100), (1, 130), (2, 180)):
        events += [told("round.absorbed", round=rnd), told("node.network", bytes_sent=total)]
        events.append(told("node.network", bytes_sent=total + 5))
    assert traffic.by_round(events) == {0: 100, 1: 130, 2: 180}
    assert traffic.sent([events, events]) == (40, 100)
    assert traffic.sent([events[:3]]) == (0, 0)


def test_a_window_begins_with_the_last_who_is_ready() -> None:
    def told(name: str, t: int, sent: int) -> dict[str, Any]:
        return {"event": name, "t": t * 1_000_000, "bytes_sent": sent}

    quick = [told("ready", 1, 10), told("over", 5, 30), told("over", 9, 50)]
    slow = [told("ready", 3, 10), told("over", 8, 40)]
    assert traffic.window([quick, slow], "ready", "over") == (3, 9)
    assert traffic.sent_since([quick, slow], 3) == 70
    with pytest.raises(ValueError, match="no node told"):
        traffic.window([quick], "ready", "never")


def test_looks_see_what_a_process_uses() -> None:
    burn = "end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    program = f"import sys, time\nprint(flush=True)\nsys.stdin.readline()\n{burn}print(flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        looks = Looks(child.pid)
        child.stdout.readline()
        looks.take()
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        looks.take()
        looks.weigh()
        assert child.pid in below(os.getpid())
        assert looks.weights[0][1] > 1_000_000
        child.communicate()
    (first, _), (last, _) = looks.history
    assert looks.between(first, last)["supervisor"] >= 0.25
    assert looks.machine[1] > looks.machine[0]
    assert looks.at(first - 1) == looks.history[0][1]
    assert looks.heaviest(last, last + 60) == looks.weights[0][1]
    assert looks.heaviest(0, 1) is None, "nothing was weighed then"
    assert proportional_kb(child.pid) == 0


def test_what_processors_do_for_nobody_is_not_work() -> None:
    stat = "cpu  100 200 300 4000 500 60 70 80 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n"
    assert busy(stat) * TICKS == 100 + 200 + 300 + 60 + 70 + 80


def test_others_are_all_that_is_not_ours() -> None:
    looks = Looks(1, history=[(t, {"nodes": 0.5 * t}) for t in (0.0, 2.0, 4.0)], machine=[100.0, 103.0, 106.0])
    assert looks.others(0.0, 4.0) == pytest.approx(1.0)
    assert looks.others(1.0, 3.0) == 0.0, "one look tells of no time between two"


def test_between_two_looks_time_passes_evenly() -> None:
    looks = Looks(1, history=[(10.0, {"nodes": 1.0}), (12.0, {"nodes": 3.0, "chain": 4.0})])
    assert looks.at(11.0) == {"nodes": 2.0, "chain": 2.0}
    assert looks.between(10.5, 12.0) == {"nodes": 1.5, "chain": 3.0}


def test_of_several_runs_the_one_with_the_least_work_counts(tmp_path: Path) -> None:
    cell = SERIES["nodes"][0]
    for nth, cpu in ((1, 0.3), (2, 0.2), (3, 0.4)):
        keep(path_of(tmp_path, cell, nth), {"format": FORMAT, **outcome(cell, cpu)})
    keep(path_of(tmp_path, cell, 4), {"format": FORMAT, "problem": "cut off", "cell": cell.to_plain()})
    keep(path_of(tmp_path, cell, 5), {"format": FORMAT - 1, **outcome(cell, 0.1)})
    found = known(tmp_path, cell)
    assert len(found) == 4
    assert (best(found)["cpu"], best(found)["runs"], best(found)["spread"]) == (0.2, 3, pytest.approx(1.0))
    assert "up to 100 % more processor time" in page.machine([best(found)])
    assert [is_whole(tmp_path, cell, nth) for nth in range(1, 7)] == [True, True, True, False, False, False]
    assert best([one for one in found if one["problem"]])["problem"] == "cut off"
    assert known(tmp_path, SERIES["nodes"][1]) == []


def test_a_meshs_last_word_is_its_result(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text('{"t": 1}\n{"accuracy": 1}\n')
    assert last_word(out) == {"accuracy": 1}
    out.write_text("cut short")
    assert last_word(out) == {}


def test_what_a_mesh_says_is_wrong_is_told() -> None:
    found = measure(Cell("mesh", 10, 3, data="no-such-set"), limit=60)
    assert "no-such-set" in found["problem"]
    assert "cpu" not in found


def test_the_page_says_what_was_not_measured() -> None:
    written = page.markdown([], plan(), "scaling.svg")
    assert "Nothing has been measured yet" in written
    assert written.count(": it has not run.") == len(plan())
    assert "$" not in written


def test_the_page_has_the_figures_and_what_follows_from_them(tmp_path: Path) -> None:
    outcomes = some(list(SERIES))
    failed = SERIES["nodes off chain"][-1]
    outcomes = [one for one in outcomes if one["cell"] != failed.to_plain()]
    outcomes.append({**outcome(failed, 9.9), "problem": "cut off after\n600 s"})
    path, drawing = page.write(tmp_path / "scaling.md", outcomes, plan())
    written = path.read_text()
    assert f"- `{failed.name}`: cut off after 600 s." in written
    assert "it has not run" not in written
    assert tables.NOTHING not in written
    assert "with a chain: the processor time of a round is a minute of 2 cores at **105 nodes**" in written
    assert "No more than 50 were measured." in written
    assert "with a chain: at 50 nodes 83 % of a node's processor time is the part that grows with n" in written
    assert "| processor time, with a chain | 0.100 + 0.01 n s | 10 to 50 | 0 % |" in written
    assert "9.9" not in written
    assert drawing.read_text().startswith("<svg")


def test_a_limit_counts_the_waiting_that_was_seen() -> None:
    waited = [{**one, "round_seconds": one["cpu"] * one["cell"]["nodes"]} for one in some(["nodes"])]
    assert "a round took 2.00 times as long as its processor time" in page.limit(waited)
    assert "so it is a minute at **73 nodes**" in page.limit(waited)
    assert page.limit(waited[:2]) == tables.NOTHING, "two points are always on a line"


def test_runs_that_were_too_short_to_be_weighed_have_no_memory() -> None:
    short = [{**one, "memory": None} for one in some(["nodes"])]
    assert "memory" not in page.limit(short)
    assert "| 0.600 | 0.600 | – | 0.000 | 50.0 | 100 | – | 188 |" in tables.nodes(short)


def test_an_idle_machine_is_not_said_to_have_worked() -> None:
    quiet = some(["nodes"])
    assert "did other work" not in page.markdown(quiet, plan(), "scaling.svg")
    quiet[0]["others"] = 1.5
    assert "did other work" in page.markdown(quiet, plan(), "scaling.svg")


def test_figures_have_three_digits_that_mean_something() -> None:
    assert [tables.number(each) for each in (1234.5, 99.96, 12.34, 1.234, 0.01234, None)] == [
        "1,234",
        "100.0",
        "12.3",
        "1.23",
        "0.012",
        "–",
    ]


def test_what_is_kept_can_be_read_again() -> None:
    for cell in plan():
        assert Cell(**json.loads(json.dumps(cell.to_plain()))) == cell

"""The figures of the comparison: what is read out of runs, their spread over seeds, and what the table says of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from tests.bench.peers import page
from tests.bench.peers.cells import BETWEEN, CHURN, FLOWER, GRPC, IID, P2PFD, UNEVEN, Cell, matrix, plan, tiny
from tests.bench.peers.meter import carried, ticks
from tests.bench.peers.runs import Said, course
from tests.bench.peers.summary import (
    Reached,
    amount,
    as_csv,
    behind,
    brief,
    grouped,
    reached,
    run_of,
    share,
    spread,
    table,
)

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 8,
    "python": "3.11.7",
    "versions": {"p2pfd": "0.1.0"},
    "rivals": {"flower": {"flwr": "1.41.0"}},
}


def outcome(system: str, seed: int, accuracy: float, seconds: float, **other: Any) -> dict[str, Any]:
    cell = Cell(system, 10, UNEVEN, seed=seed)
    return {
        "cell": cell.to_plain(),
        "finished": True,
        "ended": 2,
        "meant_to_end": 2,
        "accuracies": [accuracy - 0.01, accuracy + 0.01],
        "course": [(2.0, 0.5), (4.0, 0.95)],
        "samples": [(0.0, 0.0, 0), (3.0, 1.5, 1_000), (5.0, 2.5, 2_000_000)],
        "seconds": seconds,
        "cpu_seconds": 2 * seconds,
        "wire_bytes": 3_000_000,
        "wire_packets": 100,
        "peak_bytes": 500_000_000,
        "model_bytes": 0,
        "processes": 11,
        "machine": MACHINE,
        "load": 0.3,
        **other,
    }


RUNS = [
    outcome(P2PFD, 1, 0.94, 20.0),
    outcome(P2PFD, 2, 0.92, 22.0),
    outcome(GRPC, 1, 0.95, 60.0),
    outcome(GRPC, 2, 0.50, 150.0, finished=False, ended=1, course=[]),
    outcome(FLOWER, 1, 0.97, 30.0, model_bytes=5_000_000),
    outcome(FLOWER, 2, 0.97, 31.0, model_bytes=5_000_000),
]


def test_what_a_run_had_taken_at_the_target_is_taken_from_the_next_look() -> None:
    looks = [(0.0, 0.0, 0), (1.0, 0.4, 10_000), (2.0, 0.9, 500_000)]
    assert reached([(0.5, 0.2), (1.2, 0.91)], looks) == Reached(1.2, 0.9, 0.5)
    assert reached([(2.5, 0.95)], looks) == Reached(2.5, 0.9, 0.5), "after the last look, that one"
    assert reached([(0.5, 0.2), (1.2, 0.89)], looks) is None
    assert reached([(0.5, 0.2)], []) is None


def test_the_course_is_the_mean_of_the_last_words_from_when_all_have_spoken() -> None:
    told = [
        Said(1.0, "node-0", 0.5),
        Said(2.0, "node-2", 0.1),
        Said(3.0, "node-1", 0.7),
        Said(4.0, "node-0", 0.9),
    ]
    found = course(told, (0, 1), P2PFD)
    assert [when for when, _ in found] == [3.0, 4.0], "node-2 does not count"
    assert [mean for _, mean in found] == pytest.approx([0.6, 0.8])
    assert course([Said(5.0, "server", 0.9)], (0, 1), FLOWER) == [(5.0, 0.9)]


def test_a_spread_says_how_many_have_a_value() -> None:
    assert spread([0.94, 0.92], share) == ".930 ± .014"
    assert spread([0.94], share) == ".940"
    assert spread([12.0, None, 14.0], amount) == "13.0 ± 1.4 (2 of 3)"
    assert spread([None, None], amount) == "–"
    assert (share(1.0), amount(1234.5), amount(0.0421)) == ("1.000", "1,234", "0.04")


def test_the_table_shows_runs_that_did_not_end_and_no_bytes_of_simulations() -> None:
    (rows,) = grouped([run_of(each) for each in RUNS]).values()
    ours, theirs, simulated = (line.split(" | ") for line in table(rows).splitlines()[2:])
    assert ours[:6] == [f"| {P2PFD}", "2", "2/2", ".930 ± .014", ".920 ± .014", "4.0 ± 0.00"]
    assert theirs[2] == "1/2, 2/2 †"
    assert theirs[5] == "4.0 (1 of 2)"
    assert simulated[10] == "*"
    assert simulated[7] == "–"


def test_p2pfd_is_behind_where_means_differ_by_more_than_the_spread() -> None:
    (rows,) = grouped([run_of(each) for each in RUNS]).values()
    lines = behind(rows)
    assert lines[0] == f"accuracy: .930, against {GRPC} .950; {FLOWER} .970", (
        "a run that was cut off is no rival's loss"
    )
    assert not any(line.startswith(("seconds:", "CPU seconds")) for line in lines)
    assert behind({P2PFD: rows[P2PFD]}) == []


def test_each_run_is_a_line_of_the_csv() -> None:
    read = list(csv.DictReader(io.StringIO(as_csv(RUNS))))
    assert [line["system"] for line in read] == [each["cell"]["system"] for each in RUNS]
    assert read[0]["accuracy_mean"] == "0.94"
    assert read[3]["finished"] == "0"
    assert read[3]["target_seconds"] == ""
    assert read[4]["model_megabytes"] == "5"


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    paths = page.write(tmp_path / "peers.md", RUNS, 31)
    text, drawing = paths[0].read_text(), paths[2].read_text()
    assert "10 nodes, α = 0.1" in text
    assert "6 of 31" in text
    assert "flwr 1.41.0" in text
    assert "did other work" not in text
    assert FLOWER in drawing
    nothing = page.markdown([], 31, "a.svg", "a.csv")
    assert "Nothing has been measured" in nothing
    assert "| p2pfd |" in nothing, "who is set up how is told all the same"
    busy = [{**each, "load": 9.0} for each in RUNS]
    assert "did other work" in page.markdown(busy, 31, "a.svg", "a.csv")


def test_the_first_seeds_runs_come_first_and_names_are_unlike() -> None:
    cells = plan(3)
    assert len({cell.name for cell in cells}) == len(cells) == 3 * len(matrix(1))
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert {cell.system for cell in cells if cell.trouble == CHURN} >= {P2PFD, GRPC, FLOWER}
    assert tiny(Cell(P2PFD, 20, IID)).nodes < 20


def test_what_the_kernel_says_is_read() -> None:
    text = "Inter-|   Receive\n    lo: 5 1 0 0 0 0 0 0 700 9 0 0 0 0 0 0\n  eth0: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n"
    assert carried(text) == (700, 9)
    stat = "42 (a (strange) name) S 7 1 1 0 -1 0 0 0 0 0 11 22 3 4 20 0 1 0 100 0 0"
    assert ticks(stat) == (7, 40)


def test_the_short_table_has_every_system_once_and_what_is_not_known_is_a_dash(tmp_path: Path) -> None:
    killed = Cell(GRPC, 10, BETWEEN, CHURN)
    lines = brief([run_of(one) for one in [*RUNS, outcome(GRPC, 1, 0.9, 70.0, cell=killed.to_plain())]]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in cells[2:]] == [P2PFD, GRPC, FLOWER]
    assert cells[2][1:] == ["–", ".930 ± .014", "–", "–", "21.0 ± 1.4", "42.0 ± 2.8", "3.0 ± 0.00"]
    assert cells[3][2].endswith("†"), "one of its runs did not end well"
    assert cells[3][4] == ".900"
    assert cells[4][-1] == "*", "a simulation sends nothing"
    text = tmp_path / "README.md"
    text.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    for _ in range(2):
        page.insert(text, RUNS)
    assert text.read_text().splitlines()[:3] == ["before", page.BEGIN, lines[0]]
    assert text.read_text().endswith(f"{page.END}\nafter\n")
    text.write_text("no marks")
    with pytest.raises(SystemExit, match="has no place"):
        page.insert(text, RUNS)

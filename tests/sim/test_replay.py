"""Traces in files: a run is the run of its trace, event by event, and the first difference is named."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from p2pfd.cli.program import PROGRAM
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import AssertionUnmet, PlanError
from p2pfd.sim.faults import Absence, ChainAway, Churn, Disaster, Loss
from p2pfd.sim.replay import Comparer, Recorder, open_trace, plan_from_plain, plan_to_plain
from p2pfd.sim.run import SimPlan, simulate
from p2pfd.sim.world import WorldPlan

PLAN = SimPlan(
    WorldPlan(
        nodes=12,
        graph="regular",
        degree=4,
        loss=10_000,
        faults=(
            Loss(Tick(0), Tick(2 * SECOND), 200_000),
            ChainAway(Tick(SECOND), Tick(2 * SECOND)),
            Absence(3, Tick(SECOND), Tick(4 * SECOND)),
            Churn(Tick(0), Tick(SECOND), 200_000, SECOND, 2 * SECOND),
            Disaster(Tick(3 * SECOND), 100_000, "relays"),
        ),
    ),
    rounds=3,
    seed=4,
    settled=True,
    trace=True,
)


@pytest.fixture(scope="module")
def recorded() -> str:
    file = io.StringIO()
    report = simulate(PLAN, trace=Recorder(PLAN, file))
    assert report == simulate(PLAN), "writing changes nothing"
    assert len(file.getvalue().splitlines()) == 1 + report.events
    return file.getvalue()


def again(text: str) -> Comparer:
    file = io.StringIO(text)
    file.readline()
    comparer = Comparer(PLAN, file, "the file")
    simulate(PLAN, trace=comparer)
    comparer.ended()
    return comparer


def test_a_run_is_the_run_of_its_trace(recorded: str):
    assert again(recorded).entries == len(recorded.splitlines()) - 1


def test_the_first_difference_is_named(recorded: str):
    lines = recorded.splitlines(keepends=True)
    node, at, text, what = json.loads(lines[50])
    lines[50] = json.dumps([node, at, text, what[::-1]]) + "\n"
    with pytest.raises(AssertionUnmet, match=rf"event 50 is another one.*node {node} at .*{what[::-1]}.*{what}"):
        again("".join(lines))
    lines[50] = "nonsense\n"
    with pytest.raises(AssertionUnmet, match="a damaged line, 'nonsense"):
        again("".join(lines))


def test_a_trace_that_ends_early_or_late_is_another_one(recorded: str):
    lines = recorded.splitlines(keepends=True)
    with pytest.raises(
        AssertionUnmet, match=rf"event {len(lines) - 1:,} is another one: the file has no further event"
    ):
        again("".join(lines[:-1]))
    with pytest.raises(AssertionUnmet, match="this run has no further event"):
        again(recorded + lines[-1])


def test_a_plan_is_read_as_it_was_written():
    plain = json.loads(json.dumps(plan_to_plain(PLAN)))
    assert plan_from_plain(plain) == PLAN
    for name in plain:
        for wrong in (None, [], 1.5, {} if name == "faults" else "what"):
            if name == "graph" and wrong == "what":
                continue
            with pytest.raises(PlanError):
                plan_from_plain({**plain, name: wrong})


@pytest.mark.parametrize("text", ["", "[", "[1]", "{}", '{"format": "p2pfd-trace-1"}', "[" * 10_000], ids=range(6))
def test_what_is_no_trace_says_so(text: str, tmp_path: Path):
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(PlanError, match="trace"):
        open_trace(path)


def test_the_command_writes_a_trace_and_replays_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    script, trace = tmp_path / "faults.toml", tmp_path / "trace"
    script.write_text('[[loss]]\nfrom = 0\nto = 1\nshare = "50%"\n[[absence]]\nnode = 2\nfrom = 0.4\nto = 2\n')
    words = ["--graph", "barabasi-albert", "-n", "10", "--rounds", "3", "--faults", str(script)]

    def result(*more: str) -> dict[str, object]:
        assert PROGRAM.main(["sim", "--json", *more]) == 0
        value = json.loads(capsys.readouterr().out)
        del value["seconds"]
        return value  # type: ignore[no-any-return]

    assert result(*words, "--trace", str(trace)) == result(*words, "--trace") == result("--replay", str(trace))
    assert result(*words)["trace"] is None
    trace.write_text(trace.read_text().replace("TimerFired", "TimerFried", 1))
    assert PROGRAM.main(["sim", "--replay", str(trace)]) != 0
    assert "TimerFried" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--faults", "{}/none.toml"], "No such file"),
        (["--replay", "{}/none"], "No such file"),
        (["--replay", "{}/none", "--seed", "3"], "--replay with --seed"),
        (["--trace", "{}/no/folder"], "cannot be written"),
        (["--graph", "star"], "barabasi-albert"),
        (["--graph", "regular", "-n", "5", "--degree", "3"], "neighbours each"),
        (["--learn", "poems"], "digits"),
    ],
    ids=range(7),
)
def test_what_the_command_cannot_do_is_named(words: list[str], said: str, tmp_path: Path, capsys):
    assert PROGRAM.main(["sim", *(word.format(tmp_path) for word in words)]) != 0
    assert said in capsys.readouterr().err

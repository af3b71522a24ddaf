"""Random schedules of faults: nothing goes wrong in them, and what does go wrong is found and made small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from p2pfd.cli import exits
from p2pfd.cli.program import PROGRAM
from p2pfd.cli.sim import SIM, plan_of
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import AssertionUnmet
from p2pfd.sim import chain, check, run, script
from p2pfd.sim.check import CHANCE, had_chance, wrongs
from p2pfd.sim.faults import Fault
from p2pfd.sim.schedules import Schedule, draw
from p2pfd.sim.shrink import shrink
from tests.sim import bugs

MANY, PARTS = 10_000, 50
FEW, SHARES = 60, 6


def nothing_goes_wrong(seeds: range) -> None:
    for seed in seeds:
        schedule = draw(seed)
        found = wrongs(schedule)
        if found:
            small = shrunk(schedule, found[0].kind)
            pytest.fail(f"seed {seed}: {wrongs(small)[0]}\n{small.text()}")


def shrunk(schedule: Schedule, kind: str, bug: bugs.Bug | None = None) -> Schedule:
    make = None if bug is None else bugs.cast_with(bug)
    return shrink(schedule, lambda less: any(wrong.kind == kind for wrong in wrongs(less, make)))


@pytest.mark.parametrize("part", range(SHARES))
def test_in_some_schedules_nothing_goes_wrong(part: int):
    nothing_goes_wrong(range(part, FEW, SHARES))


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_in_ten_thousand_schedules_nothing_goes_wrong(part: int):
    nothing_goes_wrong(range(FEW + part, MANY, PARTS))


@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, id=bug.name, marks=pytest.mark.long if bug.slow else ()) for bug in bugs.BUGS],
)
def test_a_bug_is_found_and_its_schedule_made_small(bug: bugs.Bug):
    make = bugs.cast_with(bug)
    schedule = next(draw(seed) for seed in range(200) if wrongs(draw(seed), make))
    assert wrongs(schedule) == (), "without the bug nothing is wrong"
    kinds = {wrong.kind for wrong in wrongs(schedule, make)}
    assert bug.kind in kinds
    small = shrunk(schedule, bug.kind, bug)
    assert 1 <= len(small.faults) <= 3
    assert len(small.faults) <= len(schedule.faults)
    assert small.with_faults(script.parse(small.text(), small.nodes)) == small, "what is printed is what fails"
    assert bug.kind in {wrong.kind for wrong in wrongs(small, make)}
    assert all(not wrongs(small.with_faults(less), make) for less in one_less(small.faults)), "none could be left out"


def test_the_command_plays_schedules_and_prints_one_that_goes_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert PROGRAM.main(["sim", "--schedules", "3", "--seed", "7"]) == 0
    assert "3 schedules" in capsys.readouterr().out
    assert PROGRAM.main(["sim", "--schedules", "3", "-n", "5"]) == 2
    assert "--schedules with --nodes" in capsys.readouterr().err
    monkeypatch.setattr(run, "GossipDistill", bugs.Harsh)
    assert PROGRAM.main(["sim", "--schedules", "50"]) == exits.of(AssertionUnmet("")).code
    said = capsys.readouterr()
    assert "--faults THIS.toml" in said.out
    assert 1 <= len(script.parse(said.out[said.out.index("# p2pfd sim") :], 20)) <= 3
    assert "rejected" in said.err


@pytest.mark.parametrize("seed", range(12))
def test_the_command_of_a_schedule_runs_that_schedule(seed: int, tmp_path: Path):
    schedule = draw(seed)
    file = tmp_path / "faults.toml"
    file.write_text(schedule.text())
    words = schedule.command(str(file)).split()[2:]
    assert plan_of(SIM.parser("p2pfd").read(words)) == schedule.plan()


def one_less(faults: tuple[Fault, ...]) -> list[tuple[Fault, ...]]:
    return [faults[:place] + faults[place + 1 :] for place in range(len(faults))]


def test_a_schedule_is_decided_by_its_seed():
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)
    drawn = [draw(seed) for seed in range(300)]
    assert {fault.kind for schedule in drawn for fault in schedule.faults} >= {
        "absence",
        "churn",
        "partition",
        "loss",
        "delay",
        "duplicates",
        "chain-away",
        "disaster",
    }


def test_what_excuses_a_silent_worker():
    def span(begin: int, end: int | None) -> tuple[Tick, Tick | None]:
        return Tick(begin * SECOND), None if end is None else Tick(end * SECOND)

    begin, end = Tick(0), Tick(30 * SECOND)
    assert CHANCE == 9 * SECOND
    assert had_chance(begin, end, [])
    assert not had_chance(begin, Tick(8 * SECOND), [])
    assert not had_chance(begin, end, [span(0, None)])
    assert not had_chance(begin, end, [span(5, 25)])
    assert had_chance(begin, end, [span(5, 20)])
    assert had_chance(begin, end, [span(10, None)])
    assert not had_chance(begin, end, [span(8, 10), span(15, 22), span(0, 1)])
    assert had_chance(begin, end, [span(40, 50)])


CALM = Schedule(1, settled=True, graph="circle", rounds=2, faults=())


def test_money_from_nowhere_and_pay_that_comes_twice_are_seen(monkeypatch: pytest.MonkeyPatch):
    assert wrongs(CALM) == ()
    monkeypatch.setattr(chain, "Market", bugs.Generous)
    assert {wrong.kind for wrong in wrongs(CALM)} == {"paid twice", "value"}


def test_a_machine_that_breaks_or_never_rests_is_seen(monkeypatch: pytest.MonkeyPatch):
    gossip = replace(CALM, settled=False)
    monkeypatch.setattr(run, "GossipDistill", bugs.Brittle)
    assert {wrong.kind for wrong in wrongs(gossip)} == {"crash"}
    monkeypatch.setattr(run, "GossipDistill", bugs.Restless)
    monkeypatch.setattr(check, "LONGEST", 60 * SECOND)
    assert {wrong.kind for wrong in wrongs(gossip)} == {"endless"}


AT_THE_SAME_TIME = """
[[churn]]
from = 0.3
to = 0.6
share = 0.14
least = 0.5
most = 14.1

[[churn]]
from = 8.904237
to = 9.596662
share = 0.169653
least = 43.766168
most = 45.270455
"""


def test_who_comes_back_while_the_chain_speaks_misses_nothing():
    schedule = Schedule(57, settled=True, graph="circle", rounds=1, faults=script.parse(AT_THE_SAME_TIME, 20))
    assert wrongs(schedule) == ()

"""A mesh on the real stack and a simulated one, of the same data, nets and terms: what must agree, agrees.

Who meets whom differs, because that depends on when each node is ready; so do the committees, the nodes that misbehave
and the dice of each training. With ``-s`` the test prints both meshes beside one another.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from p2pfd_localnet.checks import check_data
from p2pfd_localnet.planfile import from_file

from p2pfd.core.tables import Text
from p2pfd.experiment.encounters import PREPAYMENT, EncounterStage
from p2pfd.experiment.faring import faring_of
from p2pfd.experiment.grid import read
from p2pfd.experiment.plan import Plan
from p2pfd.learning.bench.tables import grid

NODES, OWN, BAD, SEED = 12, 4, 2, 1
COMMON = """
adapter = "oppcl"

[settings]
goal = "all"
epochs = 5
noise = "0"

[data]
name = "digits"
partition = "iid"
public = 20
validation = 200
test = 300
"""
REAL = f"""
preset = "encounters"
nodes = {NODES}
rounds = {OWN}
seed = {SEED}
{COMMON}
[encounters]
stake = 80_000_000
tolerance = 100_000
"""
SIMULATED = f"""
kind = "encounters"
nodes = {NODES}
behaviours = {{ flip-labels = {BAD} }}
{COMMON}
[meetings]
each = {OWN}
tolerance = 0.1
probe = "common"
wallet = {8 + 10 + OWN}
"""


@dataclass(frozen=True)
class Figures:
    """What is compared."""

    encounters: int
    accepted: int
    good_votes: int
    good_right: int
    bad_votes: int
    bad_right: int
    accuracy: float
    gains: tuple[int, ...]

    def rows(self) -> list[str]:
        good, bad = self.good_right / self.good_votes, self.bad_right / max(1, self.bad_votes)
        votes = [f"{good:.3f} of {self.good_votes}", f"{bad:.3f} of {self.bad_votes}"]
        return [
            *(str(self.encounters), str(self.accepted)),
            *(*votes, f"{self.accuracy:.3f}", str(sum(self.gains))),
        ]


def told(state: Path) -> Figures:
    """The votes of a real mesh, from what its nodes wrote down, and its accounts."""
    summary = json.loads((state / "summary.json").read_text())
    bad = set(summary["attack"]["nodes"])
    names, neighbor, votes, over = {}, {}, {}, {}
    files = sorted(state.glob("nodes/*/events.jsonl"))
    events = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    for event in events:
        names[event.get("account", "")] = event["node"]
    for event in events:
        key = str(event.get("part", "")).rpartition("-")[2]
        if event["event"] == "validator.drawn":
            neighbor[key] = names[event["neighbor"]]
        elif event["event"] == "validator.judged":
            votes[event["node"], key] = event["good"] is not False
        elif event["event"] == "learner.settled":
            over[key] = event["accepted"]
    good = [vote for (_, key), vote in votes.items() if neighbor[key] not in bad]
    harm = [vote for (_, key), vote in votes.items() if neighbor[key] in bad]
    assert not any(accepted for key, accepted in over.items() if neighbor[key] in bad)
    reached = summary["accuracy"]["by_node"]
    accuracy = [one["together"] for name, one in reached.items() if name not in bad]
    return Figures(
        encounters=len(over),
        accepted=sum(over.values()),
        good_votes=len(good),
        good_right=sum(good),
        bad_votes=len(harm),
        bad_right=len(harm) - sum(harm),
        accuracy=sum(accuracy) / len(accuracy),
        gains=tuple(summary["payouts"].values()),
    )


def simulated(plan: Plan) -> Figures:
    result = EncounterStage(plan, SEED).run(lambda: 0.0, lambda rnd, of: None)
    assert faring_of([result]) is not None
    assert not any(point.passed for point in result.course)
    votes = [turn.vote for one in result.members for turn in one.turns]
    return Figures(
        encounters=len(votes),
        accepted=sum(int(vote or 0) for vote in votes),
        good_votes=sum(point.votes for point in result.course),
        good_right=sum(point.right for point in result.course),
        bad_votes=sum(point.bad_votes for point in result.course),
        bad_right=sum(point.bad_right for point in result.course),
        accuracy=result.accuracy[-1],
        gains=tuple(one.gain for one in result.members),
    )


def test_both_meshes_have_the_same_data_settings_and_terms(tmp_path: Path):
    """But for the unit: a prepayment is ten tokens on one, and a thousand of the smallest unit on the other."""
    path = tmp_path / "twelve.toml"
    path.write_text(REAL)
    real = from_file(path)
    [row] = read(Text("simulated", SIMULATED), "simulated").rows
    task, other = real.task(check_data(real)), row.plan.task(SEED)
    assert (task.data, task.adapter, dict(task.settings)) == (other.data, other.adapter, dict(other.settings))
    terms, stage = real.encounters, EncounterStage(row.plan, SEED)
    habits, unit = stage.cast.plan.habits, terms.prepayment / PREPAYMENT
    for key in ("prepayment", "stake", "bond", "threshold"):
        assert getattr(terms, key) == unit * getattr(habits, key), key
    assert (terms.own, terms.share, terms.size, terms.tolerance) == (
        *(habits.encounters, habits.share, habits.size),
        habits.tolerance,
    )
    assert real.stake() == unit * stage.cast.plan.wallet


@pytest.mark.long
def test_what_the_real_stack_does_the_simulation_does(tmp_path: Path):
    path, state = tmp_path / "twelve.toml", tmp_path / "state"
    path.write_text(REAL)
    words = ["up", str(path), "--attack", f"flip-labels:{BAD}", "--state", str(state), "--no-serve", "--json"]
    program = "import sys; from p2pfd_localnet.main import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["audit"]["problems"] == []
    (state / "summary.json").write_text(json.dumps(summary))
    [row] = read(Text("simulated", SIMULATED), "simulated").rows
    compare(told(state), simulated(row.plan), summary["audit"]["payments"])


def compare(real: Figures, sim: Figures, payments: int) -> None:
    """What must agree: every encounter ends by votes, votes are right, what is paid is recomputed, nothing is lost."""
    head = ("", "encounters", "accepted", "right votes, unaltered", "right votes, altered", "accuracy", "sum of gains")
    print("\n" + grid(head, [["real stack", *real.rows()], ["simulated", *sim.rows()]]))  # for whoever looks, with -s
    assert sim.good_votes + sim.bad_votes == 3 * sim.encounters
    # A validator that gets no model in time votes without having judged, and one that is late does not vote.
    assert 2.5 * real.encounters <= real.good_votes + real.bad_votes <= 3 * real.encounters
    for one in (real, sim):
        assert one.good_right >= 0.9 * one.good_votes
        assert one.bad_right >= 0.9 * one.bad_votes
        assert one.bad_votes > 0
        assert sum(one.gains) == 0, "what one gains others pay"
        assert len(one.gains) == NODES
    assert real.encounters <= NODES * OWN
    assert sim.encounters <= NODES * OWN
    assert payments >= 5 * real.encounters, "learner, neighbor and three validators of each were recomputed"
    assert abs(real.accuracy - sim.accuracy) < 0.04

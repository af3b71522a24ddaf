"""The vocabulary of chaos: what files and commands may say, what they mean, and what is said of what they may not."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from p2pfd_localnet import chaos, deeds
from p2pfd_localnet.chaos import Act, Churn, When
from p2pfd_localnet.deeds import Delay, Heal, Kill, Loss, Partition, Resume, Revive, deed_of, groups_of, select

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError, UsageError

NAMES = tuple(f"node-{place}" for place in range(10))
TABLES = """
[[chaos]]
at = "round>=2"
do = "partition"
groups = "0-4|rest"
to = "round>=4"

[[chaos]]
at = 5
do = "loss"
share = "20%"
for = 30

[[chaos]]
at = "encounter>=7+1.5"
do = "kill"
nodes = ["node-3", "node-4"]

[[chaos]]
at = 1.5
do = "churn"
for = 20
share = 0.25
least = 3
most = 6

[[chaos]]
at = 0
do = "delay"
least = 0.1
"""


def tables(text: str) -> object:
    return tomllib.loads(text)["chaos"]


def test_tables_become_acts_and_acts_the_same_tables() -> None:
    acts = chaos.parse(tables(TABLES))
    assert acts == (
        Act(When("round", 2), Partition("0-4|rest"), When("round", 4)),
        Act(When(after=5.0), Loss(200_000), hold=30.0),
        Act(When("encounter", 7, 1.5), Kill("node-3,node-4")),
        Act(When(after=1.5), Churn(250_000, 3.0, 6.0), hold=20.0),
        Act(When(), Delay(0.1, 0.1)),
    )
    assert chaos.parse([act.to_plain() for act in acts]) == acts
    assert str(acts[0]) == "at round>=2: partition 0-4|rest until round>=4"
    assert str(acts[1]) == "at 5 s: loss of 20 % (all) for 30 s"


@pytest.mark.parametrize(
    ("table", "what", "fix"),
    [
        ("do = 'kill'\nnodes = '3'", "does not say when", "round>=2"),
        ("at = 'soon'\ndo = 'heal'", "at is 'soon'", "seconds after"),
        ("at = 'round>=0'\ndo = 'heal'", "at is 'round>=0'", "round>=2"),
        ("at = -1\ndo = 'heal'", "at is -1", "between 0"),
        ("at = inf\ndo = 'heal'", "at is inf", "number of seconds"),
        ("at = true\ndo = 'heal'", "at is True", "number of seconds"),
        ("at = 1\ndo = 'kil'\nnodes = '3'", "nothing called 'kil'", "did you mean kill"),
        ("at = 1", "nothing called None", "the choice is"),
        ("at = 1\ndo = 'loss'\nshar = 1", "loss has no key 'shar'", "did you mean share"),
        ("at = 1\ndo = 'loss'\nshare = 20", "share is 20", '"20%"'),
        ("at = 1\ndo = 'loss'\nshare = '120%'", "share is '120%'", '"20%"'),
        ("at = 1\ndo = 'kill'", "nodes is None", "0-4"),
        ("at = 1\ndo = 'kill'\nnodes = 3.5", "nodes is 3.5", "0-4"),
        ("at = 1\ndo = 'partition'", "groups or cut", "0-4|5-9"),
        ("at = 1\ndo = 'partition'\ngroups = 'node-1'", "groups is 'node-1'", "with a bar"),
        ("at = 1\ndo = 'heal'\nfor = 3", "nothing undoes heal", "leave out"),
        ("at = 3\nto = 2\ndo = 'loss'\nshare = 0.1", "ends before it begins", "later"),
        ("at = 3\nto = 4\nfor = 1\ndo = 'loss'\nshare = 0.1", "both to and for", "once"),
        ("at = 3\ndo = 'delay'\nleast = 3\nmost = 1", "most is 1", "longer"),
        ("at = 3\ndo = 'chain-reorg'\ndepth = 0", "depth is 0", "between 1"),
        ("at = 1\ndo = 'churn'\nshare = 0.1\nleast = 1\nmost = 2", "for how long", "for = 20"),
        ("at = 1\nfor = 9\ndo = 'churn'\nshare = 0.1\nleast = 1", "lacks most", "share"),
        ("at = 1\nfor = 9\ndo = 'churn'\nshare = 0.1\nleast = 3\nmost = 2", "shortest", "rise"),
        ("at = 1\nfor = 9\ndo = 'churn'\nshares = 0.1", "no key 'shares'", "did you mean share"),
    ],
    ids=str,
)
def test_a_table_that_makes_no_sense_is_named(table: str, what: str, fix: str) -> None:
    with pytest.raises(PlanError) as caught:
        chaos.parse(tables(f"[[chaos]]\n{table}"), "my.toml")
    assert "my.toml: [[chaos]] 1: " in caught.value.what
    assert what in caught.value.what
    assert fix in caught.value.fix


@pytest.mark.parametrize("value", [{}, "kill", ["kill"], [[]]], ids=str)
def test_chaos_is_a_list_of_tables(value: object) -> None:
    with pytest.raises(PlanError, match="no list of tables"):
        chaos.parse(value)


def test_a_script_of_the_simulator_is_done_to_a_real_mesh(tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text(
        "[[chaos]]\nat = 1\ndo = 'kill'\nnodes = 2\n"
        "[[absence]]\nnode = 3\nfrom = 1.5\nto = 4\n[[partition]]\nfrom = 2\nto = 3\ncut = 5\n"
        "[[churn]]\nfrom = 2\nto = 12\nshare = '50%'\nleast = 1\nmost = 2\n[[chain-away]]\nfrom = 1\nto = 2\n"
    )
    assert chaos.read(script, 10) == (
        Act(When(after=1.0), Kill("2")),
        Act(When(after=1.5), Kill("node-3"), When(after=4.0)),
        Act(When(after=2.0), Partition("0-4|rest"), When(after=3.0)),
        Act(When(after=2.0), Churn(500_000, 1.0, 2.0), hold=10.0),
        Act(When(after=1.0), deeds.ChainDown(), When(after=2.0)),
    )
    script.write_text("[[chaos]]\nat = 1\ndo = 'heal'\n\n[[loss]]\nfrom = 1\nto = 3\nshare = 7\n")
    with pytest.raises(PlanError, match="line 5: loss: a share"):
        chaos.read(script, 10)
    script.write_text("[[duplicates]]\nfrom = 1\nto = 3\nshare = 0.5\n")
    with pytest.raises(PlanError, match="for the simulator alone"):
        chaos.read(script, 10)
    with pytest.raises(PlanError, match="No such file"):
        chaos.read(tmp_path / "none.toml", 10)
    script.write_bytes(b"\xff")
    with pytest.raises(PlanError, match="not TOML"):
        chaos.read(script, 10)


def test_churn_is_drawn_from_the_seed() -> None:
    churn = Act(When("round", 2), Churn(400_000, 1.0, 3.0), hold=10.0)
    acts = chaos.spelt_out([churn, Act(When(), Heal())], NAMES, Rng(7))
    assert acts == chaos.spelt_out([churn, Act(When(), Heal())], NAMES, Rng(7))
    assert acts != chaos.spelt_out([churn, Act(When(), Heal())], NAMES, Rng(8))
    assert len(acts) == 5
    assert acts[4] == Act(When(), Heal())
    victims = set()
    for act in acts[:4]:
        assert isinstance(act.deed, Kill)
        assert act.at.what == "round"
        assert 0 <= act.at.after <= 10
        assert act.hold is not None
        assert 1 <= act.hold <= 3
        victims.add(act.deed.nodes)
    assert len(victims) == 4


def test_nodes_are_named_by_names_numbers_and_ranges() -> None:
    assert select("node-3", NAMES) == ("node-3",)
    assert select("7, 0-2 node-9", NAMES) == ("node-0", "node-1", "node-2", "node-7", "node-9")
    assert select("node-8-node-9", NAMES) == ("node-8", "node-9")
    assert select("all", NAMES) == NAMES
    for text, fix in (
        ("nod-3", "did you mean node-3"),
        ("10", "node-0 to node-9"),
        ("8-12", "node-0 to node-9"),
        ("5-3", "node-0 to"),
        (" ", "the nodes are"),
    ):
        with pytest.raises(UsageError) as caught:
            select(text, NAMES)
        assert fix in caught.value.fix


def test_a_partition_names_each_node_once() -> None:
    assert groups_of("0-4|5-9", NAMES) == (NAMES[:5], NAMES[5:])
    assert groups_of("node-0,node-1 | rest", NAMES) == (NAMES[:2], NAMES[2:])
    assert groups_of("0|1|2-3", NAMES) == (NAMES[:1], NAMES[1:2], NAMES[2:4])
    for text in ("0-4", "rest|rest", "0-5|5-9", "0-4|0-4", "0-9|rest", "0-4|", "0-4|12"):
        with pytest.raises(UsageError):
            groups_of(text, NAMES)


def test_every_deed_is_written_as_it_is_read_and_what_can_be_undone_is() -> None:
    made = [
        {"do": "kill", "nodes": "3"},
        {"do": "revive", "nodes": "3"},
        {"do": "pause", "nodes": "0-4"},
        {"do": "resume", "nodes": "all"},
        {"do": "partition", "groups": "0|rest"},
        {"do": "heal"},
        {"do": "loss", "share": "12.5%", "nodes": "all"},
        {"do": "delay", "least": 0.1, "most": 0.3, "nodes": "2"},
        {"do": "slow-disk", "seconds": 0.05, "nodes": "all"},
        {"do": "chain-down"},
        {"do": "chain-up"},
        {"do": "chain-reorg", "depth": 2},
        {"do": "add", "count": 2},
    ]
    assert {table["do"] for table in made} == set(deeds.KINDS)
    for table in made:
        deed = deed_of(table)
        assert deeds.write(deed) == table
        assert deeds.said(deed)
    assert deeds.undone(Kill("3")) == Revive("3")
    assert deeds.undone(deeds.Pause("3")) == Resume("3")
    assert deeds.undone(Loss(5, "1")) == Loss(0, "1")
    assert deeds.undone(Heal()) is None

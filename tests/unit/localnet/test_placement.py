"""Who runs where on a cluster: by CPUs, always the same, kept, and refused where there is no room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from p2pfd_localnet.engines.placement import FILE, Placement, check_memory, load, machines_of, place
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import PRESETS
from p2pfd_localnet.reading import Reader
from p2pfd_localnet.state import State
from p2pfd_localnet.status import told
from p2pfd_localnet.view import Life

from p2pfd.cluster import Machine, labelled
from p2pfd.errors import EnvironmentProblem, StorageError

PLAN = change(PRESETS[0], nodes=5)
TWO = (Machine("a", "10.0.0.1", 4.0, 90_000, "10.0.0.1"), Machine("b", "10.0.0.2", 2.0, 90_000, "10.0.0.2"))


def placed(machines: tuple[Machine, ...] = TWO) -> Placement:
    return Placement("home", "10.0.0.1:6379", "home-1", 7, "a", machines, place(PLAN.names(), machines))


def test_a_machine_with_twice_the_cpus_gets_twice_the_nodes() -> None:
    found = place([f"node-{place}" for place in range(60)], TWO)
    assert (list(found.values()).count("a"), list(found.values()).count("b")) == (40, 20)


@given(st.lists(st.sampled_from([0.5, 1.0, 2.0, 8.0, 64.0]), min_size=1, max_size=6), st.integers(1, 120))
def test_nobody_would_be_better_off_elsewhere(cpus: list[float], count: int) -> None:
    machines = [Machine(str(number), f"10.0.0.{number}", each) for number, each in enumerate(cpus)]
    names = [f"node-{number}" for number in range(count)]
    found = place(names, machines)
    assert list(found) == names
    many = {one.id: list(found.values()).count(one.id) for one in machines}
    load_of = {one.id: many[one.id] / one.cpus for one in machines}
    assert all(load_of[name] <= (many[one.id] + 1) / one.cpus for name in load_of for one in machines)
    assert found == place(names, machines)


def test_machines_are_called_by_their_address_and_a_number_where_that_is_not_enough() -> None:
    found = labelled([Machine("c", "10.0.0.10", 1), Machine("b", "10.0.0.9", 1), Machine("a", "10.0.0.10", 1)])
    assert [one.label for one in found] == ["10.0.0.9", "10.0.0.10", "10.0.0.10#2"]


def test_what_is_written_down_is_read_again(tmp_path: Path) -> None:
    found = placed()
    found.save(tmp_path)
    assert load(tmp_path) == found
    assert machines_of(tmp_path)["node-1"] == found.machine("node-1").label
    assert machines_of(tmp_path / "none") == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"machines": 3}', '{"machines": []}'])
def test_a_damaged_file_is_an_error_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StorageError, match="damaged"):
        load(tmp_path)


def test_a_machine_without_room_is_named() -> None:
    small = (TWO[0], Machine("b", "10.0.0.2", 2.0, 100, "10.0.0.2"))
    with pytest.raises(EnvironmentProblem, match=r"memory on 10\.0\.0\.2, and 100 MB"):
        check_memory(PLAN, placed(small))
    check_memory(PLAN, placed())


def test_machines_at_one_address_share_its_memory() -> None:
    same = tuple(Machine(name, "10.0.0.1", 2.0, 700, name) for name in "ab")
    with pytest.raises(EnvironmentProblem, match="350 MB"):
        check_memory(PLAN, placed(same))


def test_status_shows_a_node_lost_with_its_machine_and_looks_for_no_process_here(tmp_path: Path) -> None:
    state = State(tmp_path)
    placed().save(tmp_path)
    state.mesh.write_text(json.dumps({"schema": 1, "status": "done", "plan": PLAN.to_plain()}))
    for name in ("node-0", "node-1"):
        state.node(name).mkdir(parents=True)
        lines = [{"t": 1, "node": name, "event": "node.started", "pid": 2**22 + 1}]
        lines += [{"t": 2, "node": name, "event": "node.lost", "error": "its machine is gone"}] * (name == "node-1")
        (state.node(name) / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    reader = Reader(state)
    reader.look()
    assert reader.view.nodes["node-0"].life is Life.STARTING
    assert reader.view.nodes["node-1"].stranded
    found = told(reader, "here")
    assert found["names"][-1] == "MACHINE"
    assert [row[-2:] for row in found["rows"]] == [["stopped", "10.0.0.1"], ["lost", "10.0.0.1"]]
    assert found["now"]["nodes"]["node-1"]["machine"] == "10.0.0.1"

"""A mesh's directory with every file missing, empty or cut short, one at a time."""

import json
import shutil

import pytest
from p2pfd_localnet import life, past, whole
from p2pfd_localnet.homes import furnish
from p2pfd_localnet.plan import DataFacts, Plan
from p2pfd_localnet.program import PROGRAM
from p2pfd_localnet.state import State, claim, write
from p2pfd_localnet.zygote import ENTRY

from p2pfd.core.ids import TaskId
from p2pfd.errors import P2pfdError, StorageError
from p2pfd.node.config import save_task
from p2pfd.node.store import Saved, Store
from p2pfd.settlement.api import GENESIS
from p2pfd.settlement.embedded.ledger import Ledger
from p2pfd.settlement.embedded.store import Store as ChainStore
from p2pfd.settlement.outbox import Outbox

PLAN = Plan(name="small", nodes=2, rounds=3)
NEEDED = ("mesh.json", "past.json", "task.json", "chain/chain.sqlite", "nodes/node-1/node.db",
          "nodes/node-1/outbox.db", "nodes/node-1/keys/keys.json")  # fmt: skip
"""Without these it cannot go on."""
SPARED = ("supervisor.json", "nodes/node-1/node.json", "nodes/node-1/events.jsonl", "nodes/node-1/output.log")
"""These are written anew, or are only told of."""


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    """A mesh that was stopped, without the trouble of running it."""
    state = State(tmp_path_factory.mktemp("pattern") / ".localnet" / "default")
    claim(state, fresh=False).release()
    past.mark(state, "stopped", PLAN)
    past.save(state, past.Past(began=1, until=2))
    write(state.supervisor, {"schema": 1, "pid": 1})
    save_task(PLAN.task(DataFacts(bytes(32))), state.task)
    chain = ChainStore(state.chain / "chain.sqlite")
    Ledger(chain, lambda: 1_000, 31_337, {bytes([number]) * 20: 10**18 for number in range(1, 200)})
    chain.close()
    for place, name in enumerate(PLAN.names()):
        home = furnish(PLAN, state, name, place, "http://127.0.0.1:1").parent
        (home / "peers").mkdir()
        with Store(home / "node.db") as store:
            store.save(TaskId(bytes(32)), Saved(bytes(20_000), bytes(20_000), GENESIS))
        with Outbox(home / "outbox.db"):
            pass
        told = [{"t": 5, "node": name, "event": "node.listening", "addresses": ["/a"]}]
        told += [{"t": 6, "node": name, "event": "node.ready", "peers": 1}] * 3
        (home / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
        (home / "output.log").write_text("nothing to say\n")
    return state


@pytest.fixture
def mesh(pattern, tmp_path):
    state = State(tmp_path / ".localnet" / "default")
    shutil.copytree(pattern.home, state.home)
    return state


def hurt(path, how):
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    else:
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) // 2])


def job(state):
    return life.job_of(state, past.plan_of(state), "stopped", ENTRY, 0)


def test_a_mesh_that_is_whole_can_go_on(mesh):
    found = job(mesh)
    assert found.past is not None
    assert (found.plan, found.facts) == (PLAN, None)


@pytest.mark.parametrize("how", ["missing", "empty", "half"])
@pytest.mark.parametrize("name", NEEDED)
def test_what_it_needs_is_named_and_so_is_the_way_out(mesh, name, how, capsys):
    hurt(mesh.home / name, how)
    if (name, how) == ("nodes/node-1/outbox.db", "missing"):
        assert job(mesh).past is not None, "a node that was cut off early has none yet, and makes one"
        return
    words = ["start", "--state", str(mesh.home), "--json"]
    code = PROGRAM.main(words)
    error = json.loads(capsys.readouterr().out)["error"]
    if name == "mesh.json":
        assert code == (6 if how == "missing" else 9)
    else:
        assert code == 9
        assert name.rpartition("/")[2] in error["what"]
    assert "localnet up" in error["fix"]
    assert not mesh.running()


@pytest.mark.parametrize("how", ["missing", "empty", "half"])
@pytest.mark.parametrize("name", SPARED)
def test_what_it_does_not_need_keeps_it_from_nothing(mesh, name, how):
    hurt(mesh.home / name, how)
    assert job(mesh).past is not None


def test_a_mesh_that_was_cut_off_before_its_task_was_open_begins_anew(mesh):
    mesh.past.unlink()
    shutil.rmtree(mesh.home / "nodes")
    found = job(mesh)
    assert (found.past, found.facts is None) == (None, False)
    assert sorted(path.name for path in mesh.home.iterdir()) == ["lock", "mesh.json"]


def test_a_mesh_that_was_cut_off_while_its_nodes_started_begins_anew(mesh):
    mesh.past.unlink()
    for name in mesh.names():
        told = {"t": 5, "node": name, "event": "node.listening", "addresses": ["/a"]}
        (mesh.node(name) / "events.jsonl").write_text(json.dumps(told) + "\n")
        (mesh.node(name) / "node.db").unlink()
    found = job(mesh)
    assert (found.past, found.facts is None) == (None, False)
    assert mesh.names() == []


def test_a_mesh_that_was_cut_off_while_its_nodes_were_made_makes_them_anew(mesh):
    shutil.rmtree(mesh.node("node-0"))
    hurt(mesh.node("node-1") / "keys" / "keys.json", "half")
    (mesh.node("node-1") / "events.jsonl").unlink()
    assert whole.was_up(mesh), "there is a snapshot"
    (mesh.node("node-1") / "node.db").unlink()
    assert job(mesh).past is not None, "its task stays open"
    assert mesh.names() == []


def test_a_node_that_is_gone_is_missed(mesh):
    shutil.rmtree(mesh.node("node-0"))
    with pytest.raises(StorageError, match="node-0 is missing"):
        job(mesh)


@pytest.mark.parametrize("how", ["missing", "empty", "half"])
@pytest.mark.parametrize("name", [*NEEDED, *SPARED])
def test_every_other_command_says_what_it_can_and_never_that_it_is_a_bug(mesh, name, how, capsys):
    hurt(mesh.home / name, how)
    where = ["--state", str(mesh.home)]
    calls = (["status"], ["logs"], ["inspect", "node-1"], ["wait", "round>=1"], ["stop"], ["snapshots"],
             ["dump", str(mesh.home.parent / "run")], ["snapshot", "one"])  # fmt: skip
    codes = {words[0]: PROGRAM.main([*words, *where]) for words in calls}
    assert codes["stop"] == 6
    assert set(codes.values()) <= {0, 6, 9}, codes
    if name != "mesh.json":
        assert codes["status"] == codes["logs"] == codes["dump"] == codes["inspect"] == 0
        assert PROGRAM.main(["down", *where]) == 0
        assert not mesh.home.exists()


def test_a_half_made_directory_is_no_mesh_and_up_takes_it(tmp_path):
    state = State(tmp_path / "home")
    state.home.mkdir()
    for name in ("lock", ".mesh.json.part"):
        (state.home / name).write_text("")
    claim(state, fresh=False).release()
    state.delete()
    assert not state.home.exists()


def test_a_past_is_read_as_it_was_written_and_time_stands_still_between(mesh):
    known = past.Past(began=10_000_000, until=25_000_000, ran=5.0, paused=3, port=7, before={"0xa": 4})
    past.save(mesh, known)
    assert past.load(mesh) == known
    again = known.again(100_900_000, 0, still=True)
    assert (again.began, again.until, again.ran, again.paused) == (100_900_000, 0, 20.0, 78)
    assert again.again(200_900_000, 150_900_000, still=True).paused == 128, "cut off: until its last word"
    assert again.again(200_900_000, 0, still=True).ran == 20.0, "cut off before the first one"
    assert known.again(100_900_000, 0, still=False).paused == 3, "its chain went on"


@pytest.mark.parametrize("error", [{"before": []}, {"ran": "x"}, {"began": -1}, {"paused": True}])
def test_a_past_that_makes_no_sense_is_damaged(mesh, error):
    write(mesh.past, {**mesh.read(mesh.past), **error})
    with pytest.raises(P2pfdError, match=r"past\.json is damaged"):
        past.load(mesh)

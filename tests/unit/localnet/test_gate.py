import json

import pytest
from p2pfd_localnet.gate import facts, parse, verdict
from p2pfd_localnet.program import PROGRAM
from p2pfd_localnet.reading import Reader
from p2pfd_localnet.state import Lock, State, claim, write

from p2pfd.errors import AssertionUnmet, NotRunningError, UsageError

ACCOUNT = "0x" + "1" * 40


@pytest.fixture
def mesh(tmp_path):
    state = State(tmp_path / ".localnet" / "default")
    claim(state, fresh=False).release()
    told(state, "running")
    state.node("node-0").mkdir(parents=True)
    return state


def told(state, status, rounds=4, nodes=1):
    write(state.mesh, {"schema": 1, "status": status, "plan": {"rounds": rounds, "nodes": nodes}})


def say(state, *events):
    with (state.node("node-0") / "events.jsonl").open("a") as file:
        for number, (name, fields) in enumerate(events):
            file.write(json.dumps({"t": number + 1, "node": "node-0", "event": name, **fields}) + "\n")


ONE_ROUND = (
    ("node.listening", {"addresses": ["/a"], "account": ACCOUNT}),
    ("round.opened", {"round": 0, "workers": 1}),
    ("round.paid", {"round": 0, "account": ACCOUNT, "amount": 2_500_000}),
    ("round.settled", {"round": 0, "paid": 2_500_000}),
    ("round.absorbed", {"round": 0, "accuracy": 0.91}),
    ("round.opened", {"round": 1, "workers": 1}),
)


def look(state):
    reader = Reader(state)
    reader.look()
    return reader


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("round>=2", True),
        ("round>2", False),
        ("round==2 && settled=1", True),
        ("settled==1&&paid>=2.5", True),
        ("paid>2.5", False),
        ("accuracy>=0.9", True),
        ("accuracy>=92%", False),
        ("nodes==1 && lost==0 && finished==0", True),
        ("status==running", True),
        ("status!=running", False),
        ("encounters==0", True),
    ],
)
def test_conditions_are_about_what_nodes_wrote(mesh, text, holds):
    say(mesh, *ONE_ROUND)
    lock = Lock.take(mesh)
    now = facts(look(mesh))
    assert all(term.holds(now) for term in parse(text)) is holds
    lock.release()


def test_what_nobody_knows_is_not_so(mesh):
    now = facts(look(mesh))
    assert not any(parse(text)[0].holds(now) for text in ("accuracy>=0", "accuracy<=1", "accuracy!=0.5"))


@pytest.mark.parametrize(
    "text",
    ["", "round", "round>=", "round>=x", "round>=nan", "round>=50%", "rund>=3", "accuracy>=95", "status>=done",
     "status==dun", "round>=1 &&", "round>=1 || nodes>=1", "1<=round<=3"],
)  # fmt: skip
def test_what_is_no_condition_is_named(text, mesh, capsys):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.fix
    assert PROGRAM.main(["wait", text, "--state", str(mesh.home)]) == 2
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["round>=5", "round<2", "round==1", "settled>4", "paid<=1", "round>=1 && round>=9"])
def test_what_cannot_come_true_is_told_at_once_while_the_mesh_runs(mesh, text):
    say(mesh, *ONE_ROUND)
    lock = Lock.take(mesh)
    assert isinstance(verdict(parse(text), look(mesh), text), AssertionUnmet)
    lock.release()


@pytest.mark.parametrize("text", ["round>=4", "accuracy>=99%", "lost==1", "nodes==0", "status==done", "round!=2"])
def test_what_may_come_true_is_waited_for(mesh, text):
    say(mesh, *ONE_ROUND)
    lock = Lock.take(mesh)
    assert verdict(parse(text), look(mesh), text) is None
    lock.release()


def test_a_mesh_that_does_not_run_ends_the_wait(mesh):
    say(mesh, *ONE_ROUND)
    terms = parse("round>=3")
    assert isinstance(verdict(terms, look(mesh), "round>=3"), NotRunningError), "it was killed"
    for status, kind in (("stopped", NotRunningError), ("done", AssertionUnmet), ("failed", AssertionUnmet)):
        told(mesh, status)
        assert isinstance(verdict(terms, look(mesh), "round>=3"), kind), status


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [("round>=2", "done", 0), ("round>=3", "done", 5), ("round>=3", "stopped", 6), ("status==stopped", "stopped", 0)],
)
def test_the_command_ends_with_the_code_of_how_it_came_out(mesh, text, status, code, capsys):
    say(mesh, *ONE_ROUND)
    told(mesh, status)
    assert PROGRAM.main(["wait", text, "--state", str(mesh.home), "--json"]) == code
    value = json.loads(capsys.readouterr().out)
    assert value["schema"] == 1
    assert value["error"]["code"] == code if code else value["round"] == 2.0


def test_time_is_up(mesh, capsys):
    say(mesh, *ONE_ROUND)
    lock = Lock.take(mesh)
    assert PROGRAM.main(["wait", "round>=3", "--timeout", "0.05", "--state", str(mesh.home)]) == 4
    assert "round is 2" in capsys.readouterr().err
    lock.release()


def test_a_status_that_is_followed_tells_what_changed_and_ends_with_the_mesh(mesh, capsys):
    say(mesh, *ONE_ROUND)
    told(mesh, "done")
    assert PROGRAM.main(["status", "-w", "--json", "--state", str(mesh.home)]) == 0
    assert [json.loads(line)["status"] for line in capsys.readouterr().out.splitlines()] == ["done"]

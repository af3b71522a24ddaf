import json

import pytest
from p2pfd_localnet.events import NodeEvent, Tail, parse
from p2pfd_localnet.view import Life, MeshView

from p2pfd.node.telemetry import Lines

WEIGHTS = "ab" * 32


def event(node, name, **fields):
    return NodeEvent(0, node, name, fields)


def mesh(count=2, rounds=2):
    return MeshView([f"node-{place}" for place in range(count)], rounds)


def test_a_run_from_start_to_end():
    view = mesh()
    for place, name in enumerate(view.nodes):
        view.take(event(name, "node.started", pid=1, peer="p", account=f"0x{place}"))
        view.take(event(name, "node.listening", addresses=["/ip4/…"]))
        assert view.nodes[name].life is Life.LISTENING
        view.take(event(name, "ready"))
        view.take(event(name, "round.opened", round=1, workers=2))
        view.take(event(name, "round.committed", round=1, have=2 - place, of=2))
        view.take(event(name, "round.revealed", round=1, have=1 + place, of=2))
        view.take(event(name, "round.absorbed", round=1, accuracy=0.5 + place / 10, weights=WEIGHTS, votes=2))
        view.take(event(name, "round.paid", round=1, account="0x1", score=3, amount=7))
        view.take(event(name, "round.settled", round=1, counted=True, paid=7, refunded=1))
    assert view.opened == 2
    assert (view.phases[1].committed, view.phases[1].revealed, view.phases[1].workers) == (2, 2, 2)
    assert view.accuracy(1) == pytest.approx(0.55)
    assert view.nodes["node-1"].paid == {1: 7}
    assert view.nodes["node-0"].paid == {}
    assert not view.over()
    for name in view.nodes:
        view.take(event(name, "finished"))
    assert view.over()


def test_encounters_are_counted_once_whoever_tells_of_them_and_however_often():
    view = mesh()
    first, second, third = "learner-1", "learner-2", "learner-3"
    for _ in range(2):
        for part in (first, second, third):
            view.take(event("node-0", "learner.opened", part=part))
        view.take(event("node-0", "learner.settled", part=first, accepted=True))
        view.take(event("node-0", "learner.learnt", part=first, accuracy=0.5, weights=WEIGHTS))
        view.take(event("node-0", "learner.over", part=first, end="settled"))
        view.take(event("node-0", "learner.settled", part=second, accepted=False))
        view.take(event("node-1", "learner.over", part=third, end="voided"))
        view.take(event("node-1", "learner.over", part="learner-4", end="lapsed"))
    met = view.meetings
    assert (len(met.opened), met.over) == (3, 3)
    assert (met.accepted, met.refused, met.ended) == ({first}, {second}, {third})
    assert view.nodes["node-0"].accuracy == {0: 0.5}
    assert view.nodes["node-0"].weights == WEIGHTS
    assert view.nodes["node-0"].rounds == 3
    assert view.how_far() == "encounter 3/4"
    assert mesh().how_far() == "round 0/2"


def test_who_has_no_process_any_more_is_lost_unless_it_had_finished():
    view = mesh()
    view.take(event("node-0", "ready"))
    view.take(event("node-1", "finished"))
    view.bury(view.nodes)
    assert [node.life for node in view.nodes.values()] == [Life.LOST, Life.FINISHED]


def test_a_node_that_is_gone_does_not_hold_up_the_end():
    view = mesh(3)
    view.take(event("node-0", "finished"))
    view.take(event("node-1", "exited", code=0, signal=9))
    view.take(event("node-2", "failed", error="e", fix="f", kind="ChainError"))
    view.take(event("node-2", "exited", code=1, signal=0))
    assert view.over()
    assert [node.life for node in view.gone()] == [Life.LOST, Life.FAILED]
    assert view.nodes["node-2"].error == "e"
    view.take(event("node-1", "finished"))
    assert view.nodes["node-1"].life is Life.LOST


@pytest.mark.parametrize("name", ["strange", "round.opened", "exited", "finished", "round.paid"])
def test_strange_nodes_and_events_are_passed_over(name):
    view = mesh()
    view.take(event("stranger", name, round=1))
    assert view.opened == 0
    view.take(event("node-0", name, round="x", accuracy="y", addresses=3, account=4))
    view.take(event("node-0", "strange"))


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "{}", '{"event": 3}', '{"event": "x", "t": "y"}', '{"event":"x","node":1}', "\xff"]
)
def test_lines_that_are_no_events(line):
    assert parse(line) is None


def test_a_tail_reads_whole_lines_only_and_each_once(tmp_path):
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert list(tail.new()) == []
    line = json.dumps({"t": 5, "node": "node-0", "event": "node.ready", "peers": 3})
    path.write_text(line + "\n" + line[:10])
    [found] = tail.new()
    assert found == NodeEvent(5, "node-0", "node.ready", {"peers": 3})
    with path.open("a") as file:
        file.write(line[10:] + "\n{broken\n" + line + "\n")
    assert len(list(tail.new())) == 2
    assert list(tail.new()) == []


def lives(view, *lines):
    for t, name, fields in lines:
        view.take(NodeEvent(t, "node-0", name, fields))


LIFE_ONE = (
    (10, "node.started", {"pid": 1}),
    (11, "node.listening", {"addresses": ["/a"]}),
    (12, "node.network", {"bytes_sent": 100, "bytes_received": 40, "label_bytes": 7}),
    (13, "node.failed", {"error": "the disk is full", "fix": "free some"}),
)
LIFE_TWO = (
    (20, "node.started", {"pid": 2}),
    (21, "node.listening", {"addresses": ["/b"]}),
    (22, "node.ready", {}),
    (23, "node.network", {"bytes_sent": 30, "bytes_received": 5, "label_bytes": 2}),
)


def test_a_node_that_runs_again_is_what_its_present_process_says():
    view = MeshView(["node-0"], 3)
    lives(view, *LIFE_ONE)
    assert (view.nodes["node-0"].life, view.nodes["node-0"].error) == (Life.FAILED, "the disk is full")
    lives(view, *LIFE_TWO)
    node = view.nodes["node-0"]
    assert (node.life, node.error, node.pid, node.addresses) == (Life.READY, "", 2, ("/b",))
    assert (node.sent, node.received, node.label_bytes) == (130, 45, 9), "what both sent"
    lives(view, *LIFE_ONE, *LIFE_TWO)
    assert (node.life, node.sent) == (Life.READY, 130), "told again, nothing changes"


def test_before_its_nodes_run_again_a_mesh_is_at_the_start_and_no_old_word_counts():
    view = MeshView(["node-0"], 3)
    lives(view, *LIFE_ONE)
    view.rest(15)
    node = view.nodes["node-0"]
    assert node.life is Life.STARTING
    lives(view, *LIFE_ONE)
    assert node.life is Life.STARTING
    view.take(NodeEvent(0, "node-0", "listening", {"addresses": ["/b"]}))
    view.take(NodeEvent(0, "node-0", "ready", {}))
    lives(view, LIFE_TWO[0])
    assert (node.life, node.sent) == (Life.READY, 100), "what came by the pipe was of the new process"


def test_a_file_that_was_put_aside_is_read_to_its_end_and_then_the_new_one(tmp_path):
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    heard = []
    with Lines(path, most=300) as lines:
        for number in range(40):
            lines.write(json.dumps({"t": number, "node": "a", "event": "x"}) + "\n")
            if number % 3 == 0:
                heard += [event.t for event in tail.new()]
    heard += [event.t for event in tail.new()]
    assert heard == list(range(40)), "whoever reads along misses nothing"
    late = [event.t for event in Tail(path).new()]
    assert late == list(range(late[0], 40)), "whoever comes late reads what was kept, in its order"
    assert 40 - late[0] > 300 // 40

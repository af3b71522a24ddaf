"""Acting on a mesh that runs: real processes of nodes that learn nothing; who dies, who comes back, and who may ask."""

from __future__ import annotations

import http.client
import json
import os
import stat
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from p2pfd_localnet.nouns import ask
from p2pfd_localnet.state import State
from p2pfd_localnet.zygote import GRACE

from p2pfd.errors import NotRunningError, P2pfdError, PlanError

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks at processes in /proc")
UP = ("up", "--chain", "none", "--plain")


def running(bench: Any, *words: str, nodes: int = 3) -> Any:
    """A mesh of nodes that do not finish by themselves."""
    endless = ",".join(f"node-{place}:endless" for place in range(nodes + 1))
    process = bench.start("fakes", *UP, "-n", str(nodes), *words, "--rounds", "3", FAKE_FAULTS=endless)
    bench.wait_status("running")
    return process


def does(bench: Any, what: str, **rest: object) -> str:
    """Ask as the commands do, without a process for each question."""
    return str(bench.wait_for(lambda: ask(State(bench.state), {"do": what, **rest}))["done"])


def fails(bench: Any, *words: str) -> dict[str, Any]:
    done = bench.localnet(*words, "--json")
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    assert error["code"] == done.returncode != 0
    return error


def refused(bench: Any, what: str, **rest: object) -> P2pfdError:
    with pytest.raises(P2pfdError) as caught:
        ask(State(bench.state), {"do": what, **rest})
    return caught.value


def pid_of(bench: Any, node: str) -> int:
    return int([event for event in bench.events(node) if event["event"] == "node.started"][-1]["pid"])


def state_of(pid: int) -> str:
    """R and S run or sleep, T is stopped; nothing for a process that there is not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def chaos(bench: Any) -> list[tuple[str, str]]:
    lines = (bench.state / "events.jsonl").read_text().splitlines()
    return [(event["node"], event["event"]) for event in map(json.loads, lines)]


def lives(bench: Any) -> dict[str, str]:
    return {name: node["life"] for name, node in json.loads(bench.localnet("status", "--json").stdout)["nodes"].items()}


def test_a_node_is_killed_paused_resumed_and_brought_back(bench: Any) -> None:
    mesh = running(bench)
    first, still = pid_of(bench, "node-2"), pid_of(bench, "node-1")
    killed = bench.localnet("kill", "2", "--json")
    assert (killed.returncode, json.loads(killed.stdout)["done"]) == (0, "killed node-2")
    assert state_of(first) == ""
    assert does(bench, "pause", nodes="node-1") == "paused node-1"
    bench.wait_for(lambda: state_of(still) == "T")
    assert lives(bench) == {"node-0": "listening", "node-1": "paused", "node-2": "lost"}
    assert does(bench, "revive", nodes="node-2") == "node-2 is back"
    assert pid_of(bench, "node-2") != first
    assert does(bench, "resume", nodes="all") == "resumed node-1"
    bench.wait_for(lambda: state_of(still) in "RS")
    assert set(lives(bench).values()) == {"listening"}
    told = [("node-2", "killed"), ("node-1", "paused"), ("node-2", "revived"), ("node-1", "resumed")]
    assert chaos(bench) == [(node, f"chaos.{what}") for node, what in told]
    assert "chaos.revived" in bench.localnet("logs", "node-2", "--match", "chaos").stdout
    assert bench.localnet("down").returncode == 0
    out, _ = mesh.communicate(timeout=20)
    for words in ("chaos   killed node-2", "lost    node-2", "chaos   node-2 is back", "chaos   resumed node-1"):
        assert words in out
    assert out.count("lost    node-2") == 1
    assert not bench.processes()


def test_what_is_done_for_a_time_is_undone(bench: Any) -> None:
    mesh = running(bench)
    assert does(bench, "pause", nodes="0", **{"for": 0.2}) == "paused node-0, for 0.2 s"
    bench.wait_for(lambda: ("node-0", "chaos.resumed") in chaos(bench))
    assert refused(bench, "heal", **{"for": 1}).what == "nothing undoes heal"
    does(bench, "pause", nodes="all")
    mesh.terminate()
    began = time.monotonic()
    assert mesh.wait(20) == 130
    assert time.monotonic() - began < GRACE, "who stands still hears that it is to end"
    mesh.communicate()
    assert not bench.processes()


def test_what_cannot_be_done_is_said_at_once(bench: Any) -> None:
    running(bench)
    error = fails(bench, "kill", "node-7")
    assert (error["code"], error["what"], error["fix"]) == (
        2,
        "there is no node node-7",
        "the nodes are node-0, node-1, node-2",
    )
    assert refused(bench, "revive", nodes="node-1").what == "node-1 runs"
    does(bench, "kill", nodes="node-1")
    assert isinstance(refused(bench, "kill", nodes="0-1"), NotRunningError)
    assert state_of(pid_of(bench, "node-0")), "where one cannot be killed, none is"
    assert refused(bench, "partition", groups="0-1|1-2").what == "node-1 is in two groups"
    for what, rest in (("chain-down", {}), ("chain-up", {}), ("chain-reorg", {"depth": 2})):
        told = refused(bench, what, **rest)
        assert isinstance(told, PlanError)
        assert "settles nowhere" in told.what
    error = fails(bench, "add")
    assert (error["code"], error["fix"]) == (3, "keep some when it starts: localnet up --spare 1")
    assert fails(bench, "loss", "120")["code"] == 2
    assert does(bench, "heal") == "there was no partition"
    assert does(bench, "loss", share="20%", nodes="node-0") == "loss of 20 % (node-0)"


def test_where_no_mesh_runs_there_is_nothing_to_break(bench: Any) -> None:
    assert fails(bench, "kill", "node-0")["code"] == 6
    assert bench.fakes("-n", "1", "--rounds", "1").returncode == 0
    error = fails(bench, "heal")
    assert (error["code"], error["name"]) == (6, "not running")
    assert not (bench.state / "events.jsonl").exists()


def test_without_a_page_the_commands_work_all_the_same(bench: Any) -> None:
    running(bench, "--no-serve", nodes=2)
    desk = json.loads((bench.state / "control.json").read_text())
    assert stat.S_IMODE((bench.state / "control.json").stat().st_mode) == 0o600
    assert does(bench, "pause", nodes="0") == "paused node-0"
    there = http.client.HTTPConnection(urlsplit(desk["url"]).netloc, timeout=10)
    there.request("GET", "/")
    assert there.getresponse().status == 404
    there.close()
    assert fails(bench, "link")["code"] == 6


def test_the_token_is_told_to_nobody(bench: Any) -> None:
    mesh = running(bench, nodes=2)
    desk = json.loads((bench.state / "control.json").read_text())
    link = json.loads(bench.localnet("link", "--json").stdout)["link"]
    assert link == f"{desk['url']}#token={desk['token']}"
    does(bench, "pause", nodes="0")
    place, kind = urlsplit(desk["url"]).netloc, {"content-type": "application/json"}
    there, news = http.client.HTTPConnection(place, timeout=10), http.client.HTTPConnection(place, timeout=10)
    there.request("POST", "/control", b'{"do": "heal"}', {"authorization": "Bearer wrong", **kind})
    answer = there.getresponse()
    news.request("GET", "/news")
    told = news.getresponse().read1() + answer.read()
    there.close()
    news.close()
    assert answer.status == 401
    assert b"paused" in told
    assert desk["token"].encode() not in told
    mesh.terminate()
    out, err = mesh.communicate(timeout=20)
    assert desk["token"] not in out + err
    for path in bench.state.rglob("*"):
        assert path.name == "control.json" or not path.is_file() or desk["token"].encode() not in path.read_bytes()


def test_a_script_is_carried_out_at_its_times(bench: Any) -> None:
    script = bench.home / "chaos.toml"
    script.write_text(
        '[[chaos]]\nat = "round>=3"\ndo = "kill"\nnodes = "2"\nfor = 0.3\n'
        '[[chaos]]\nat = 0.2\ndo = "pause"\nnodes = "1"\nto = "round>=6"\n'
        '[[chaos]]\nat = "round>=7"\ndo = "revive"\nnodes = "0"\n'
    )
    done = bench.run(
        "fakes", *UP, "-n", "3", "--rounds", "20", "--chaos", str(script), FAKE_ROUND_MS="150", patience=60
    )
    assert done.returncode == 0, done.stderr
    assert sorted(chaos(bench)) == [
        ("mesh", "chaos.failed"),
        ("node-1", "chaos.paused"),
        ("node-1", "chaos.resumed"),
        ("node-2", "chaos.killed"),
        ("node-2", "chaos.revived"),
    ]
    assert "not done: at round>=7: revive 0: node-0 runs" in done.stdout
    assert not bench.processes()


def test_a_script_that_cannot_be_carried_out_is_refused_before_anything_starts(bench: Any) -> None:
    script = bench.home / "chaos.toml"
    script.write_text('[[chaos]]\nat = 1\ndo = "kill"\nnodes = "node-9"\n')
    done = bench.fakes("-n", "3", "--rounds", "2", "--chaos", str(script), "--json")
    assert done.returncode == 3
    assert "there is no node node-9" in json.loads(done.stdout)["error"]["what"]
    assert not bench.state.exists()


def test_seats_that_were_kept_free_are_taken_later(bench: Any) -> None:
    running(bench, "--spare", "1", nodes=2)
    assert does(bench, "add") == "node-2 has joined"
    assert "node-2" in lives(bench)
    assert refused(bench, "add").what == "no seat is free"
    assert does(bench, "kill", nodes="node-2") == "killed node-2"

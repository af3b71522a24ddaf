"""The meshes of a cluster by name, versions that differ, and what is said where there is no Ray or no cluster."""

from __future__ import annotations

import dataclasses
import socket

import pytest
from p2pfd_localnet.engines.register import Entry, Register, choose
from p2pfd_localnet.program import PROGRAM

from p2pfd import cluster
from p2pfd.errors import EnvironmentProblem, NotRunningError, PlanError, UsageError

FIRST = Entry("home", "machine", "/srv/x", "home-1")


def test_a_name_is_taken_until_it_is_given_back() -> None:
    register = Register()
    assert register.enter(dataclasses.asdict(FIRST)) is None
    other = dataclasses.asdict(dataclasses.replace(FIRST, home="/srv/y", folder="home-2"))
    assert register.enter(other) == dataclasses.asdict(FIRST)
    again = dataclasses.asdict(dataclasses.replace(FIRST, folder="home-3"))
    assert register.enter(again) is None, "it is the same directory, begun anew"
    assert register.drop("home", "home-1") == 1, "that one is another by now"
    assert register.drop("home", "home-3") == 0
    assert register.enter(other) is None
    assert [one["folder"] for one in register.all()] == ["home-2"]


def test_the_only_mesh_needs_no_name() -> None:
    second = dataclasses.replace(FIRST, mesh="work")
    assert choose([FIRST], "") == FIRST
    assert choose([FIRST, second], "work") == second
    with pytest.raises(UsageError, match="2 meshes"):
        choose([FIRST, second], "")
    with pytest.raises(NotRunningError, match="no mesh 'play'"):
        choose([FIRST], "play")
    with pytest.raises(NotRunningError, match="knows no mesh"):
        choose([], "home")


def test_a_machine_like_this_one_will_do() -> None:
    mine = cluster._probe()()
    cluster.compare("10.0.0.2", mine, mine)
    assert mine["missing"] == []


@pytest.mark.parametrize(
    ("differs", "words"),
    [
        ({"missing": ["p2pfd"]}, "has no p2pfd"),
        ({"python": "3.9.1"}, r"Python 3\.9\.1"),
        ({"p2pfd": "9.9"}, r"p2pfd 9\.9"),
        ({"torch": ""}, "torch of no release"),
        ({"code": "another"}, "other files"),
    ],
    ids=["missing", "python", "release", "torch", "files"],
)
def test_a_machine_with_something_else_is_refused_in_words(differs: dict[str, object], words: str) -> None:
    mine = cluster._probe()()
    with pytest.raises(EnvironmentProblem, match=words) as caught:
        cluster.compare("10.0.0.2", mine, {**mine, **differs})
    assert "10.0.0.2" in caught.value.what
    assert caught.value.fix


def test_without_ray_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match="ray is not installed") as caught:
        cluster.check_installed()
    assert "p2pfd[ray]" in caught.value.fix


def test_a_cluster_that_is_not_there_is_told_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NotRunningError, match="no Ray cluster answers"):
        cluster._check_reachable(f"127.0.0.1:{port}")
    with pytest.raises(PlanError, match="HOST:PORT"):
        cluster._check_reachable("nonsense")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["up", "--address", "10.0.0.1:1", "--dry-run"], 2),
        (["up", "--engine", "rai"], 2),
        (["up", "--engine", "ray", "--name", "../x"], 2),
        (["down", "home"], 2),
        (["status", "home"], 2),
    ],
    ids=["address", "engine", "name", "down", "status"],
)
def test_words_that_make_no_sense_are_refused(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main(words) == code
    assert capsys.readouterr().err

import json
import os
from pathlib import Path

import pytest
from p2pfd_localnet.program import PROGRAM
from p2pfd_localnet.state import DEFAULT, Lock, State, claim, running_pid, write

from p2pfd.errors import NotRunningError, PlanError, StorageError


def made(tmp_path):
    state = State(tmp_path / ".localnet" / "default")
    lock = claim(state, fresh=False)
    write(state.mesh, {"status": "done", "plan": {"rounds": 1}})
    return state, lock


def test_hints_name_the_directory_as_it_is_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotRunningError) as caught:
        running_pid(State(Path("a b")))
    assert caught.value.fix == "start one: localnet up --state 'a b'"
    with pytest.raises(NotRunningError) as caught:
        running_pid(State(DEFAULT))
    assert caught.value.fix == "start one: localnet up"


def test_the_lock_is_held_by_one(tmp_path):
    state, lock = made(tmp_path)
    assert state.running()
    with pytest.raises(PlanError, match="runs in"):
        claim(state, fresh=True)
    lock.release()
    assert not state.running()


def test_the_lock_lives_as_long_as_any_process_that_inherited_it(tmp_path):
    state, lock = made(tmp_path)
    read, pipe = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(pipe)
        os.read(read, 1)
        os._exit(0)
    lock.release()
    assert state.running()
    os.close(pipe)
    os.waitpid(pid, 0)
    os.close(read)
    assert not state.running()


def test_what_is_not_a_mesh_is_never_deleted(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    state = State(precious)
    with pytest.raises(StorageError, match=r"thesis\.txt"):
        claim(state, fresh=True)
    state.delete()
    assert PROGRAM.main(["down", "--state", str(precious)]) == 6
    assert (precious / "thesis.txt").read_text() == "years of work"


def test_fresh_deletes_a_mesh_that_ended_and_only_then(tmp_path):
    state, lock = made(tmp_path)
    lock.release()
    with pytest.raises(PlanError) as caught:
        claim(state, fresh=False)
    assert "--fresh" in caught.value.fix
    (state.node("node-0")).mkdir(parents=True)
    claim(state, fresh=True).release()
    assert not state.exists()
    assert not state.node("node-0").exists()


def test_a_link_is_not_followed(tmp_path):
    state, lock = made(tmp_path)
    lock.release()
    link = tmp_path / "link"
    link.symlink_to(state.home)
    with pytest.raises(StorageError, match="symbolic link"):
        State(link).delete()
    assert state.exists()


def test_nodes_stand_in_the_order_of_their_numbers(tmp_path):
    state, lock = made(tmp_path)
    for number in (10, 2, 0):
        state.node(f"node-{number}").mkdir(parents=True)
    assert state.names() == ["node-0", "node-2", "node-10"]
    lock.release()


@pytest.mark.parametrize("words", [["status"], ["logs"], ["down"], ["logs", "-f", "node-0"]])
def test_without_a_mesh_commands_end_with_6_and_the_command_that_starts_one(words, tmp_path, capsys):
    words = [*words, "--state", str(tmp_path / "none"), "--json"]
    assert PROGRAM.main(words) == 6
    error = json.loads(capsys.readouterr().out)["error"]
    assert "localnet up" in error["fix"]
    assert not (tmp_path / "none").exists()


def test_a_damaged_file_is_named(tmp_path, capsys):
    state, lock = made(tmp_path)
    lock.release()
    state.mesh.write_text("{")
    assert PROGRAM.main(["status", "--state", str(state.home)]) == 9
    assert "mesh.json is damaged" in capsys.readouterr().err


def test_a_mesh_that_does_not_run_has_no_process(tmp_path):
    state, lock = made(tmp_path)
    with pytest.raises(StorageError):
        running_pid(state)
    lock.release()
    with pytest.raises(NotRunningError):
        running_pid(state)
    assert Lock.take(state) is not None


def test_an_empty_directory_of_somebody_is_left_alone(tmp_path):
    State(tmp_path).delete()
    assert PROGRAM.main(["down", "--state", str(tmp_path)]) == 6
    assert tmp_path.is_dir()


def test_a_lock_without_a_mesh_goes_with_its_directory(tmp_path):
    state = State(tmp_path / "home")
    claim(state, fresh=False).release()
    assert PROGRAM.main(["down", "--state", str(state.home)]) == 6
    assert not state.home.exists()


def test_a_mesh_without_a_lock_is_deleted(tmp_path):
    state, lock = made(tmp_path)
    lock.release()
    (state.home / "lock").unlink()
    state.delete()
    assert not state.home.exists()

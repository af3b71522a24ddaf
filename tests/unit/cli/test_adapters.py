"""`p2pfd adapters` and the option of pytest: what is installed, and whether somebody's own code keeps the laws."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from p2pfd.cli.program import PROGRAM

BROKEN = '''
from p2pfd.core.rng import Rng
from p2pfd_adapters.local import Local


class Chatty(Local):
    """Tells of no accuracy."""

    def evaluate(self, state, split):
        return {"loss": 0.0}


class Crashing(Local):
    """Falls over when nobody is heard."""

    def absorb(self, state, heard, rnd, rng):
        heard[0]
        return super().absorb(state, heard, rnd, rng)
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "my_own_adapters.py").write_text(BROKEN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield "my_own_adapters"
    sys.modules.pop("my_own_adapters", None)


def said(capsys, *words):
    code = PROGRAM.main(["adapters", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_what_is_installed_is_listed(capsys):
    code, value = said(capsys, "list")
    assert code == 0
    kinds = {each["name"]: each["shares"] for each in value["adapters"]}
    assert kinds["cfd"] == "labels, one common student"
    assert kinds["fedavg"] == kinds["gossip"] == "contributions to merge"
    assert all(each["summary"] and each["settings"] for each in value["adapters"])


def test_an_adapter_that_keeps_the_laws(capsys):
    code, value = said(capsys, "check", "local")
    assert (code, value["broken"]) == (0, {})
    assert "refuses damaged states" in value["kept"]


def test_what_is_broken_is_named_and_the_rest_is_checked_all_the_same(capsys, mine):
    code, value = said(capsys, "check", f"{mine}:Chatty")
    assert code == 5
    assert "evaluate gives no accuracy" in value["broken"]["evaluates between 0 and 1"]
    assert "refuses damaged states" in value["kept"]


def test_a_crash_of_somebodys_code_is_a_finding(capsys, mine):
    code, value = said(capsys, "check", f"{mine}:Crashing")
    assert code == 5
    assert any("IndexError" in why for why in value["broken"].values())


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("check",), 2, "no adapter to check"),
        (("check", "gosip"), 3, "there is no 'gosip'"),
        (("check", "no_such_module:X"), 3, "cannot be imported"),
        (("check", "json:Nothing"), 3, "cannot be imported"),
    ],
)
def test_what_cannot_be_checked_is_told(capsys, words, code, what):
    found, value = said(capsys, *words)
    assert found == code
    assert what in value["error"]["what"]
    assert value["error"]["fix"]


def test_pytest_has_one_test_for_each_law(mine, tmp_path):
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", "."]  # or a stray setup.py further up would be the root
    words = [sys.executable, "-m", "pytest", *options, f"--p2pfd-adapter={mine}:Chatty", "."]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "evaluate gives no accuracy" in done.stdout
    assert f"FAILED {mine}:Chatty::evaluates between 0 and 1" in done.stdout
    assert "passed" in done.stdout
    assert "Traceback" not in done.stdout

"""The tutorial on adapters, done: its code, in a folder outside the project, installed, checked, and run in a mesh."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")
PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "your-own-adapter.md"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The folder of the tutorial, and where pip has installed it."""
    text = PAGE.read_text()
    package = tmp_path / "my-adapter"
    package.mkdir()
    files = {"pyproject.toml": "toml", "softmax_mesh.py": "python"}
    for name, language in files.items():
        block = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
        assert block is not None
        (package / name).write_text(block[1])
    assert len((package / "softmax_mesh.py").read_text().splitlines()) < 100
    site = tmp_path / "site"
    words = ["pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", site, package]
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
    return site


def test_the_tutorials_adapter_is_found_keeps_the_laws_and_learns_in_a_mesh(bench, installed):
    path = os.pathsep.join([str(installed), bench.env["PYTHONPATH"]])
    checked = bench.run("p2pfd_command", "adapters", "check", "softmax", "--json", PYTHONPATH=path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len(json.loads(checked.stdout)["kept"]) >= 13

    commands = re.findall(r"^localnet (up .*--adapter softmax.*)$", PAGE.read_text(), re.MULTILINE)
    done = bench.localnet(*commands[0].split(), "--json", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["accuracy"]["together"] > value["accuracy"]["alone"]
    assert value["nodes"] == 4


@pytest.mark.long
def test_the_tutorials_plan_runs(bench, installed):
    path = os.pathsep.join([str(installed), bench.env["PYTHONPATH"]])
    plan = re.search(r"```toml\n(preset.*?)```", PAGE.read_text(), re.DOTALL)
    assert plan is not None
    (bench.home / "mine.toml").write_text(plan[1])
    done = bench.localnet("up", "mine.toml", "--json", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rounds"] == 5

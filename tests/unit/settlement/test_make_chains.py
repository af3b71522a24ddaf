"""``make chains`` with an npm that is played: fetched once, compared with what was tried, and missed in clear words."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[3] / "tools" / "chains.py"
CHECKSUMS = runpy.run_path(str(TOOL))["CHECKSUMS"]
NPM = """#!{python}
import json, pathlib, sys
wanted = json.loads(pathlib.Path("package.json").read_text())["dependencies"]
assert sys.argv[1] == "install" and "--ignore-scripts" in sys.argv
with open("calls", "a") as calls:
    calls.write("x")
if {fails}:
    sys.exit("npm: no network")
packages = {{}}
for name, checksum in {checksums}.items():
    folder = pathlib.Path("node_modules", name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text("{{}}")
    packages["node_modules/" + name] = {{"integrity": "sha512-" + checksum}}
assert set(wanted) <= set({checksums})
pathlib.Path("node_modules", ".package-lock.json").write_text(json.dumps({{"packages": packages}}))
"""


class Place:
    """A project with the tool, and a PATH of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "tools").mkdir()
        (path / "bin").mkdir()
        shutil.copy(TOOL, path / "tools" / "chains.py")

    def npm(self, *, fails: bool = False, checksums: dict[str, str] = CHECKSUMS) -> None:
        file = self.path / "bin" / "npm"
        file.write_text(NPM.format(python=sys.executable, fails=fails, checksums=checksums))
        file.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, str(self.path / "tools" / "chains.py")]
        environment = {**os.environ, "PATH": str(self.path / "bin")}
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    def calls(self) -> int:
        return len((self.path / ".chains" / "calls").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_it_is_fetched_once(place: Place) -> None:
    place.npm()
    done = place.run()
    assert done.returncode == 0, done.stderr
    assert "anvil 1.7.1 and ganache 7.9.2 into .chains" in done.stderr
    again = place.run()
    assert (again.returncode, again.stderr) == (0, "")
    assert place.calls() == 1
    shutil.rmtree(place.path / ".chains" / "node_modules" / "ganache")
    assert place.run().returncode == 0
    assert place.calls() == 2, "what is gone is fetched again"
    tool = place.path / "tools" / "chains.py"
    tool.write_text(tool.read_text() + "# another version\n")
    assert place.run().returncode == 0
    assert place.calls() == 3


def test_a_machine_without_npm_is_told_what_to_do(place: Place) -> None:
    done = place.run()
    assert done.returncode == 9
    assert "there is no npm on this machine" in done.stderr
    assert "apt-get install npm" in done.stderr


def test_a_network_that_is_away_is_a_failure(place: Place) -> None:
    place.npm(fails=True)
    for _ in range(2):
        done = place.run()
        assert done.returncode == 9
        assert "npm could not fetch the chains" in done.stderr
    assert place.calls() == 2


def test_another_package_under_the_name_is_refused(place: Place) -> None:
    place.npm(checksums={**CHECKSUMS, "ganache": "bm90IGl0"})
    done = place.run()
    assert done.returncode == 9
    assert "ganache is not the package that was tried" in done.stderr
    assert not (place.path / ".chains" / "p2pfd-chains.json").exists()
    assert json.loads((place.path / ".chains" / "package.json").read_text())["private"] is True

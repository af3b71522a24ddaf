"""The files that keep nodes running: read by the tools that their readers use. `make deploy-check` brings those."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from p2pfd.cli.program import PROGRAM

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.stem != "kustomization")


def options_of(words: list[str]) -> None:
    """Whether p2pfd takes these words."""
    command = next(each for each in PROGRAM.commands if each.name == words[0])
    command.parser("p2pfd").read(words[1:])


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_what_there_is(unit):
    (line,) = re.findall(r"^ExecStart=/opt/p2pfd/bin/p2pfd (.*)$", unit.read_text(), re.MULTILINE)
    options_of(line.split())


def test_a_pod_starts_what_there_is():
    found = 0
    for path in MANIFESTS:
        for block in re.findall(r"^ +args:\n((?: +- .*\n)+)", path.read_text(), re.MULTILINE):
            words = [line.strip().removeprefix("- ") for line in block.splitlines()]
            options_of([word.replace("$(ORDINAL)", "0") for word in words])
            found += 1
    assert found == 2


@pytest.mark.long
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong_with_a_unit(unit, tmp_path):
    tool = shutil.which("systemd-analyze") or pytest.skip("there is no systemd-analyze here")
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace("/opt/p2pfd/bin/p2pfd", sys.executable))
    done = subprocess.run([tool, "verify", str(here)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_kubernetes_would_take_a_manifest(path):
    validate = pytest.importorskip("kubernetes_validate", reason="make deploy-check brings it")
    yaml = pytest.importorskip("yaml")
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    for document in documents:
        validate.validate(document, "1.31", strict=True)


@pytest.mark.long
def test_hadolint_finds_nothing_wrong_with_the_containerfile():
    tool = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or pytest.skip("make deploy-check brings it")
    done = subprocess.run([tool, str(DEPLOY / "container/Containerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")

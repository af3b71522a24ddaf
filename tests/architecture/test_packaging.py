"""The archives of a release: what is in them, that too much or too little is told, and that they can be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import audit, wheel_check

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel and a source archive, built from the checkout."""
    wheels = pytest.importorskip("hatchling.builders.wheel")
    sources = pytest.importorskip("hatchling.builders.sdist")
    folder = str(tmp_path_factory.mktemp("dist"))
    [wheel] = wheels.WheelBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    [source] = sources.SdistBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    return Path(wheel), Path(source)


def test_both_archives_hold_what_they_should_and_nothing_else(archives: tuple[Path, Path]) -> None:
    assert wheel_check.look(*archives) == []
    assert any(line.startswith("torch") for line in wheel_check.requirements(archives[0]))
    assert not any(line.startswith("pytest") for line in wheel_check.requirements(archives[0]))


def test_too_much_and_too_little_are_told() -> None:
    right = [*wheel_check.DATA, "p2pfd/errors.py", "p2pfd-0.1.0.dist-info/licenses/LICENSE"]
    assert wheel_check.wheel_problems(right) == []
    assert wheel_check.wheel_problems(right[1:]) == [f"{wheel_check.DATA[0]} is missing"]
    assert wheel_check.wheel_problems([*right, "tests/x.py"]) == ["tests is none of ours"]
    assert wheel_check.wheel_problems([*right, "p2pfd/__pycache__/x.pyc"]) != []
    assert wheel_check.wheel_problems(right[:-1]) == ["the licence is missing"]
    source = [f"p2pfd-0.1.0/{name}" for name in (*wheel_check.TOP, "contracts/vyper/SPEC.md", "p2pfd/errors.py")]
    assert wheel_check.source_problems(source) == []
    assert wheel_check.source_problems([*source, "p2pfd-0.1.0/tests/contracts/x.py"]) != []
    assert wheel_check.source_problems(source[1:]) == ["README.md is missing"]


@pytest.mark.long
def test_it_is_built_installed_elsewhere_and_runs_a_mesh(tmp_path: Path) -> None:
    """Asks the package index that pip is configured with."""
    pytest.importorskip("build", reason="make wheel installs it")
    words = [sys.executable, str(ROOT / "tools" / "wheel_check.py"), "--out", str(tmp_path / "dist")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "localnet up small -n 2 --rounds 1 --plain" in done.stderr


RANGES = {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.2"}, {"fixed": "1.4.1"}]}]}


@pytest.mark.parametrize(
    ("version", "entry", "hit"),
    [
        ("1.1.9", RANGES, False),
        ("1.2", RANGES, True),
        ("1.4.0", RANGES, True),
        ("1.4.1", RANGES, False),
        ("1.10", RANGES, False),
        ("2.0", {"versions": ["2.0"]}, True),
        ("2.0", {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, False),
        ("0.1", {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "0.1"}]}]}, True),
        ("0.2", {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "0.1"}]}]}, False),
        ("not a version", RANGES, False),
    ],
)
def test_a_version_is_compared_with_what_an_advisory_names(version: str, entry: dict[str, object], hit: bool) -> None:
    assert audit.affected(version, entry) is hit


def test_findings_name_the_package_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "id: PYSEC-1\nmodified: '2024-01-01'\naffected:\n- package: {name: Some_Package, ecosystem: PyPI}\n"
        "  ranges:\n  - type: ECOSYSTEM\n    events: [{introduced: '0'}, {fixed: '3'}]\n"
    )
    (tmp_path / "back.json").write_text('{"id": "PYSEC-2", "withdrawn": "2024-01-01T00:00:00Z", "affected": []}')
    held = list(audit.advisories(tmp_path))
    assert [each["id"] for each in held] == ["PYSEC-1"]
    assert audit.compared({"some-package": "2"}, held) == [audit.Finding("some-package", "2", "PYSEC-1", ("3",))]
    assert audit.compared({"some-package": "3"}, held) == []

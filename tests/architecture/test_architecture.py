"""What holds for the whole tree: who imports whom, how long modules are, what a wheel holds, what commands show."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from p2pfd_localnet.program import PROGRAM as LOCALNET

from p2pfd.cli.program import PROGRAM as P2PFD

ROOT = Path(__file__).parents[2]
LIMIT = 400
SOURCES = ("p2pfd", "adapters", "localnet", "contracts", "tools", "tests")
COMMANDS = [(program, command) for program in (P2PFD, LOCALNET) for command in program.commands]


def tracked() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_imports_follow_the_layers():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_no_module_is_long():
    code = [path for top in SOURCES for path in (ROOT / top).rglob("*") if path.suffix == ".py"]
    assert len(code) > 50
    long = {str(path.relative_to(ROOT)): lines for path in code if (lines := path.read_text().count("\n")) >= LIMIT}
    assert long == {}


def test_the_wheel_holds_three_packages_and_nothing_else(tmp_path):
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    [wheel] = builder.build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    packages = {top for top in tops if not top.endswith(".dist-info")}
    assert packages == {"p2pfd", "p2pfd_adapters", "p2pfd_localnet"}
    assert len(tops) == 4
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


@pytest.mark.parametrize(("program", "command"), COMMANDS, ids=[f"{p.name} {c.name}" for p, c in COMMANDS])
def test_every_command_has_help_with_an_example_and_json(program, command, capsys):
    assert program.main([command.name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"example:\n  {program.name} {command.name}" in text
    assert "--json" in text
    assert "--plain" in text
    words = command.example.split()[2:]
    command.parser(program.name).read(words)  # the example is itself a call that can be typed


def test_every_command_is_on_its_page():
    page = (ROOT / "docs/reference/commands.md").read_text()
    for program, command in COMMANDS:
        assert f"## `{program.name} {command.name}`" in page
        for option in command.parser(program.name).options():
            if option not in ("--help", "--json", "--plain"):
                assert f"`{option}" in page, f"{option} of {program.name} {command.name}"


def test_no_file_names_a_path_of_one_machine():
    # A home directory, or the place of a checkout, works for one person only.
    wrong = re.compile(r"(?<![\w.<{}$*/-])/(?:home|Users|root|work|workspace|mnt)/[\w.-]+")
    for path in tracked():
        if path.suffix in (".md", ".py", ".toml", ".txt", ".vy", ".yml", ".yaml", ".json", ".svg") or path.name in (
            "Makefile",
            "run",
        ):
            found = wrong.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path.relative_to(ROOT)}: {found.group()}"


def test_links_in_the_docs_lead_somewhere():
    link = re.compile(r"\[[^\]]*\]\(([^)#\s]+)")
    for page in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]:
        for target in link.findall(page.read_text()):
            if "://" not in target and not target.startswith("mailto:"):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} → {target}"

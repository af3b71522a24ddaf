"""A newcomer's hour: what the README and the first tutorial say to type is typed, and prints what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.console import ROOT, Call, calls_in, differs

TUTORIAL = ROOT / "docs/tutorials/first-mesh.md"
README = ROOT / "README.md"
PATIENCE = 600.0
CHEAP = ("presets", "--dry-run", "--help")


def typed(call: Call, home: Path, env: dict[str, str]) -> str:
    """What the command prints; it must end well."""
    line = call.line.replace("make up", "localnet up")  # which is what make up does once it has installed
    done = subprocess.run(
        line, shell=True, cwd=home, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, f"{call.page}: {line}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def follow(page: Path, bench: Any, *, only: tuple[str, ...] = ()) -> int:
    """Type a page's commands one after the other in one empty directory; how many there were."""
    home, count = bench.home / "newcomer", 0
    home.mkdir()
    env = {**bench.env, "PATH": os.pathsep.join([str(Path(sys.executable).parent), bench.env["PATH"]])}
    for name, body in files_of(page):
        (home / name).write_text(body)
    for call in calls_in(page):
        if not call.shown or (only and not any(word in call.line for word in only)):
            continue
        problem = differs(call.shown, typed(call, home, env))
        assert problem == "", f"{call.page}: {call.line}: {problem}"
        count += 1
    return count


def files_of(page: Path) -> list[tuple[str, str]]:
    """Files that a page has the reader write: a block of TOML after a line that ends with its name and a colon."""
    return re.findall(r"`([\w.]+\.toml)`:\n\n```toml\n(.*?)```", page.read_text(), re.DOTALL)


def test_what_is_cheap_in_the_tutorial_prints_what_it_says(bench: Any) -> None:
    assert follow(TUTORIAL, bench, only=CHEAP) >= 1


@pytest.mark.long
def test_the_tutorial_can_be_followed_from_an_empty_directory(bench: Any) -> None:
    began = time.monotonic()
    assert follow(TUTORIAL, bench) > 10
    print(f"the tutorial took {time.monotonic() - began:.0f} s")
    bench.wait_gone(20)


@pytest.mark.long
def test_the_readme_shows_what_one_sees(bench: Any) -> None:
    assert follow(README, bench) >= 1


def test_make_up_is_what_the_readme_says() -> None:
    done = subprocess.run(["make", "-n", "up", "ARGS=-n 4"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ".venv/bin/localnet up -n 4"
    assert re.search(r"^```\nmake up .*\nmake test", README.read_text(), re.MULTILINE)
    shown = [call for call in calls_in(README) if call.shown]
    assert [call.line for call in shown] == ["make up"]

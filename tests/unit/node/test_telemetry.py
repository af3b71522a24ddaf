"""The stream of events: whole lines, whatever becomes of the disk and of the process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from p2pfd.errors import EnvironmentProblem
from p2pfd.node.clock import SystemClock
from p2pfd.node.telemetry import Lines, event_stream, older


def events(path: Path) -> list[str]:
    found = []
    for line in path.read_text().split("\n"):
        try:
            found.append(json.loads(line)["event"])
        except ValueError:
            found.append(line)
    return found


def test_an_event_is_a_line_as_soon_as_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    emit, stream = event_stream(path, "one", SystemClock())
    with stream:
        emit("first", {"raw": b"\1\2", "kinds": {"b", "a"}, "text": "über\nzwei \ud800"})
        (line, rest) = path.read_text().split("\n")
        assert rest == ""
        assert json.loads(line).items() >= {"node": "one", "event": "first", "raw": "0102"}.items()
    emit, stream = event_stream(path, "one", SystemClock())
    with stream:
        emit("second", {})
    assert events(path) == ["first", "second", ""]


def test_a_line_that_was_cut_short_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "first"}\n{"event": "cut')
    emit, stream = event_stream(path, "one", SystemClock())
    with stream:
        emit("second", {})
        emit("third", {})
    assert events(path) == ["first", '{"event": "cut', "second", "third", ""]


FILLING = """
import resource, sys
from pathlib import Path
from p2pfd.errors import EnvironmentProblem
from p2pfd.node.telemetry import Lines
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
with Lines(Path(sys.argv[1])) as lines:
    lines.write("x" * 59 + "\\n")
    for _ in range(2):
        try:
            lines.write("y" * 59 + "\\n")
        except EnvironmentProblem as error:
            print(error)
"""


def test_a_file_that_takes_no_more_is_told_and_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    done = subprocess.run([sys.executable, "-c", FILLING, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.count(f"cannot write {path}") == 2
    assert "free some disk space" in done.stdout
    with Lines(path) as lines:
        lines.write("z\n")
    assert path.read_text() == "x" * 59 + "\n" + "y" * 40 + "\nz\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_with_no_room_at_all_is_an_error_of_the_machine(tmp_path: Path) -> None:
    with Lines(tmp_path / "events.jsonl") as lines:
        lines._file.close()
        lines._file = open("/dev/full", "a+b", buffering=0)  # noqa: SIM115 - the block closes it
        with pytest.raises(EnvironmentProblem, match="No space left on device"):
            lines.write("a line\n")


def test_a_file_that_is_long_enough_is_put_aside_and_no_line_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for begin in (0, 10):  # opened again in between
        with Lines(path, most=100) as lines:
            for number in range(begin, begin + 10):
                lines.write(f"{number:>19}\n")
    kept = (older(path).read_text() + path.read_text()).split()
    assert kept == [str(number) for number in range(10, 20)]
    assert max(path.stat().st_size, older(path).stat().st_size) <= 100
    with Lines(path, most=100) as lines:
        lines.write("x" * 200 + "\n")
        lines.write("y\n")
    assert path.read_text() == "y\n", "a line that is too long has a file of its own"

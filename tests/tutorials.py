"""Tutorials as their readers follow them: files are written, and lines typed one after the other into one shell."""

from __future__ import annotations

import re
import selectors
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.console import differs

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w.]+\.(?:toml|py))`[^\n]*:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATIENCE = 900.0


@dataclass(frozen=True)
class Step:
    """A line to type, and what the page shows below it."""

    line: str
    shown: tuple[str, ...]


def steps(page: str) -> Iterator[Step]:
    """Every line behind a prompt, in order."""
    for block in _BLOCK.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *shown = part.rstrip("\n").split("\n")
            yield Step(line, tuple(shown))


def files(page: str) -> dict[str, str]:
    """The files that the reader is asked to write, and what stands in them."""
    return dict(_FILE.findall(page))


class Shell:
    """A bash that keeps its variables and its jobs from line to line."""

    def __init__(self, home: Path, env: Mapping[str, str]) -> None:
        self._mark = uuid.uuid4().hex
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=home,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._in, self._out = self._bash.stdin, self._bash.stdout
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._out, selectors.EVENT_READ)

    def type(self, line: str, patience: float = PATIENCE) -> tuple[str, int]:
        """What a line prints, and the code that it ends with, which the next line can ask for."""
        # What is typed reads nothing: else it would swallow the lines that come after it.
        script = f"{{ {line}\n}} < /dev/null; code=$?; printf '%s %s\\n' {self._mark} $code; (exit $code)\n"
        self._in.write(script.encode())
        self._in.flush()
        said, deadline = b"", time.monotonic() + patience
        while (end := re.search(rb"%s (\d+)\n" % self._mark.encode(), said)) is None:
            if not self._ready.select(max(0.0, deadline - time.monotonic())):
                raise AssertionError(f"{line}: still not over after {patience} s\n{said.decode(errors='replace')}")
            more = self._out.read1(65_536)
            assert more, f"{line}: the shell is gone\n{said.decode(errors='replace')}"
            said += more
        return said[: end.start()].decode(errors="replace"), int(end[1])

    def end(self) -> None:
        """Close it; what it started is for the caller to end."""
        self._ready.close()
        self._in.close()
        self._out.close()
        self._bash.kill()
        self._bash.wait()


def follow(
    page: Path, home: Path, env: Mapping[str, str], instead: Mapping[str, str], after: Callable[[Step], None]
) -> int:
    """Do what a page says, from its first line to its last; how many lines were typed.

    ``instead`` has lines in whose place others are typed, by how they begin; ``after`` is called after each line.
    """
    text = page.read_text(encoding="utf-8")
    for name, body in files(text).items():
        (home / name).write_text(body)
    todo = list(steps(text))
    shell, told = Shell(home, env), []
    try:
        for place, step in enumerate(todo):
            line = next((other for begin, other in instead.items() if step.line.startswith(begin)), step.line)
            said, code = shell.type(line)
            told.append(f"$ {line}\n{said}")
            (home / "transcript.txt").write_text("".join(told))
            asked = place + 1 < len(todo) and todo[place + 1].line == "echo $?"
            assert code == 0 or asked, f"{page.name}: {line} ended with {code}\n{said}"
            problem = differs(step.shown, said) if step.shown else ""
            assert problem == "", f"{page.name}: {line}: {problem}\n{said}"
            if step.line == "echo $?":
                assert said.strip() == "".join(step.shown).strip(), f"{page.name}: {todo[place - 1].line}: {said}"
            after(step)
    finally:
        shell.end()
    return len(todo)

"""``python -m tests.mutation.trial``: one mutant after the other against the tests that run its line.

Orders come as lines of JSON, and an outcome goes back for each. Every trial is a process of its own, forked from this
one, which has loaded the libraries and none of our modules.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

from tests.mutation.mutants import FLAWLESS, MISSING, Mutant, wrong

LIBRARIES = ("pytest", "hypothesis.strategies", "trio", "numpy", "msgpack", "nacl.signing", "cryptography")
MEMORY = 4 << 30
OPTIONS = ("-o", "faulthandler_timeout=0", "--assert=plain")
"""pytest's own way of loading modules would put the text on disk in the place of the mistake."""
OUTCOMES = {0: "survived", 1: "killed", 2: "killed", 4: "killed", -signal.SIGXCPU: "timeout"}
"""By pytest's exit code: a test failed, or a module could not be imported, by a test or by our own plugin."""


def warm_up() -> None:
    """Load what every trial needs and what no mutant is in."""
    for name in LIBRARIES:
        __import__(name)


class _Wrong(importlib.abc.MetaPathFinder):
    """Finds the module that has the mistake; everything else is found by the others."""

    def __init__(self, mutant: Mutant, path: Path) -> None:
        self.module, self.path = mutant.module, path
        source = path.read_text()
        if mutant.site == FLAWLESS:
            self.code = compile(source, str(path), "exec")
        elif mutant.site == MISSING:
            self.code = compile("raise ImportError", str(path), "exec")
        else:
            self.code = compile(wrong(source, mutant), str(path), "exec")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Where the module is, with a loader that has other code."""
        if fullname != self.module:
            return None
        places = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        loader = _Loader(fullname, str(self.path), self.code)
        return importlib.util.spec_from_file_location(
            fullname, self.path, loader=loader, submodule_search_locations=places
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self.wrong = code

    def get_code(self, fullname: str) -> CodeType:
        """The code with the mistake, never a cached one."""
        return self.wrong


def noticed(mutant: Mutant, path: Path, tests: list[str], seconds: float) -> str:
    """``killed`` when a test fails, ``timeout`` when none ends in time, ``survived``, or why nothing was tried.

    The seconds are the processor's, so that a busy machine notices nothing that no test does; who waits for ever
    without using any is ended after eight times as long.
    """
    child = os.fork()
    if child == 0:
        _try(mutant, path, tests, seconds)
    deadline = time.monotonic() + 8 * seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return OUTCOMES.get(os.waitstatus_to_exitcode(status), f"pytest ended with {status}")
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def _try(mutant: Mutant, path: Path, tests: list[str], seconds: float) -> None:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    sys.meta_path.insert(0, _Wrong(mutant, path))
    sys.dont_write_bytecode = True
    code = 99
    try:
        import pytest

        code = int(pytest.main(["-q", "-x", "--no-header", "-p", "no:cacheprovider", *OPTIONS, *tests]))
    finally:
        os._exit(code)


def main() -> None:
    """Try what is ordered until there is no more."""
    warm_up()
    for line in sys.stdin:
        order = json.loads(line)
        mutant = Mutant(**order["mutant"])
        print(noticed(mutant, Path(order["path"]), order["tests"], order["seconds"]), flush=True)


if __name__ == "__main__":
    main()

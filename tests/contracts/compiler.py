"""Contracts that are only for tests, compiled here: mocks, and ours with a mistake in them."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

from p2pfd.settlement.artifacts import Artifact, artifact

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "contracts" / "build.py"
SOURCES = ROOT / "contracts" / "vyper"
LIBRARIES = Path(str(distribution("snekmate").locate_file("")))
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")


@cache
def mock(name: str) -> Artifact:
    """A contract of `contracts/vyper/mocks`."""
    return _compiled(SOURCES / "mocks" / f"{name}.vy", SOURCES)


def mutant(name: str, patch: str, copy: Path) -> Artifact:
    """One of our contracts as it would be with a patch, which is applied to a copy of the sources in this folder.

    The token's library may be what is patched: then that is copied too.
    """
    for source in SOURCES.glob("*.vy"):
        shutil.copy(source, copy)
    library = re.search(r"^\+\+\+ b/(snekmate/\S+)$", patch, re.MULTILINE)
    if library is None:
        apply(patch, copy)
        return _compiled(copy / f"{name}.vy", copy)
    shutil.copytree(LIBRARIES / "snekmate", copy / "snekmate", ignore=shutil.ignore_patterns("__pycache__"))
    apply(patch, (copy / library[1]).parent)
    return _compiled(copy / f"{name}.vy", copy, copy)


def noticed(
    name: str, patch: str, copy: Path, finds: Callable[[Artifact], None], signs: tuple[type[Exception], ...] = ()
) -> bool:
    """Whether a test fails on one of our contracts once the patch is in it; ``signs`` count beside AssertionError."""
    wrong = mutant(name, patch, copy)
    assert wrong.bytecode != artifact(name).bytecode, "the patch changes nothing that runs"
    try:
        finds(wrong)
    except (AssertionError, *signs):
        return True
    return False


class PatchError(Exception):
    """A patch does not fit what it is for."""


def apply(patch: str, copy: Path) -> None:
    """Apply a unified diff to the sources in a folder: its lines may have moved, all together, but not changed."""
    lines = patch.splitlines(keepends=True)
    target = next((copy / Path(line[4:].strip()).name for line in lines if line.startswith("+++ ")), None)
    if target is None or not target.is_file():
        raise PatchError(f"the patch is for no source that there is: {target}")
    text = target.read_text().splitlines(keepends=True)
    for at, old, new in _hunks(lines):
        found = [start for start in range(len(text)) if text[start : start + len(old)] == old]
        if len(found) != 1:
            raise PatchError(f"the patch no longer applies at line {at} of {target.name}: write it anew")
        text[found[0] : found[0] + len(old)] = new
    target.write_text("".join(text))


def _hunks(lines: list[str]) -> Iterator[tuple[int, list[str], list[str]]]:
    """Where each hunk begins, the lines that stand there, and those that are to stand there."""
    starts = [number for number, line in enumerate(lines) if _HUNK.match(line)]
    if not starts:
        raise PatchError("the patch changes nothing")
    for first, following in zip(starts, [*starts[1:], len(lines)], strict=True):
        place = _HUNK.match(lines[first])
        assert place is not None
        body = lines[first + 1 : following]
        old = [line[1:] for line in body if line[0] in " -"]
        yield int(place[1]), old, [line[1:] for line in body if line[0] in " +"]


def building() -> ModuleType:
    """A copy of the script that builds the contracts, as a module."""
    spec = importlib.util.spec_from_file_location("p2pfd_contracts_build", BUILD)
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    return build


def _compiled(path: Path, sources: Path, libraries: Path = LIBRARIES) -> Artifact:
    build = building()
    build.SOURCES, build.LIBRARIES = sources, libraries  # type: ignore[attr-defined]
    out = build.compiled(path)
    runtime = len(out["bytecode_runtime"]) // 2 - 1
    return Artifact(path.stem, tuple(out["abi"]), bytes.fromhex(out["bytecode"].removeprefix("0x")), runtime)

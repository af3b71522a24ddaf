"""``python -m tests.mutation [--sample N] [--seed N] [--jobs N] [PACKAGE...]``: mistakes are made, tests are to notice.

Each package is measured by the tests that are quick: which of them runs which line is found out once and kept in
``.mutation``, and so is what became of every mutant, as long as nothing changes that it depends on. A run that is cut
off goes on where it was. With ``--coverage`` only the lines that no test runs are told.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import queue
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.mutation.mutants import FLAWLESS, MISSING, Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".mutation"
EXPLAINED = Path(__file__).parent / "survivors.toml"
PURE = ("core", "wire", "incentives", "roles")
TESTS = (
    "tests/unit/core",
    "tests/unit/wire",
    "tests/unit/incentives",
    "tests/unit/roles",
    "tests/unit/test_audit.py",
    "tests/unit/behaviours",
    "tests/property",
    "tests/sim",
    "tests/contracts",
)
LONGEST = 45.0
"""Seconds of tests, as they take without a mistake, that one mutant is tried with: the quickest tests first.

With fewer, or without some of the places above, fewer mistakes are noticed and never more.
"""


def main() -> int:
    """Measure, and print tables."""
    said = _arguments()
    KEPT.mkdir(exist_ok=True)
    covered = _covered([place for place in TESTS if place not in said.without])
    if said.coverage:
        return _coverage(covered)
    known = _known()
    todo = [mutant for package in said.packages for mutant in _sample(package, said.sample, said.seed)]
    found = _outcomes(todo, covered, said.longest, said.jobs)
    return _tell(todo, found, known)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutation", description=__doc__.splitlines()[0])
    usual = ["wire", "incentives", "roles"]
    parser.add_argument("packages", nargs="*", default=usual, metavar="PACKAGE", help=" ".join(PURE))
    parser.add_argument("--sample", type=int, default=150, help="mutants of each package; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    parser.add_argument("--longest", type=float, default=LONGEST, help="seconds of tests for one mutant")
    parser.add_argument("--without", action="append", default=[], choices=TESTS, help="leave these tests out")
    parser.add_argument("--coverage", action="store_true", help="only tell how many lines the tests run")
    said = parser.parse_args()
    if strange := set(said.packages) - set(PURE):
        parser.error(f"no such package: {', '.join(sorted(strange))}; there are {', '.join(PURE)}")
    return said


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _sources(package: str) -> list[Path]:
    return sorted((ROOT / "p2pfd" / package).rglob("*.py"))


def _covered(places: list[str]) -> dict[str, Any]:
    """Which test runs which line of the pure packages, and for how long each test takes."""
    whole: dict[str, Any] = {"seconds": {}, "files": {}}
    for place in places:
        measured = _covered_by(place)
        whole["seconds"] |= measured["seconds"]
        for name, file in measured["files"].items():
            kept = whole["files"].setdefault(
                name, {"tests": {}, "statements": file["statements"], "missing": file["missing"]}
            )
            kept["missing"] = sorted(set(kept["missing"]) & set(file["missing"]))
            for line, tests in file["tests"].items():
                kept["tests"].setdefault(line, []).extend(tests)
    return whole


def _covered_by(place: str) -> dict[str, Any]:
    """The same for the tests in one place, measured anew when a line or a test is another one."""
    tests = [ROOT / place] if place.endswith(".py") else list((ROOT / place).rglob("*.py"))
    digest = _digest([path for name in PURE for path in _sources(name)] + tests)
    target = KEPT / f"covered-{place.replace('/', '-')}-{digest}.json"
    if not target.exists():
        print(f"which line is run by which test of {place}: measured once ...", file=sys.stderr, flush=True)
        part = target.with_suffix(".part")
        wanted = {"COVERING_TO": str(part), "COVERING_OF": " ".join(f"p2pfd.{name}" for name in PURE)}
        options = ["-q", "-m", "not long", "-p", "tests.mutation.covering", "-p", "no:cacheprovider", place]
        command = [sys.executable, "-m", "pytest", *options]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | wanted, check=False, stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise SystemExit(f"the tests fail without any mistake: mend them first\n{done.stdout[-3000:]}")
        part.rename(target)
    measured: dict[str, Any] = json.loads(target.read_text())
    return measured


def _sample(package: str, number: int, seed: int) -> list[Mutant]:
    """Some mutants of a package, drawn by a hash: the same ones for a seed as long as their lines stand."""
    every = [m for path in _sources(package) for m in mutants(_module(path), path.read_text())]
    drawn = sorted(every, key=lambda m: hashlib.sha256(f"{seed} {m.name}".encode()).digest())
    print(
        f"p2pfd.{package}: {len(every)} mutants, {len(drawn[:number] if number else drawn)} tried",
        file=sys.stderr,
        flush=True,
    )
    return drawn[:number] if number else drawn


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _path(module: str) -> Path:
    place = ROOT.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _tests(mutant: Mutant, covered: dict[str, Any], longest: float) -> list[str]:
    """The tests that run the statement, quickest first.

    What an import runs, such as a constant, is tried with those that run any line of the module, or of its package.
    """
    by_line = _by_line(mutant.module, covered)
    running = {test for line in mutant.lines for test in by_line.get(str(line), [])} - {""}
    if not mutant.lines:
        running = {test for tests in by_line.values() for test in tests} - {""}
    if not mutant.lines and not running:
        beside = [_module(path) for path in _path(mutant.module).parent.glob("*.py")]
        running = {test for name in beside for tests in _by_line(name, covered).values() for test in tests} - {""}
    quickest = sorted(running, key=lambda test: (covered["seconds"][test], test))
    chosen, spent = [], 0.0
    for test in quickest:
        spent += covered["seconds"][test]
        if chosen and spent > longest:
            break
        chosen.append(test)
    return chosen


def _by_line(module: str, covered: dict[str, Any]) -> dict[str, list[str]]:
    by_line: dict[str, list[str]] = covered["files"].get(str(_path(module)), {"tests": {}})["tests"]
    return by_line


def _key(mutant: Mutant, tests: list[str]) -> str:
    """As long as this is the same, so is what becomes of a mutant."""
    files = {ROOT / test.split("::")[0] for test in tests} | {_path(mutant.module)}
    return hashlib.sha256(f"{mutant.name} {_digest(sorted(files))} {' '.join(tests)}".encode()).hexdigest()


def _outcomes(todo: list[Mutant], covered: dict[str, Any], longest: float, jobs: int) -> dict[str, str]:
    """What becomes of each mutant, kept from run to run."""
    kept = KEPT / "outcomes.jsonl"
    before = {}
    if kept.exists():
        before = {entry["key"]: entry["outcome"] for entry in map(json.loads, kept.read_text().splitlines())}
    found: dict[str, str] = {}
    waiting: list[tuple[Mutant, str, list[str]]] = []
    for mutant in todo:
        tests = _tests(mutant, covered, longest)
        key = _key(mutant, tests)
        if not tests:
            found[mutant.name] = "not run"
        elif key in before:
            found[mutant.name] = before[key]
        else:
            waiting.append((mutant, key, tests))
    with kept.open("a") as out, ThreadPoolExecutor(jobs) as pool:
        workers = Workers(jobs)
        for module, tests in {mutant.module: tests[:5] for mutant, _, tests in waiting}.items():
            for site, due in ((FLAWLESS, "survived"), (MISSING, "killed")):
                control = Mutant(module, 0, (), f"control {site}", site)
                key = _key(control, tests)
                outcome = before.get(key) or workers.tried(control, tests, covered)
                out.write(json.dumps({"key": key, "mutant": control.name, "outcome": outcome}) + "\n")
                if outcome != due:
                    raise SystemExit(f"a control of {module} {outcome}; so no outcome would mean anything")
        each = pool.map(lambda one: workers.tried(one[0], one[2], covered), waiting)
        for number, ((mutant, key, _), outcome) in enumerate(zip(waiting, each, strict=True), 1):
            found[mutant.name] = outcome
            out.write(json.dumps({"key": key, "mutant": mutant.name, "outcome": outcome}) + "\n")
            out.flush()
            print(f"{number}/{len(waiting)} {outcome:8} {mutant.name}", file=sys.stderr, flush=True)
    return found


class Workers:
    """Processes that try mutants, each with the libraries loaded once."""

    def __init__(self, number: int) -> None:
        """Start them."""
        self.idle: queue.Queue[subprocess.Popen[str]] = queue.Queue()
        for _ in range(number):
            command = [sys.executable, "-m", "tests.mutation.trial"]
            self.idle.put(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    def tried(self, mutant: Mutant, tests: list[str], covered: dict[str, Any]) -> str:
        """What becomes of one mutant."""
        allowed = 20 + 4 * sum(covered["seconds"][test] for test in tests)
        order = {"mutant": asdict(mutant), "path": str(_path(mutant.module)), "tests": tests, "seconds": allowed}
        worker = self.idle.get()
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(order) + "\n")
        worker.stdin.flush()
        answer = worker.stdout.readline().strip()
        if answer not in ("killed", "survived", "timeout"):
            raise SystemExit(f"a trial of {mutant.name} could not be made: {answer}")
        self.idle.put(worker)
        return answer


def _known() -> list[dict[str, str]]:
    """Survivors that are explained: what they change is not behaviour, or what else is said of them."""
    listed: list[dict[str, str]] = tomllib.loads(EXPLAINED.read_text())["survivor"]
    return listed


def _why(mutant: Mutant, known: list[dict[str, str]]) -> str | None:
    """What is said of a mutant in a line that holds this text."""
    text = _path(mutant.module).read_text().splitlines()[mutant.line - 1]
    fitting = (one for one in known if (one["module"], one["what"]) == (mutant.module, mutant.what))
    return next((one["why"] for one in fitting if one["where"] in text), None)


def _tell(todo: list[Mutant], found: dict[str, str], known: list[dict[str, str]]) -> int:
    by_package: dict[str, Counter[str]] = defaultdict(Counter)
    unexplained = []
    for mutant in todo:
        outcome = found[mutant.name]
        if outcome in ("survived", "not run") and _why(mutant, known) is not None:
            outcome = "explained"
        elif outcome in ("survived", "not run"):
            unexplained.append((mutant, outcome))
        by_package[".".join(mutant.module.split(".")[:2])][outcome] += 1
    print("| package | tried | noticed | of these by time | explained | not noticed | share noticed (95 %) |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for package, counts in sorted(by_package.items()):
        tried, seen, rest = counts.total(), counts["killed"] + counts["timeout"], counts["survived"] + counts["not run"]
        low, high = _interval(seen, tried)
        numbers = f"{tried} | {seen} | {counts['timeout']} | {counts['explained']} | {rest}"
        print(f"| `{package}` | {numbers} | {seen / tried:.3f} ({low:.3f} to {high:.3f}) |")
    for mutant, outcome in unexplained:
        print(f"{outcome}: {mutant.name}")
    return 0


def _interval(seen: int, tried: int) -> tuple[float, float]:
    """Wilson's interval for a share."""
    share, z = seen / tried, 1.96
    middle = (share + z * z / (2 * tried)) / (1 + z * z / tried)
    half = z * math.sqrt(share * (1 - share) / tried + z * z / (4 * tried * tried)) / (1 + z * z / tried)
    return middle - half, middle + half


def _coverage(covered: dict[str, Any]) -> int:
    print("| package | lines that can be run | run by its tests | share |\n|---|--:|--:|--:|")
    worst = 1.0
    for package in PURE:
        files = [covered["files"].get(str(path)) for path in _sources(package)]
        lines = sum(file["statements"] for file in files if file)
        missing = sum(len(file["missing"]) for file in files if file)
        worst = min(worst, 1 - missing / lines)
        print(f"| `p2pfd.{package}` | {lines} | {lines - missing} | {1 - missing / lines:.3f} |")
    for package in PURE:
        for path in _sources(package):
            if (file := covered["files"].get(str(path))) and file["missing"]:
                print(f"{path.relative_to(ROOT)}: {' '.join(map(str, file['missing']))}")
    return 0 if worst >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())

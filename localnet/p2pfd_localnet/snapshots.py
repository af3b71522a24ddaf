"""`localnet snapshot`, `restore` and `snapshots`: copies of a stopped mesh, beside its directory."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, did_you_mean
from p2pfd.cli.screen import Screen, size
from p2pfd.core.ticks import SECOND
from p2pfd.errors import PlanError, UsageError
from p2pfd.node.clock import SystemClock
from p2pfd_localnet import life
from p2pfd_localnet.options import add_state
from p2pfd_localnet.reading import Reader
from p2pfd_localnet.state import Lock, State, option, write

FILE = "snapshot.json"
REPLACED = "replaced"
"""Under this name a restore keeps what it replaced."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LEFT_OUT = ("lock", "control.json", "torch")


@dataclass(frozen=True)
class Shelf:
    """Where the snapshots of a mesh are: beside its directory, so that `down` and `up --fresh` leave them alone."""

    home: Path

    @property
    def place(self) -> Path:
        """The directory of all of them."""
        return self.home.with_name(f"{self.home.name}.snapshots")

    def path(self, name: str) -> Path:
        """One of them."""
        if _NAME.fullmatch(name) is None:
            raise UsageError(
                f"{name[:70]!r} is no name for a snapshot", "take letters, digits, dots, dashes; at most 64"
            )
        return self.place / name

    def names(self) -> list[str]:
        """Those that are whole, the oldest first."""
        if not self.place.is_dir():
            return []
        found = [(self.about(path.name).get("taken", 0), path.name) for path in self.place.iterdir() if whole(path)]
        return [name for _, name in sorted(found)]

    def about(self, name: str) -> dict[str, Any]:
        """What is written down of a snapshot."""
        try:
            value = json.loads((self.place / name / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # what is missing is shown as missing; the copy itself is what counts
        return value if isinstance(value, dict) else {}

    def find(self, name: str) -> Path:
        """A snapshot that is there."""
        path = self.path(name)
        if not whole(path):
            fix = did_you_mean(name, self.names()) if self.names() else "take one: localnet snapshot NAME"
            raise UsageError(f"there is no snapshot {name!r} of {self.home}", fix)
        return path


def whole(path: Path) -> bool:
    """Whether this is a snapshot; one that is being made has another kind of name."""
    return _NAME.fullmatch(path.name) is not None and State(path).exists()


def copy(source: Path, target: Path) -> None:
    """A copy of a mesh's directory that is there whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    _remove(part)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(source, part, symlinks=True, ignore=_left_out)
        part.rename(target)
    except BaseException:
        _remove(part)
        raise


def _left_out(folder: str, names: list[str]) -> list[str]:
    """What belongs to a run and not to the mesh."""
    return [name for name in names if name in _LEFT_OUT and (Path(folder) / "mesh.json").exists()]


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def _held(state: State) -> Lock:
    lock = Lock.take(state)
    if lock is None:
        raise PlanError(f"the mesh in {state.home} runs", f"stop it first: localnet stop{option(state.home)}")
    return lock


# -- the commands ------------------------------------------------------------------------------------------------------


def _snapshot(args: argparse.Namespace, screen: Screen) -> int:
    state, shelf = State(args.state), Shelf(args.state)
    state.read(state.mesh)
    target = shelf.path(args.name)
    if target.exists():
        raise PlanError(
            f"there is a snapshot {args.name!r} already",
            f"localnet snapshots --delete {args.name}, or take another name",
        )
    ran = state.running()
    if ran:
        life.end(state)
        life.mark_stopped(state)
    lock = _held(state)
    try:
        reader = Reader(state)
        reader.look()
        about = {"schema": 1, "taken": SystemClock().now(), "status": reader.status, "how_far": reader.view.how_far()}
        copy(state.home, target)
        write(target / FILE, about)
    finally:
        lock.release()
    screen.say(f"kept {args.state} as {args.name}, in {reader.view.how_far()}: {size(_bytes(target))} in {target}")
    plain = {"name": args.name, "path": str(target), "bytes": _bytes(target), **about}
    if not (ran and reader.status == "stopped"):
        screen.result(plain)
        return exits.OK.code
    quiet = Screen(as_json=screen.as_json, plain=True, out=screen.err, err=screen.err)  # one object is enough
    words = life.START.parser("localnet").read(["--detach", "--state", str(args.state)])
    code = life.start(words, quiet)
    screen.result({**plain, "running": code == exits.OK.code})
    return code


def _restore(args: argparse.Namespace, screen: Screen) -> int:
    state, shelf = State(args.state), Shelf(args.state)
    source = shelf.find(args.name)
    if state.home.exists():
        state.prepare()  # what is not a mesh's is not replaced
    kept = ""
    lock = _held(state) if state.exists() else None
    try:
        fresh = state.home.with_name(f".{state.home.name}.restored")
        _remove(fresh)  # of a restore that was cut off
        copy(source, fresh)
        (fresh / FILE).unlink(missing_ok=True)
        if lock is not None:
            kept = _put_away(state, shelf)
        elif state.home.exists():
            state.delete()
        fresh.rename(state.home)
    finally:
        if lock is not None:
            lock.release()
    how = Reader(state)
    how.look()
    before = f"; what was there is kept as {kept}" if kept else ""
    screen.say(f"{args.state} is {args.name} again, in {how.view.how_far()}{before}")
    if how.status != "done":
        screen.say(f"go on  localnet start{option(args.state)}")
    screen.result({"name": args.name, "state": str(args.state), "status": how.status, "replaced": kept})
    return exits.OK.code


def _put_away(state: State, shelf: Shelf) -> str:
    """Move what is there out of the way, to where it can be had again."""
    shelf.place.mkdir(parents=True, exist_ok=True)
    away = shelf.path(REPLACED)
    _remove(away)
    reader = Reader(state)
    reader.look()
    about = {"schema": 1, "taken": SystemClock().now(), "status": reader.status, "how_far": reader.view.how_far()}
    write(state.home / FILE, about)
    state.home.rename(away)
    return REPLACED


def _snapshots(args: argparse.Namespace, screen: Screen) -> int:
    shelf = Shelf(args.state)
    if args.delete is not None:
        path = shelf.find(args.delete)
        gone = path.with_name(f".{path.name}.gone")
        _remove(gone)
        path.rename(gone)  # from here on it is none, however far the rest comes
        _remove(gone)
        if not any(shelf.place.iterdir()):
            shelf.place.rmdir()
        screen.say(f"deleted {args.delete}")
        screen.result({"deleted": args.delete})
        return exits.OK.code
    told = [{"name": name, **shelf.about(name), "bytes": _bytes(shelf.path(name))} for name in shelf.names()]
    rows = [
        (
            str(each["name"]),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(int(each.get("taken", 0)) / SECOND)),
            str(each.get("status", "?")),
            str(each.get("how_far", "?")),
            size(int(each["bytes"])),
        )
        for each in told
    ]
    if rows:
        screen.table(("SNAPSHOT", "TAKEN", "STATUS", "HOW FAR", "SIZE"), rows)
    else:
        screen.say(f"there are no snapshots of {args.state}")
    screen.result(
        {"state": str(args.state), "snapshots": [{k: v for k, v in e.items() if k != "schema"} for e in told]}
    )
    return exits.OK.code


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _named(parser: Parser) -> None:
    parser.add_argument("name", help="the snapshot's name")
    add_state(parser)


def _list_options(parser: Parser) -> None:
    parser.add_argument("--delete", metavar="NAME", help="delete this one instead")
    add_state(parser)


SNAPSHOT = Command(
    "snapshot",
    "keep a copy of a mesh; one that runs is stopped for it",
    "localnet snapshot before-attack",
    _named,
    _snapshot,
)
RESTORE = Command(
    "restore", "make a mesh what it was in a snapshot", "localnet restore before-attack", _named, _restore
)
SNAPSHOTS = Command("snapshots", "the copies that there are", "localnet snapshots", _list_options, _snapshots)

"""The files of one mesh, and who may touch them: a lock that lives exactly as long as the mesh's processes do."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pfd.errors import NotRunningError, PlanError, StorageError

DEFAULT = Path(".localnet/default")
_MARK = "mesh.json"
_TRIES, _TRY_AGAIN = 4, 0.02
_BEFORE = (f".{_MARK}.part", "lock")
"""What may be there of a mesh that was cut off before it was one."""


def option(home: Path) -> str:
    """How a command names this directory: ready to be typed, with the blank before it; empty for the usual one."""
    return "" if home == DEFAULT else f" --state {shlex.quote(str(home))}"


@dataclass(frozen=True)
class State:
    """A mesh's directory."""

    home: Path

    @property
    def mesh(self) -> Path:
        """The plan, and how far it came. Its presence marks the directory as ours."""
        return self.home / _MARK

    @property
    def task(self) -> Path:
        """The task that the nodes work on."""
        return self.home / "task.json"

    @property
    def past(self) -> Path:
        """What it has behind it: there as soon as its task is open."""
        return self.home / "past.json"

    @property
    def events(self) -> Path:
        """What was done to it on purpose."""
        return self.home / "events.jsonl"

    @property
    def chain(self) -> Path:
        """The embedded chain's own files."""
        return self.home / "chain"

    @property
    def report(self) -> Path:
        """The run, to be read in a browser."""
        return self.home / "report.html"

    @property
    def supervisor(self) -> Path:
        """Which process runs the mesh."""
        return self.home / "supervisor.json"

    @property
    def log(self) -> Path:
        """What a supervisor in the background has to say."""
        return self.home / "up.log"

    @property
    def zygote_log(self) -> Path:
        """What the process that holds the nodes had to say."""
        return self.home / "zygote.log"

    def node(self, name: str) -> Path:
        """One node's directory."""
        return self.home / "nodes" / name

    def names(self) -> list[str]:
        """The nodes that have a directory, in their natural order."""
        nodes = self.home / "nodes"
        if not nodes.is_dir():
            return []
        return sorted((entry.name for entry in nodes.iterdir() if entry.is_dir()), key=lambda name: (len(name), name))

    def exists(self) -> bool:
        """Whether a mesh was ever started here."""
        return self.mesh.is_file()

    def prepare(self) -> None:
        """Make the directory; StorageError when something else lives in it."""
        if self.home.exists() and not self.exists():
            strange = next((entry for entry in _entries(self.home) if entry.name not in _BEFORE), None)
            if strange is not None:
                raise StorageError(
                    f"{self.home} is not a mesh's directory: it holds {strange.name}",
                    "name another directory with --state; nothing was touched",
                )
        self.home.mkdir(parents=True, exist_ok=True)

    def delete(self) -> None:
        """Remove the directory. The mark goes last, so that a deletion that was cut short can be repeated."""
        if self.home.is_symlink():
            raise StorageError(f"{self.home} is a symbolic link", "remove it by hand")
        if not self.exists():
            self._delete_nothing()
            return
        self.empty()
        (self.home / "lock").touch()
        self.mesh.unlink()
        self._delete_nothing()

    def empty(self, *names: str) -> None:
        """Remove these, or all that a start left behind that came to nothing; what the mesh is, and its lock, stay."""
        for entry in _entries(self.home):
            if entry.name not in (_MARK, "lock") and (not names or entry.name in names):
                _remove(entry)

    def _delete_nothing(self) -> None:
        """The directory, if there is a lock in it and nothing else: nothing was ever started there."""
        names = {entry.name for entry in _entries(self.home)} if self.home.is_dir() else set()
        if not names or not names <= set(_BEFORE):
            return
        for name in names:
            (self.home / name).unlink()
        self.home.rmdir()
        parent = self.home.parent
        if parent.name == DEFAULT.parent.name and not any(parent.iterdir()):
            parent.rmdir()

    def read(self, path: Path) -> dict[str, Any]:
        """A JSON object that this package wrote."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise NotRunningError(
                f"there is no mesh in {self.home}", f"start one: localnet up{option(self.home)}"
            ) from error
        except ValueError as error:
            raise StorageError(f"{path} is damaged: {error}", self.anew) from error
        if not isinstance(value, dict):
            raise StorageError(f"{path} is damaged: it is not an object", self.anew)
        return value

    @property
    def anew(self) -> str:
        """What to do about files that cannot be used."""
        return f"start anew: localnet up --fresh{option(self.home)}"

    def running(self) -> bool:
        """Whether any process of a mesh holds this directory."""
        if not (self.home / "lock").exists():
            return False
        held = Lock.take(self, shared=True)
        if held is None:
            return True
        held.release()
        return False


@dataclass
class Lock:
    """The mesh's lock. The zygote inherits it: it is free only when the supervisor and all nodes are gone."""

    fd: int

    @classmethod
    def take(cls, state: State, *, shared: bool = False) -> Lock | None:
        """The lock, or None when somebody has it. Who only looks whether it is free does not keep others from looking.

        A look takes no time, so that whoever finds the lock taken tries again before giving up.
        """
        path = state.home / "lock"
        for tries_left in reversed(range(1 if shared else _TRIES)):
            held = cls._once(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            if held is not None:
                return held
            if tries_left:
                time.sleep(_TRY_AGAIN)
        return None

    @classmethod
    def _once(cls, path: Path, kind: int) -> Lock | None:
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return None
            if path.exists() and os.fstat(fd).st_ino == path.stat().st_ino:
                return cls(fd)
            os.close(fd)  # it was deleted between our opening and our locking it: what we hold protects nothing

    def release(self) -> None:
        """Let it go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def write(path: Path, value: Mapping[str, object]) -> None:
    """Write a JSON object, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def running_pid(state: State) -> int:
    """The supervisor's process; NotRunningError when there is no mesh or it does not run."""
    if not state.exists():
        raise NotRunningError(f"there is no mesh in {state.home}", f"start one: localnet up{option(state.home)}")
    if not state.running():
        fix = f"go on with localnet start{option(state.home)}, or start anew: localnet up --fresh{option(state.home)}"
        raise NotRunningError(f"the mesh in {state.home} does not run", fix)
    pid = state.read(state.supervisor).get("pid") if state.supervisor.exists() else None
    if not isinstance(pid, int) or pid <= 1:
        raise StorageError(
            f"{state.supervisor} names no process", f"start anew: localnet up --fresh{option(state.home)}"
        )
    return pid


def claim(state: State, *, fresh: bool) -> Lock:
    """Make this directory ours for a new mesh; PlanError, with the flag to use, when there is one already."""
    state.prepare()
    lock = Lock.take(state)
    if lock is None:
        raise PlanError(
            f"a mesh runs in {state.home}",
            f"end it with localnet down{option(state.home)}, or start another one with --state DIRECTORY",
        )
    if state.exists():
        if not fresh:
            lock.release()
            where = option(state.home)
            over = state.read(state.mesh).get("status") == "done"
            on = "" if over else f"go on with localnet start{where}, "
            raise PlanError(
                f"{state.home} holds a mesh that {'ended' if over else 'was stopped'}",
                f"{on}start over with localnet up --fresh{where} (deletes it), or keep it and use --state DIRECTORY",
            )
        state.delete()
        lock.release()
        return claim(state, fresh=False)
    return lock


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())

"""The one table of exit codes, for `p2pfd` and `localnet` alike, and which error ends in which."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from p2pfd import errors


@dataclass(frozen=True, slots=True)
class Exit:
    """A way to end: the number that a script sees, its name, and what it means."""

    code: int
    name: str
    meaning: str


OK = Exit(0, "ok", "the command did what it was asked to do")
BUG = Exit(1, "bug", "an error in p2pfd itself; the message names a file to report")
USAGE = Exit(2, "usage", "the command was typed in a way it does not take")
PLAN = Exit(3, "plan", "a plan, task, preset or file that cannot be carried out as it stands")
TIMEOUT = Exit(4, "time-out", "something did not happen in time; the message names the setting")
ASSERTION = Exit(5, "assertion", "a condition that was to be checked does not hold")
NOT_RUNNING = Exit(6, "not running", "there is no such mesh or node, or it does not run")
CHAIN = Exit(7, "chain", "the settlement chain refused, failed or did not answer")
NETWORK = Exit(8, "network", "the peer network refused, failed or did not answer")
MACHINE = Exit(9, "machine", "this machine lacks something: a package, disk, memory, a port, a readable file")
INTERRUPTED = Exit(130, "interrupted", "Ctrl-C, or the signal TERM or HUP")

TABLE = (OK, BUG, USAGE, PLAN, TIMEOUT, ASSERTION, NOT_RUNNING, CHAIN, NETWORK, MACHINE, INTERRUPTED)

KINDS: tuple[tuple[type[errors.P2pfdError], Exit], ...] = (
    (errors.UsageError, USAGE),
    (errors.PlanError, PLAN),
    (errors.DecodeError, PLAN),
    (errors.DeadlineError, TIMEOUT),
    (errors.AssertionUnmet, ASSERTION),
    (errors.NotRunningError, NOT_RUNNING),
    (errors.ChainError, CHAIN),
    (errors.NetworkError, NETWORK),
    (errors.EnvironmentProblem, MACHINE),
    (errors.StorageError, MACHINE),
)

FIXES = {
    errno.ENOSPC: "free some space on that disk, or point --state or TMPDIR at another one",
    errno.EDQUOT: "your quota on that disk is used up: free some space, or point --state at another disk",
    errno.EFBIG: "the file would grow past the limit that `ulimit -f` shows: raise it",
    errno.EADDRINUSE: "another program listens there: choose another port, or leave the choice to the command",
    errno.EADDRNOTAVAIL: "that address is not one of this machine's",
    errno.EACCES: "check who owns it and who may write it",
    errno.EPERM: "check who owns it and who may write it",
    errno.EROFS: "that disk is read-only: point --state at another one",
    errno.ENOTDIR: "a file stands where a directory is needed: name another path",
    errno.EISDIR: "a directory stands where a file is needed: name another path",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.ELOOP: "symbolic links there lead in a circle: name another path",
    errno.EIO: "the disk itself failed: look at the system's log, or name a directory on another one",
    errno.EMFILE: "too many open files: raise the limit with `ulimit -n`, or take fewer nodes",
    errno.ENFILE: "the whole machine has too many open files: close some programs",
    errno.ENOMEM: "not enough memory: take fewer nodes, or close some programs",
    errno.EAGAIN: "this user may start no more processes: see `ulimit -u`",
}


def of(error: BaseException) -> Exit:
    """How a command ends that fails with this error."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    for kind, way in KINDS:
        if isinstance(error, kind):
            return way
    return BUG


def known(error: BaseException) -> errors.P2pfdError | None:
    """The error as one of ours, when it says something about the machine or is ours already; None for a bug."""
    if isinstance(error, errors.P2pfdError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.split(".")[0] not in _OURS:
        package = error.name.split(".")[0]
        return errors.EnvironmentProblem(
            f"the package {package} is not installed", "run `make install`, or `pip install p2pfd` in this environment"
        )
    if isinstance(error, MemoryError):
        return errors.EnvironmentProblem("there is not enough memory", FIXES[errno.ENOMEM])
    if isinstance(error, OSError) and error.errno in FIXES:
        where = f" ({error.filename})" if error.filename else ""
        return errors.EnvironmentProblem(f"{error.strerror}{where}", FIXES[error.errno])
    return None


_OURS = ("p2pfd", "p2pfd_adapters", "p2pfd_localnet")

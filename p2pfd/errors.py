"""The one tree of exceptions. Each error a person can see says what happened, to what, and what to do next.

P2pfdError
├── UsageError            a command was typed in a way it does not take
├── PlanError             a task, a setting or a plan that cannot be carried out
├── EnvironmentProblem    this machine lacks something: a package, disk, memory, a port
├── DeadlineError         something did not happen in time
├── AssertionUnmet        a gate for scripts did not hold
├── NotRunningError       there is no such mesh or node, or it does not run
├── ChainError            the settlement chain refused, failed or did not answer
├── NetworkError          the peer network refused, failed or did not answer
├── StorageError          the node's own files are missing, foreign or damaged
└── DecodeError           bytes from elsewhere that do not mean anything we accept
"""

from __future__ import annotations

from collections.abc import Mapping


class P2pfdError(Exception):
    """Base of every error this project raises on purpose."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}: {self.fix}" if self.fix else self.what

    def to_plain(self) -> dict[str, str]:
        """As a table, on its way to another process: its kind is the nearest one that stands here."""
        kind = next(one for one in type(self).__mro__ if one.__module__ == __name__)
        return {"error": self.what, "fix": self.fix, "kind": kind.__name__}


class UsageError(P2pfdError):
    """A command was typed in a way it does not take."""


class PlanError(P2pfdError):
    """A task, a setting or a plan cannot be carried out as it stands."""


class EnvironmentProblem(P2pfdError):  # noqa: N818 - EnvironmentError is a name of the language
    """This machine lacks something that the command needs."""


class DeadlineError(P2pfdError):
    """Something did not happen within its time."""


class AssertionUnmet(P2pfdError):  # noqa: N818 - AssertionError is a name of the language
    """A condition that a script waits for or checks does not hold."""


class NotRunningError(P2pfdError):
    """There is no such mesh or node, or it does not run."""


class ChainError(P2pfdError):
    """The settlement chain refused, failed or did not answer."""


class NetworkError(P2pfdError):
    """The peer network refused, failed or did not answer."""


class StorageError(P2pfdError):
    """The node's own files are missing, belong to something else, or are damaged."""


class DecodeError(P2pfdError):
    """Bytes from a peer, a chain or a disk that mean nothing we accept; the reason says why."""


def error_of(told: Mapping[str, object]) -> P2pfdError:
    """The error that a table from another process tells of, of the kind that it was."""
    kind = next((known for known in _KINDS if known.__name__ == told.get("kind")), P2pfdError)
    return kind(str(told.get("error", "")), str(told.get("fix", "")))


_KINDS = (
    UsageError,
    PlanError,
    EnvironmentProblem,
    DeadlineError,
    AssertionUnmet,
    NotRunningError,
    ChainError,
    NetworkError,
    StorageError,
    DecodeError,
)

"""Errors on their way from one process to another, where they are to be what they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2pfd.cli import exits
from p2pfd.errors import P2pfdError


def plain_error(error: P2pfdError) -> dict[str, str]:
    """An error as a table."""
    return {"error": error.what, "fix": error.fix, "kind": type(error).__name__}


def error_of(told: Mapping[str, Any]) -> P2pfdError:
    """The error that a table tells of, of the kind that it was."""
    kind = next((known for known, _ in exits.KINDS if known.__name__ == told.get("kind")), P2pfdError)
    return kind(str(told["error"]), str(told.get("fix", "")))

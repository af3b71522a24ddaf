"""The command `p2pfd`. What it needs is imported once signals are minded."""

from __future__ import annotations

from p2pfd.cli import start


def main() -> int:
    """Run `p2pfd`; the exit code."""
    return start.run(_program)


def _program() -> int:
    from p2pfd.cli.program import PROGRAM

    return PROGRAM.main()

"""The command `localnet`. What it needs is imported once signals are minded, and no more than that of it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import MappingProxyType

from p2pfd.cli import start

AT_ONCE: Mapping[str, str] = MappingProxyType(
    {
        "up": "up:UP",
        "status": "status:STATUS",
        "logs": "commands:LOGS",
        "wait": "gate:WAIT",
        "stop": "life:STOP",
        "start": "life:START",
        "down": "life:DOWN",
    }
)
"""Where commands are that should not wait for the import of all others."""


def main() -> int:
    """Run `localnet`; the exit code."""
    return start.run(_program)


def _program() -> int:
    named = next((word for word in sys.argv[1:] if word not in ("--json", "--plain")), "")
    module, _, name = AT_ONCE.get(named, "").partition(":")
    if not module:
        from p2pfd_localnet.program import PROGRAM

        return PROGRAM.main()
    from p2pfd.cli.app import Program

    command = getattr(importlib.import_module(f"p2pfd_localnet.{module}"), name)
    return Program(name="localnet", summary="", example="", commands=(command,)).main()

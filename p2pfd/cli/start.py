"""The first moments of a command: Ctrl-C, TERM and HUP end it in order while its libraries are still being imported."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

_INTERRUPTED = '{"schema": 1, "error": {"code": 130, "name": "interrupted", "what": "", "fix": ""}}\n'


def run(program: Callable[[], int]) -> int:
    """Run a program, from the import of its parts on; the exit code."""
    try:  # a signal may come as soon as it is minded, so that the minding, too, belongs in here
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored, and it stays so
            signal.signal(signal.SIGHUP, _as_term)
        return program()
    except KeyboardInterrupt:  # the program itself ends in order from its first line on: this came before
        if "--json" in sys.argv:
            sys.stdout.write(_INTERRUPTED)
        return 130


def _as_term(_number: int, _frame: FrameType | None) -> None:
    """Whoever minds TERM in an orderly way need not know of HUP."""
    signal.raise_signal(signal.SIGTERM)

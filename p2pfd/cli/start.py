"""The first moments of a command: Ctrl-C, TERM and HUP end it in order while its libraries are still being imported."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

_CODE = 130
_AGAIN_SECONDS = 0.01
_INTERRUPTED = '{"schema": 1, "error": {"code": 130, "name": "interrupted", "what": "", "fix": ""}}\n'


def run(program: Callable[[], int]) -> int:
    """Run a program, from the import of its parts on; the exit code.

    One that was interrupted ends here: the interpreter may have noted the interrupt as one that nobody handled, as
    when it came while an extension ran a piece of Python, and would end by the signal instead of with the code.
    """
    code = _run(program)
    if code == _CODE:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it is done: what comes now changes nothing, nor how it ends
    return code


def _run(program: Callable[[], int]) -> int:
    try:  # a signal may come as soon as it is minded, so that the minding, too, belongs in here
        sys.unraisablehook = _not_lost
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored, and it stays so
            signal.signal(signal.SIGHUP, _as_term)
        return program()
    except KeyboardInterrupt:  # the program itself ends in order from its first line on: this came before
        if "--json" in sys.argv:
            sys.stdout.write(_INTERRUPTED)
        return _CODE


def _not_lost(lost: sys.UnraisableHookArgs) -> None:
    """Python drops what is raised while it tidies up, as after an import. An interrupt is not to be dropped: it comes
    once more, a moment later, for whoever minds it then.
    """
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    signal.signal(signal.SIGALRM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)


def _as_term(_number: int, _frame: FrameType | None) -> None:
    """Whoever minds TERM in an orderly way need not know of HUP."""
    signal.raise_signal(signal.SIGTERM)

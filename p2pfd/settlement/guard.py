"""``python guard.py COMMAND...``: run a program that knows nothing of parents, and end it when the parent is gone.

Its standard input is a pipe from the parent: at its end, and on SIGTERM, the program is asked to stop, and made to if
it does not. First it prints the program's process id. It imports the standard library only, so that it costs little.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

STOP_SECONDS = 4.0


def main(command: Sequence[str]) -> int:
    """The program's exit code, as a shell would tell it."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), start_new_session=True) as run:  # noqa: S603 - our caller's command
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_end, args=(run,), daemon=True).start())
        threading.Thread(target=_when_orphaned, args=(run,), daemon=True).start()
        sys.stdout.write(f"{run.pid}\n")
        sys.stdout.flush()
        code = run.wait()
    return code if code >= 0 else 128 - code


def _when_orphaned(run: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    _end(run)


def _end(run: subprocess.Popen[bytes]) -> None:
    run.terminate()
    try:
        run.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        run.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

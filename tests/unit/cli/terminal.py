"""Commands as processes of their own, and a person at a terminal who answers them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Sequence

ASKS = (b": ", b"] ")
"""How questions end."""
PROGRAM_ALONE = "import sys; from p2pfd.cli.main import main; sys.exit(main())"
# A process becomes a terminal's by opening it, when it leads a session: only then Ctrl-C reaches it.
AT_ITS_TERMINAL = "import os; os.open(os.ttyname(0), os.O_RDWR); " + PROGRAM_ALONE


def typed(words: Sequence[str], *lines: str) -> tuple[int, str]:
    """Run a command at a terminal, answer each of its questions with a line; its exit code and all that was shown."""
    ours, its = pty.openpty()
    command = [sys.executable, "-c", AT_ITS_TERMINAL, *words]
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, start_new_session=True) as child:
        os.close(its)
        shown = b""
        waiting = list(lines)
        while part := _read(ours):
            shown += part
            if waiting and shown.endswith(ASKS):
                os.write(ours, waiting.pop(0).encode())
        os.close(ours)
        code = child.wait(timeout=30)
    assert waiting == []
    return code, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1024)
    except OSError:  # this is how Linux tells that nobody has the other end any more
        return b""

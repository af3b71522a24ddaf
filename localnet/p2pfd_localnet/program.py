"""The commands of `localnet`."""

from __future__ import annotations

from p2pfd.cli.app import Program
from p2pfd.cli.completion import completion
from p2pfd_localnet.commands import LOGS, PRESETS_COMMAND
from p2pfd_localnet.gate import WAIT
from p2pfd_localnet.keeping import KEEPING
from p2pfd_localnet.life import DOWN, START, STOP
from p2pfd_localnet.nouns import NOUNS
from p2pfd_localnet.status import STATUS
from p2pfd_localnet.up import UP

PROGRAM: Program = Program(
    name="localnet",
    summary="Local meshes: real nodes, real sockets, a real chain, on one machine.",
    example="localnet up",
    commands=(
        *(UP, STATUS, LOGS, WAIT, STOP, START, DOWN),
        *KEEPING,
        *NOUNS,
        *(PRESETS_COMMAND, completion("localnet", lambda: PROGRAM)),
    ),
)

"""The commands of `p2pfd`."""

from __future__ import annotations

from p2pfd.cli.adapters import ADAPTERS
from p2pfd.cli.app import Program
from p2pfd.cli.bench import BENCH
from p2pfd.cli.boards import PUBLISH
from p2pfd.cli.completion import completion
from p2pfd.cli.contracts import CONTRACTS
from p2pfd.cli.data import DATA
from p2pfd.cli.doctor import DOCTOR
from p2pfd.cli.evidence import EXPLAIN, VERIFY
from p2pfd.cli.experiment import EXPERIMENT
from p2pfd.cli.incentives import INCENTIVES
from p2pfd.cli.keys import KEYS
from p2pfd.cli.leave import LEAVE
from p2pfd.cli.money import BALANCE, STAKE, UNSTAKE, WITHDRAW
from p2pfd.cli.node import JOIN, RUN
from p2pfd.cli.relay import RELAY
from p2pfd.cli.sim import SIM
from p2pfd.cli.task import TASK
from p2pfd.cli.version import VERSION

PROGRAM: Program = Program(
    name="p2pfd",
    summary="Peer-to-peer federated distillation: learn together without a server, paid on a chain.",
    example="p2pfd sim -n 100 --rounds 10",
    commands=(
        KEYS,
        JOIN,
        RUN,
        RELAY,
        SIM,
        EXPERIMENT,
        INCENTIVES,
        BENCH,
        DATA,
        ADAPTERS,
        TASK,
        PUBLISH,
        BALANCE,
        STAKE,
        UNSTAKE,
        WITHDRAW,
        LEAVE,
        DOCTOR,
        VERIFY,
        EXPLAIN,
        CONTRACTS,
        completion("p2pfd", lambda: PROGRAM),
        VERSION,
    ),
)

"""At a terminal of 80 and of 120 columns, on a pipe, with NO_COLOR and on a dumb terminal: what is written fits."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.plan import UNIT, change
from p2pfd_localnet.presets import find
from p2pfd_localnet.summary import summarise
from p2pfd_localnet.view import MeshView
from p2pfd_localnet.words import Words, status_rows

from p2pfd.cli.screen import Screen
from p2pfd.core.ids import Account
from p2pfd.incentives.audit import Audit

CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
WIDTHS = [80, 120]


class Terminal:
    """A terminal of so many columns, and what was written to it."""

    def __init__(self, columns: int) -> None:
        self._ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.out: TextIO = os.fdopen(its, "w", encoding="utf-8")

    def lines(self) -> list[str]:
        """What stands on its lines; of a line that was redrawn each state."""
        os.set_blocking(self._ours, False)
        raw = b""
        try:
            while part := os.read(self._ours, 65_536):
                raw += part
        except OSError:
            pass  # there is nothing more
        return [CONTROL.sub("", line) for line in re.split(r"[\r\n]+", raw.decode())]

    def close(self) -> None:
        self.out.close()
        os.close(self._ours)


@pytest.fixture(params=WIDTHS, ids=lambda columns: f"{columns} columns")
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal(request.param)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("COLUMNS", str(request.param))
    yield made
    made.close()


def mesh(nodes: int = 64) -> MeshView:
    """A mesh of many nodes with long figures."""
    plan = change(find("digits"), nodes=nodes, rounds=1_000)
    view = MeshView(plan.names(), plan.rounds)
    for place, name in enumerate(plan.names()):
        where = {"addresses": [f"/ip4/127.0.0.1/tcp/{40_000 + place}/p2p/12D3"], "account": f"0x{place:040x}"}
        view.take(NodeEvent(1, name, "node.started", {"pid": 4_194_304, "peer": "12D3KooW" + "x" * 44}))
        view.take(NodeEvent(1, name, "node.listening", where))
        view.take(NodeEvent(1, name, "round.opened", {"round": 998, "workers": nodes}))
        view.take(NodeEvent(1, name, "round.committed", {"round": 998, "have": nodes, "of": nodes}))
        view.take(NodeEvent(1, name, "round.revealed", {"round": 998, "have": nodes - 1, "of": nodes}))
        view.take(NodeEvent(1, name, "round.absorbed", {"round": 997, "accuracy": 0.98765}))
        view.take(NodeEvent(1, name, "round.paid", {"round": 997, "account": f"0x{place:040x}", "amount": 10**12}))
    return view


def test_a_round_that_is_redrawn_never_wraps(terminal: Terminal, tmp_path: Path) -> None:
    screen = Screen(out=terminal.out, env={"TERM": "xterm"})
    assert screen.fancy
    words = Words(screen, tmp_path / "a-directory-with-a-long-name" / "default")
    words.progress(mesh())
    width = int(os.environ["COLUMNS"])
    drawn = [line for line in terminal.lines() if line.startswith("round")]
    assert drawn
    assert max(map(len, drawn)) < width, "what wraps cannot be redrawn"


def test_the_table_of_nodes_fits(terminal: Terminal, tmp_path: Path) -> None:
    screen, view = Screen(out=terminal.out, env={"TERM": "xterm"}), mesh()
    words = Words(screen, tmp_path)
    words.ready(view, change(find("digits"), nodes=64), 4.2, "http://127.0.0.1:40531")
    screen.table(("NODE", "ROUND", "ACCURACY", "PAID", "ADDRESS", "STATE"), status_rows(view, running=True))
    rows = [line for line in terminal.lines() if line.startswith("  ")]
    assert len(rows) > 130
    table = [row for row in rows if re.match(r"  (node-\d|NODE)", row)]
    assert max(map(len, table)) <= 80, "rows of a table do not wrap even on a small terminal"


@pytest.mark.parametrize(
    ("plain", "env"),
    [(True, {"TERM": "xterm"}), (False, {"TERM": "xterm", "NO_COLOR": "1"}), (False, {"TERM": "dumb"})],
    ids=["--plain", "NO_COLOR", "dumb"],
)
def test_without_colour_nothing_is_redrawn_and_no_escape_is_written(
    terminal: Terminal, tmp_path: Path, plain: bool, env: dict[str, str]
) -> None:
    screen = Screen(out=terminal.out, err=terminal.out, plain=plain, env=env)
    tell_all(screen, tmp_path)
    os.set_blocking(terminal._ours, False)
    raw = os.read(terminal._ours, 1 << 20)
    assert b"\x1b" not in raw
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert "█".encode() not in raw


def test_a_pipe_gets_no_escapes(tmp_path: Path) -> None:
    out = io.StringIO()
    tell_all(Screen(out=out, err=out, env={"TERM": "xterm"}), tmp_path)
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()


def tell_all(screen: Screen, home: Path) -> None:
    """Everything that `localnet up` says, from the plan to the end."""
    plan, view = change(find("digits"), nodes=12), mesh(12)
    words = Words(screen, home)
    words.plan(plan)
    words.ready(view, plan, 1.0)
    words.progress(view)
    for name in plan.names():
        ends = {"accuracy_together": 0.9, "accuracy_alone": 0.6, "bytes_sent": 10**9, "fedavg_bytes": 10**12}
        view.take(NodeEvent(1, name, "node.finished", ends))
    words.progress(view)
    payouts = {Account(f"0x{place:040x}"): place * UNIT for place in range(12)}
    words.end(summarise(plan, view, 1.0, payouts, Audit({}, 1, 12, ()), "report.html"))

"""The link with which one can act on a mesh is for a terminal, and for no log."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import PRESETS
from p2pfd_localnet.view import MeshView
from p2pfd_localnet.words import Words

from p2pfd.cli.screen import Screen

LINK = "http://127.0.0.1:1/#token=secret"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("out", "seen"), [(Terminal(), True), (io.StringIO(), False)], ids=["terminal", "log"])
def test_the_link_is_for_a_terminal(out: io.StringIO, seen: bool) -> None:
    plan = change(PRESETS[0], nodes=2)
    words = Words(Screen(out=out, env={"NO_COLOR": "1"}), Path("here"))
    words.ready(MeshView(plan.names(), 1), plan, 1.0, "http://127.0.0.1:1/", LINK)
    assert "watch   http://127.0.0.1:1/\n" in out.getvalue()
    assert (LINK in out.getvalue()) is seen

"""The reference page lists every setting as the code has it."""

from __future__ import annotations

import re
from pathlib import Path

from p2pfd_adapters import fedavg, fedkd, gossip, oppcl
from p2pfd_adapters.cfd import KNOBS

from p2pfd import plugins
from p2pfd.learning.knobs import Flag, defaults
from p2pfd.learning.local import LOCAL

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "learning.md"


def test_the_page_has_every_setting_with_its_default_and_range() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| (.+?) \| .+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    expected = [
        (name, str(knob.default).lower() if isinstance(knob, Flag) else str(knob.default), knob.legal)
        for name, knob in KNOBS.items()
    ]
    assert rows == expected


def test_defaults_are_legal() -> None:
    for name, value in defaults(KNOBS).items():
        assert KNOBS[name].read(value) is not None, name


def test_the_page_of_adapters_has_every_setting_of_theirs() -> None:
    page = (PAGE.parent / "adapters.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \| `([^`]+)` \| (.+?) \| .+ \|$", page, re.MULTILINE)
    expected = [
        (module.__name__.rpartition(".")[2], name, str(knob.default).lower(), knob.legal)
        for module in (fedavg, gossip, oppcl, fedkd)
        for name, knob in module.KNOBS.items()
        if LOCAL.get(name) != knob
    ]
    assert rows == expected


def test_the_page_of_adapters_names_all_that_there_is() -> None:
    page = (PAGE.parent / "adapters.md").read_text(encoding="utf-8")
    for group in ("adapters", "aggregators", "codecs"):
        for name in plugins.names(f"p2pfd.{group}"):
            assert f"`{name}" in page, name

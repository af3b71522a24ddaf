"""The reference page lists every setting as the code has it."""

from __future__ import annotations

import re
from pathlib import Path

from p2pfd_adapters.cfd import KNOBS

from p2pfd.learning.knobs import Flag, defaults

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

"""The behaviour in docs/howto/experiments.md, written out and offered as its page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pfd import plugins
from p2pfd.behaviours import GROUP, Scene, behaviour_class, check
from p2pfd.core.ids import Account, TaskId
from p2pfd.core.rng import Rng
from p2pfd.roles.work import Studied

PAGE = Path(__file__).parents[3] / "docs/howto/experiments.md"


def test_the_page_shows_a_behaviour_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = PAGE.read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n# greedy\.py\n(.*?)```", page, re.DOTALL)
    [offer] = re.findall(r'\[project\.entry-points\."p2pfd\.behaviours"\]\n(.*?)```', page, re.DOTALL)
    (tmp_path / "greedy.py").write_text(code)
    meta = tmp_path / "greedy-1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: greedy\nVersion: 1\n")
    (meta / "entry_points.txt").write_text(f"[{GROUP}]\n{offer.replace(chr(34), '')}")
    monkeypatch.syspath_prepend(tmp_path)
    assert "ninety" in plugins.names(GROUP)
    check("ninety", 10)
    kind, _ = behaviour_class("ninety")
    scene = Scene(TaskId(bytes(32)), Account("0x" + "11" * 20), 1000, 10, Rng(1), Rng(2))
    told = kind(scene).alters(Studied(bytes([3]) * 1000))
    assert isinstance(told, Studied)
    assert set(told.labels) == {0, 3}
    assert 60 < told.labels.count(0) < 140


def test_the_page_names_every_behaviour():
    page = PAGE.read_text(encoding="utf-8")
    for name in plugins.names(GROUP):
        assert f"`{name}`" in page

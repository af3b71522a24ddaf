"""Plug-ins are found by name, and a wrong name is answered with the right ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from p2pfd_adapters.cfd import Cfd

from p2pfd import plugins
from p2pfd.errors import EnvironmentProblem, PlanError


def test_the_adapter_is_there() -> None:
    assert "cfd" in plugins.names("p2pfd.adapters")
    assert plugins.load("p2pfd.adapters", "cfd") is Cfd


def test_an_unknown_name_lists_the_legal_ones() -> None:
    with pytest.raises(PlanError, match=r"no 'cdf' among p2pfd.adapters: the names are: .*cfd"):
        plugins.load("p2pfd.adapters", "cdf")


def test_an_empty_group_says_so() -> None:
    assert plugins.names("p2pfd.nothing") == ()
    with pytest.raises(PlanError, match="none is installed"):
        plugins.load("p2pfd.nothing", "x")


def test_a_plug_in_of_another_package_is_found_and_a_broken_one_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = tmp_path / "stranger-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[p2pfd.adapters]\nodd = stranger_module:Odd\nlost = no_such_module:X\n")
    (tmp_path / "stranger_module.py").write_text("class Odd:\n    name = 'odd'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert {"cfd", "lost", "odd"} <= set(plugins.names("p2pfd.adapters"))
    assert plugins.load("p2pfd.adapters", "odd").name == "odd"
    with pytest.raises(EnvironmentProblem, match=r"'lost' \(no_such_module:X\) does not load"):
        plugins.load("p2pfd.adapters", "lost")
    sys.modules.pop("stranger_module")

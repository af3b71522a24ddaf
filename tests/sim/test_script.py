"""Scripts of faults: what is written is read again, and what is wrong is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.sim import script
from p2pfd.sim.faults import (
    Absence,
    ChainAway,
    Churn,
    Delay,
    Disaster,
    Duplicates,
    Fault,
    Loss,
    Partition,
)

EVERYTHING: tuple[Fault, ...] = (
    Absence(3, Tick(1_500_000), Tick(4 * SECOND)),
    Loss(Tick(0), Tick(20 * SECOND), 200_000),
    Absence(4, Tick(1)),
    Churn(Tick(0), Tick(9 * SECOND), 250_000, SECOND // 2, 3 * SECOND),
    Partition(Tick(SECOND), Tick(2 * SECOND), 7),
    Delay(Tick(0), Tick(SECOND), 100_000, 1_234_567),
    Duplicates(Tick(0), Tick(SECOND), 1_000_000),
    ChainAway(Tick(0), Tick(SECOND)),
    Disaster(Tick(5 * SECOND), 333_333, "relays"),
)


def test_what_is_written_is_read_again_in_its_order():
    assert script.parse(script.write(EVERYTHING), 20) == EVERYTHING


def test_a_script_by_hand():
    text = """
    # a bad evening
    [[disaster]]
    at = 10
    whom = "holders"
    share = "12.5%"
    [["loss"]]
    share = 1
    "from" = 0.25
    to = 1e1
    """
    assert script.parse(text, 8) == (
        Disaster(Tick(10 * SECOND), 125_000, "holders"),
        Loss(Tick(250_000), Tick(10 * SECOND), 1_000_000),
    )
    assert script.parse("", 8) == ()


@pytest.mark.parametrize(
    ("text", "said", "fix"),
    [
        ("[[los]]\nshare = 1", "line 1: there is no fault 'los'", "did you mean loss? the choice is absence, churn"),
        ("\n[[loss]]\nfrom = 0\nto = 2\nshere = 1", "line 5: loss has no key 'shere'", "did you mean share?"),
        ("[[loss]]\nfrom=0\nto=1\nshare=1\n[[loss]]\nform = 1", "line 6: loss has no key 'form'", "from, to, share"),
        ("[[loss]]\nfrom = 0\nto = 2\nshare = '2'", "line 4: loss.share is '2'", 'such as 0.2 or "20%"'),
        ("[[loss]]\nfrom = true\nto = 2\nshare = 0", "line 2: loss.from is True", "a number of seconds"),
        ("[[loss]]\nfrom = nan\nto = inf\nshare = 0", "line 2: loss.from is nan", "a number of seconds"),
        ("[[loss]]\nfrom = 0\nto = 2\nshare = 1.5", "line 1: loss: a share of 1500000", "1,000,000"),
        ("[[loss]]\nfrom = 2\nto = 2\nshare = 1", "line 1: loss: it ends before it begins", "let it end later"),
        ("[[loss]]\nfrom = 2", "line 1: loss lacks to, share", "its keys are from, to, share"),
        ("a = 1\n", "line 1: there is no fault 'a'", "the choice is"),
        ("x = 1\nloss = 1\n[[churn]]", "line 1: there is no fault 'x'", "the choice is"),
        ("[loss]\nfrom = 1", "line 1: loss is no list of tables", "[[loss]]"),
        ("[[absence]]\nnode = 20\nfrom = 1", "line 1: absence: there is no node 20", "nodes are 0 to 19"),
        ("[[absence]]\nnode = 1.0\nfrom = 1", "line 2: absence.node is 1.0", "whole number"),
        ("[[absence]]\nnode = 1\nfrom = 0", "line 1: absence: it begins before anything", "after 0 seconds"),
        ("[[partition]]\ncut = 20\nfrom=0\nto=1", "line 1: partition: cut at 20", "1 to 19"),
        ("[[disaster]]\nat=1\nshare=0\nwhom = 'me'", "line 4: disaster.whom is 'me'", "relays, holders, anyone"),
        ("[[delay]]\nfrom=0\nto=1\nleast=2\nmost=1", "line 1: delay: the shortest is longer", "let them rise"),
        ("[[loss]\n", "not TOML", "each fault is a table"),
        ("a = " + "[" * 5000, "not TOML", "each fault is a table"),
    ],
    ids=range(20),
)
def test_what_is_wrong_is_named_with_its_line(text: str, said: str, fix: str):
    with pytest.raises(PlanError) as caught:
        script.parse(text, 20)
    assert said in caught.value.what
    assert fix in caught.value.fix


def test_a_file_that_is_none_says_so(tmp_path: Path):
    with pytest.raises(PlanError, match="No such file"):
        script.read(tmp_path / "none.toml", 3)
    with pytest.raises(PlanError, match="directory"):
        script.read(tmp_path, 3)
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="not UTF-8"):
        script.read(tmp_path / "odd.toml", 3)
    (tmp_path / "big.toml").write_bytes(b"#" * (script.MAX_BYTES + 1))
    with pytest.raises(PlanError, match="more than"):
        script.read(tmp_path / "big.toml", 3)
    (tmp_path / "good.toml").write_text(script.write(EVERYTHING))
    assert script.read(tmp_path / "good.toml", 20) == EVERYTHING

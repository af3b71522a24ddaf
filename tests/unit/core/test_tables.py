"""Tables that people write: what is wrong is named, with the line on which it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from p2pfd.core.tables import Text, changed, did_you_mean
from p2pfd.errors import PlanError


@dataclass(frozen=True)
class Inner:
    partition: str = "iid"
    public: int = 3


@dataclass(frozen=True)
class Outer:
    nodes: int = 10
    loss: float = 0.0
    wanted: bool = False
    codecs: tuple[str, ...] = ()
    data: Inner = field(default_factory=Inner)
    settings: Mapping[str, object] = field(default_factory=lambda: {"epochs": 1})


FILE = Text(
    "my.toml",
    """# a comment
nodes = 3

[data]   # where from
partition = "iid"
"public" = 4

[[cases]]
name = "one"
[cases.data]
public = 1

[[cases]]
name = "two"
data.public = 2
grid = { nodes = [1], loss = [0.5] }
""",
)


def test_values_take_the_place_of_defaults():
    new = changed(Outer(), {"nodes": 3, "loss": 1, "data": {"public": 7}, "settings": {"rate": "0.1"}}, FILE)
    assert new == Outer(nodes=3, loss=1.0, data=Inner(public=7), settings={"epochs": 1, "rate": "0.1"})
    assert type(new.loss) is float
    assert changed(Outer(), {"codecs": ["a", "b"], "wanted": True}, FILE).codecs == ("a", "b")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("nodes",), 2),
        (("data",), 4),
        (("data", "partition"), 5),
        (("data", "public"), 6),
        (("cases", 0, "name"), 9),
        (("cases", 0, "data", "public"), 11),
        (("cases", 1, "name"), 14),
        (("cases", 1, "data", "public"), 15),
        (("cases", 1, "grid", "loss"), 16),
    ],
)
def test_a_key_is_found_on_its_line(path, line):
    assert FILE.at(*path) == f"my.toml, line {line}"


def test_what_does_not_stand_in_the_text_is_told_by_the_name_alone():
    assert FILE.at("nowhere") == "my.toml"
    assert Text("preset small").at("nodes") == "preset small"


@pytest.mark.parametrize(
    ("values", "what", "fix"),
    [
        ({"node": 3}, "there is no key 'node'", "did you mean nodes?"),
        ({"data": {"partitoin": "iid"}}, "line 4: there is no key 'data.partitoin'", "did you mean partition?"),
        ({"nodes": "3"}, "line 2: nodes is '3'", "a whole number"),
        ({"nodes": True}, "line 2: nodes is True", "a whole number"),
        ({"nodes": {"a": 1}}, "nodes is {'a': 1}", "a whole number"),
        ({"loss": "much"}, "loss is 'much'", "a number"),
        ({"loss": False}, "loss is False", "a number"),
        ({"wanted": 1}, "wanted is 1", "true or false"),
        ({"data": 4}, "line 4: data is not a table", "write [data]"),
        ({"settings": []}, "settings is not a table", "write [settings]"),
        ({"codecs": "raw"}, "codecs is not a list of names", 'codecs = ["…"]'),
        ({"data": {"partition": 7}}, "line 5: data.partition is 7", "text"),
        ({"data": {"partition": ["x" * 100]}}, "…", "text"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_what_does_not_fit_is_named_with_its_line(values, what, fix):
    with pytest.raises(PlanError) as caught:
        changed(Outer(), values, FILE)
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert caught.value.what.startswith("my.toml")


def test_keys_can_be_kept_from_those_who_write():
    with pytest.raises(PlanError, match="no key 'codecs'"):
        changed(Outer(), {"codecs": []}, FILE, skip=("codecs",))


def test_a_word_far_from_all_others_gets_no_guess():
    assert did_you_mean("zzz", ("nodes", "rounds")) == "the choice is nodes, rounds"

"""The task's digest, and the errors of a spec that cannot be: each names the key that is wrong."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from p2pfd.core.canonical import decode, encode
from p2pfd.core.ids import Account, Amount
from p2pfd.core.spec import (
    LATER,
    MOST_NODES,
    NO_CHAIN,
    ChainSpec,
    DataSpec,
    MoneySpec,
    PhaseSpec,
    TaskSpec,
    from_plain,
)
from p2pfd.errors import PlanError

TOKEN = Account("0x" + "1" * 40)
MARKET = Account("0x" + "2" * 40)
SPEC = TaskSpec(
    name="digits",
    data=DataSpec("digits", b"h" * 32, 10, "dirichlet", 7, public=200, validation=100, test=300),
    adapter="cfd",
    settings={"epochs": 3, "rate": "0.05", "soft": False},
    aggregator="majority",
    codecs=("pack",),
    rounds=20,
    seats=5,
    quorum=3,
    phases=PhaseSpec(60, 30, 30),
    money=MoneySpec(Amount(1000), Amount(10), Amount(500), Amount(100)),
    chain=ChainSpec("anvil", 31337, TOKEN, MARKET),
)
PLAIN = SPEC.to_plain()


def _with(path: str, value: object) -> dict[str, Any]:
    plain: dict[str, Any] = copy.deepcopy(PLAIN)
    *parents, last = path.split(".")
    record = plain
    for parent in parents:
        record = record[parent]
    record[last] = value
    return plain


def _without(path: str) -> dict[str, Any]:
    plain = _with(path, None)
    *parents, last = path.split(".")
    record = plain
    for parent in parents:
        record = record[parent]
    del record[last]
    return plain


def test_a_spec_survives_its_plain_form_and_bytes() -> None:
    assert from_plain(PLAIN) == SPEC
    raw = encode(PLAIN)
    assert from_plain(decode(raw, limit=len(raw))) == SPEC
    assert from_plain(PLAIN).id == SPEC.id


def test_the_id_never_changes() -> None:
    assert SPEC.id.hex() == "e9359bea161ecd2a172abe55be4c4ec799d20e2211c54c59c39f166c1a492337"


def test_the_id_does_not_depend_on_the_order_of_settings() -> None:
    turned = dataclasses.replace(SPEC, settings=dict(reversed(list(SPEC.settings.items()))))
    assert list(turned.settings) != list(SPEC.settings)
    assert turned.id == SPEC.id
    assert turned == SPEC
    assert hash(turned) == hash(SPEC)


CHANGES: dict[str, object] = {
    "name": "digits2",
    "data.name": "digits2",
    "data.sha256": b"i" * 32,
    "data.classes": 9,
    "data.partition": "iid",
    "data.seed": 8,
    "data.public": 201,
    "data.validation": 101,
    "data.test": 301,
    "data.private": 400,
    "data.public_from": "fashion",
    "data.public_sha256": b"p" * 32,
    "partners": 4,
    "encounters": {
        **{"own": 3, "prepayment": 600, "stake": 2000, "bond": 1000, "threshold": 200, "longest": 1000},
        **{"unbond_seconds": 2000, "share": 700_000, "size": 3, "rule": "serum", "tolerance": 20_000},
        **{"open_seconds": 60, "learn_seconds": 600, "vote_seconds": 120, "margin_seconds": 60},
    },
    "adapter": "fedkd",
    "settings": {"epochs": 3, "rate": "0.05"},
    "settings.epochs": 4,
    "settings.rate": "0.050",
    "settings.soft": 0,
    "settings.extra": 1,
    "aggregator": "median",
    "codecs": [],
    "rounds": 21,
    "seats": 6,
    "quorum": 4,
    "phases.enrol_seconds": 61,
    "phases.commit_seconds": 31,
    "phases.reveal_seconds": 31,
    "money.pot": 1001,
    "money.rate": 11,
    "money.bond": 501,
    "money.forfeit": 101,
    "chain": NO_CHAIN,
    "chain.profile": "amoy",
    "chain.chain_id": 31338,
    "chain.token": MARKET,
    "chain.market": TOKEN,
}


def test_the_changes_below_cover_every_field() -> None:
    nested = {"data": DataSpec, "phases": PhaseSpec, "money": MoneySpec, "chain": ChainSpec}
    wanted = {entry.name for entry in dataclasses.fields(TaskSpec)} - set(nested) - {"version"}
    for where, kind in nested.items():
        wanted |= {f"{where}.{entry.name}" for entry in dataclasses.fields(kind)}
    assert wanted <= set(CHANGES)


def test_any_change_is_another_task() -> None:
    ids = {SPEC.id}
    for path, value in CHANGES.items():
        plain = _without("chain") if value is NO_CHAIN else _with(path, value)
        changed = from_plain(plain)
        assert changed.id not in ids, path
        ids.add(changed.id)
    assert len(ids) == len(CHANGES) + 1


def test_chain_and_version_may_be_left_out() -> None:
    plain = _without("chain")
    del plain["version"]
    assert from_plain(plain) == dataclasses.replace(SPEC, chain=NO_CHAIN)


def test_settings_cannot_be_changed_from_outside() -> None:
    settings: dict[str, int | str | bool] = {"epochs": 3}
    spec = dataclasses.replace(SPEC, settings=settings)
    before = spec.id
    settings["epochs"] = 4
    assert spec.id == before
    with pytest.raises(TypeError):
        spec.settings["epochs"] = 4  # type: ignore[index]


def test_a_spec_can_be_copied_and_sent_to_another_process() -> None:
    ways: list[Callable[[TaskSpec], TaskSpec]] = [
        copy.copy,
        copy.deepcopy,
        lambda spec: pickle.loads(pickle.dumps(spec)),
    ]
    for way in ways:
        assert way(SPEC) == SPEC
        assert way(SPEC).id == SPEC.id


def test_what_came_later_is_written_only_where_it_is_used() -> None:
    data = {f"data.{entry.name}": entry for entry in dataclasses.fields(DataSpec)}
    task = {entry.name: entry for entry in dataclasses.fields(TaskSpec) if entry.name not in ("chain", "version")}
    later = {path: each for path, each in (data | task).items() if each.default is not dataclasses.MISSING}
    assert {path.removeprefix("data.") for path in later} == LATER
    assert not LATER & (set(PLAIN["data"]) | set(PLAIN))  # type: ignore[call-overload]
    for path, entry in later.items():
        default = entry.default
        unused = dataclasses.asdict(default) if dataclasses.is_dataclass(default) else default  # type: ignore[arg-type]
        assert from_plain(_with(path, unused)).id == SPEC.id
        changed = from_plain(_with(path, CHANGES[path]))
        assert from_plain(changed.to_plain()) == changed


REQUIRED = [
    path for path in CHANGES if not path.startswith(("settings.", "chain")) and path.removeprefix("data.") not in LATER
]


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_key_is_named(path: str) -> None:
    where, _, key = path.rpartition(".")
    with pytest.raises(PlanError, match=rf"{where or 'task'}\.{key} is missing") as caught:
        from_plain(_without(path))
    assert key in caught.value.fix


@pytest.mark.parametrize("where", ["", "data.", "phases.", "money.", "chain."])
def test_an_unknown_key_is_named(where: str) -> None:
    with pytest.raises(PlanError, match="has no key 'colour'") as caught:
        from_plain(_with(where + "colour", 1))
    assert caught.value.fix.startswith("the keys are ")


ODD: list[object] = [
    None,
    1.5,
    float("nan"),
    [],
    {},
    object(),
    b"x",
    ("a",),
    {1: 2},
    True,
    "\ud800",
    -1,
    2**5000,
    "x" * 10_000,
]


@pytest.mark.parametrize("path", [path for path in CHANGES if not path.startswith(("settings", "codecs"))])
@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_odd_values_are_refused_in_a_sentence(path: str, value: object) -> None:
    with pytest.raises(PlanError) as caught:
        from_plain(_with(path, value))
    assert path.split(".")[-1] in str(caught.value)
    assert caught.value.fix
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("value", [None, 1.5, [], {}, object(), b"x", ("a",), "\ud800", 2**5000, "x" * 10_000])
def test_odd_settings_and_codecs_are_refused_in_a_sentence(value: object) -> None:
    for path, held in (("settings.rate", value), ("codecs", [value]), ("settings", {"k": value})):
        with pytest.raises(PlanError) as caught:
            from_plain(_with(path, held))
        assert path.split(".")[0] in str(caught.value)
        assert caught.value.fix
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", [1, None, b"rate", ("a",), "", "\ud800", "x" * 65])
def test_odd_keys_of_settings_are_refused_in_a_sentence(key: object) -> None:
    with pytest.raises(PlanError, match="a key in settings is"):
        from_plain(_with("settings", {key: 1}))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("version", 2, "task.version is 2"),
        ("name", "", "task.name"),
        ("name", "x" * 65, "task.name"),
        ("name", "two\nlines", "task.name"),
        ("data.sha256", b"h" * 31, "not 32 bytes"),
        ("data.sha256", "h" * 32, "must be of type bytes"),
        ("data.classes", 1, "data.classes is 1"),
        ("data.classes", 16, "data.classes is 16"),
        ("data.public", 0, "data.public is 0"),
        ("data.public", 8193, "data.public is 8193"),
        ("data.seed", -1, "data.seed is -1"),
        ("data.seed", 2**63, "data.seed"),
        ("rounds", 0, "task.rounds"),
        ("rounds", 10_001, "task.rounds"),
        ("seats", 65, "task.seats"),
        ("quorum", 0, "task.quorum"),
        ("quorum", 6, "task.quorum is 6: it must lie between 1 and 5"),
        ("phases.commit_seconds", 0, "phases.commit_seconds"),
        ("money.pot", -1, "money.pot"),
        ("money.pot", 2**63 + 1, "money.pot"),
        ("money.forfeit", 501, "money.forfeit is 501: it must lie between 0 and 500"),
        ("chain.token", "0x12", "chain.token is not an account"),
        ("chain.chain_id", 0, "chain.chain_id"),
        ("chain.profile", "none", "chain.profile is 'none', yet"),
        ("codecs", "pack", "task.codecs is not a list"),
        ("codecs", [1], "a name in task.codecs is 1"),
        ("codecs", ["x"] * 9, "task.codecs is long"),
        ("settings", [], "task.settings is not a table"),
        ("settings", {str(key): key for key in range(65)}, "65 settings"),
        ("settings", {"": 1}, "a key in settings"),
        ("settings.rate", 0.05, "write a fraction as text"),
        ("settings.rate", 2**63, "settings.rate"),
        ("settings.rate", "x" * 257, "settings.rate"),
    ],
)
def test_values_out_of_range(path: str, value: object, reason: str) -> None:
    with pytest.raises(PlanError) as caught:
        from_plain(_with(path, value))
    assert reason in str(caught.value)


@pytest.mark.parametrize("value", [None, [], "spec", 1, b"", [("name", "x")]])
def test_what_is_no_table(value: object) -> None:
    with pytest.raises(PlanError, match="task is not a table"):
        from_plain(value)


def test_an_account_is_spelled_in_one_way() -> None:
    mixed = "0x" + "aB" * 20
    assert from_plain(_with("chain.token", mixed)).chain.token == mixed.lower()
    with pytest.raises(PlanError, match=r"chain\.token has capital letters"):
        dataclasses.replace(SPEC, chain=dataclasses.replace(SPEC.chain, token=Account(mixed)))


def test_the_largest_values_have_a_digest() -> None:
    plain = _with("settings", {f"{key:064}": "é" * 256 for key in range(64)})
    plain["data"]["seed"] = plain["chain"]["chain_id"] = 2**63 - 1
    assert len(from_plain(plain).id) == 32


def test_only_a_market_on_a_chain_bounds_who_takes_part_to_its_seats():
    alone = dataclasses.replace(SPEC, chain=NO_CHAIN, seats=MOST_NODES, quorum=1)
    assert alone.seats == MOST_NODES
    with pytest.raises(PlanError, match=r"task\.seats is 257"):
        dataclasses.replace(alone, seats=MOST_NODES + 1)
    with pytest.raises(PlanError, match=r"task\.seats is 65"):
        dataclasses.replace(SPEC, seats=65, quorum=1)

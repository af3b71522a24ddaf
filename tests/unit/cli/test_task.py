import json

import pytest
from p2pfd_localnet.plan import DataFacts
from p2pfd_localnet.presets import PRESETS

from p2pfd.cli.program import PROGRAM
from p2pfd.cli.screen import Screen
from p2pfd.cli.task import say_cost
from p2pfd.core.claims import Balances
from p2pfd.core.ids import Account, Amount
from p2pfd.core.spec import TaskSpec
from p2pfd.node.config import save_task
from p2pfd.node.invitation import Outlook
from p2pfd.settlement.api import Capabilities
from p2pfd.settlement.fees import GWEI
from p2pfd.settlement.outlay import Outlay

SPEC: TaskSpec = PRESETS[0].task(DataFacts(bytes(range(32))))


def toml_of(value):
    tables = {key: inner for key, inner in value.items() if isinstance(inner, dict)}
    lines = [f"{key} = {json.dumps(inner)}" for key, inner in value.items() if key not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(inner)}" for key, inner in table.items())]
    return "\n".join(lines)


def test_json_and_toml_are_the_same_task(tmp_path, capsys):
    path = tmp_path / "task.json"
    save_task(SPEC, path)
    assert PROGRAM.main(["task", "show", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["id"] == SPEC.id.hex()
    toml = tmp_path / "task.toml"
    toml.write_text(toml_of(shown["task"]))
    assert PROGRAM.main(["task", "check", str(toml), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == SPEC.id.hex()


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("task.json", "{", "not JSON"),
        ("task.json", "[]", "not a table"),
        ("task.json", "{}", "missing"),
        ("task.toml", "a = ", "not TOML"),
        ("task.toml", "a = 1", "no key 'a'"),
        ("task.toml", "[data]\nsha256 = 'zz'", "hex"),
        ("task.json", '{"data": {"sha256": "zz"}}', "hex"),
        ("task.json", " " * 70_000, "more than"),
        ("task.json", "[" * 60_000, "task.json"),
        ("task.toml", "a = " + "[" * 60_000, "cannot be read"),
        ("task.json", '{"a": ' + "1" * 5000 + "}", "cannot be read"),
        ("task.toml", "a = " + "1" * 5000, "cannot be read"),
    ],
)
def test_a_file_that_is_no_task_is_a_plan_error_that_names_it(tmp_path, capsys, name, text, hint):
    (tmp_path / name).write_text(text)
    assert PROGRAM.main(["task", "check", str(tmp_path / name)]) == 3
    err = capsys.readouterr().err
    assert hint in err
    assert name in err


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert PROGRAM.main(["task", "check", str(tmp_path)]) == 3
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (
            25 * GWEI,
            "cost    0.0125 POL at 25 gwei (0.015 POL at 30 gwei); 0.005 POL must be there to begin, and there",
        ),
        (30 * GWEI, "cost    0.015 POL at 30 gwei; 0.006 POL must be there to begin, and there are 1 POL\n"),
        (0, "gas     about 100,000 to begin and about 400,000 for all rounds\n"),
    ],
)
def test_costs_are_told_at_a_price_that_can_be_compared(
    price: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = Amount(0)
    outlay = Outlay(Amount(100_000_000), begin=100_000, reserve=200_000, rounds=400_000)
    caps = Capabilities("amoy", 80_002, 24, True, 2.0)
    held = Balances(nothing, nothing, nothing, nothing)
    say_cost(Outlook("http://x", caps, Account("0x" + "11" * 20), outlay, held, 10**18, price, None, 0), Screen())
    told = capsys.readouterr().out
    assert said in told
    assert ("cost" in told) == (price > 0)

"""Pages that follow from the code are as the code has them, and name every message that a command can print."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys

import pytest

from p2pfd.cli import exits
from tools import contracts_page, error_catalogue, errors_page, reference

linux = pytest.mark.skipif(sys.platform != "linux", reason="what the system says is Linux's wording")


@linux
def test_every_page_is_as_the_code_has_it() -> None:
    stale = [path.name for path in reference.stale()]
    assert stale == [], "run: python -m tools.reference"


def test_a_changed_table_is_noticed() -> None:
    page = (reference.REFERENCE / "exit-codes.md").read_text(encoding="utf-8")
    assert reference.with_regions(page) == page
    assert reference.with_regions(page.replace("| 9 | machine |", "| 9 | the machine |")) == page


def module(source: str) -> error_catalogue.Module:
    made = object.__new__(error_catalogue.Module)
    made.read("some.module", source)
    return made


def found(source: str) -> list[tuple[str, str]]:
    base = "class P2pfdError(Exception): ...\nclass PlanError(P2pfdError): ...\n"
    return [(each.what, each.fix) for each in error_catalogue.entries([module(base + source)])]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ('raise PlanError("a", "b")', [("a", "b")]),
        ('raise PlanError(f"a {x} b", fix=f"{y}")', [("a … b", "…")]),
        ('raise PlanError("a" if x else "b", "c")', [("a", "c"), ("b", "c")]),
        ('raise PlanError("a " + ("b" if x else "c"))', [("a b", ""), ("a c", "")]),
        ('A = "a"\nraise PlanError(A, "b" + A)', [("a", "ba")]),
        (
            'def f(x):\n    what = f"{x} is"\n    what += " none"\n    raise PlanError(what)',
            [("… is", ""), (" none", "")],
        ),
        (
            'def no(what, fix):\n    raise PlanError(f"{here}: {what}", fix)\nno("a", "b")\nno("c", fix="d")',
            [("…: a", "b"), ("…: c", "d")],
        ),
        ('class Bad(PlanError): ...\nraise errors.Bad("a")', [("a", "")]),
        ("raise PlanError(error.what, error.fix)", []),
        ('raise ValueError("a")', []),
    ],
)
def test_a_message_is_found_however_it_was_put_together(source: str, wanted: list[tuple[str, str]]) -> None:
    assert sorted(found(source)) == sorted(wanted)


def test_no_call_is_passed_over() -> None:
    """A plain search finds no words at such a call that the page lacks."""
    page = (reference.REFERENCE / "errors.md").read_text(encoding="utf-8")
    names = "|".join(kind.__name__ for kind, _ in exits.KINDS)
    calls = re.compile(rf'\b(?:{names})\(\s*f?"([^"\\]+)"')
    missing = set()
    for path in (reference.REFERENCE.parents[1] / "p2pfd").rglob("*.py"):
        for text in calls.findall(path.read_text(encoding="utf-8")):
            for part in re.split(r"\{[^{}]*\}", text):
                if "{" not in part and len(part.strip()) > 8 and errors_page.plain(part) not in page:
                    missing.add(part)
    assert missing == set()


def test_what_the_parser_says_is_what_python_says() -> None:
    source = inspect.getsource(argparse)
    said = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    texts = [str(value) for value in said]
    for message in errors_page.ARGPARSE:
        part = max(errors_page.runs(message.removeprefix("argument …: ")), key=len).rstrip(": (")
        assert any(part in text for text in texts), message


def test_selectors_are_those_that_everybody_knows() -> None:
    page = contracts_page.page()
    assert "| `a9059cbb` | `transfer(address to, uint256 amount)` | `bool` |" in page
    assert "`ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef`" in page


def test_security_names_tests_that_exist() -> None:
    root = reference.REFERENCE.parents[1]
    page = (root / "SECURITY.md").read_text(encoding="utf-8")
    source = "".join(p.read_text() for p in (root / "tests").rglob("test_*.py") if "node_modules" not in p.parts)
    names = set(re.findall(r"`(test_\w+)`", page))
    assert len(names) > 40
    assert {name for name in names if f"def {name}(" not in source} == set()
    assert {name for name in re.findall(r"`(tests/[\w/]+\.py)`", page) if not (root / name).exists()} == set()

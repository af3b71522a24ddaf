"""Every command that the docs show exists, with the options that they show it with."""

from __future__ import annotations

import re

import pytest
from p2pfd_localnet.program import PROGRAM as LOCALNET

from p2pfd.cli.app import Program
from p2pfd.cli.program import PROGRAM as P2PFD
from p2pfd.errors import UsageError
from tests.console import ROOT, Call, calls_in, differs, mentions_in, pages

PROGRAMS = {"p2pfd": P2PFD, "localnet": LOCALNET}
BLOCKS = [call for page in pages() if page.name != "CHANGELOG.md" for call in calls_in(page)]
MENTIONS = [call for page in pages() if page.name != "CHANGELOG.md" for call in mentions_in(page)]
PLACEHOLDERS = {"N": "1", "R": "1", "K": "1", "S": "1", "PORT": "1", "URL": "http://127.0.0.1:1"}


def read(words: list[str]) -> None:
    """Parse a command line of ours; UsageError where it makes no sense."""
    program: Program = PROGRAMS[words[0]]
    args = [word for word in words[1:] if word not in ("--json", "--plain")]
    if not args or args[0] in ("--help", "-h", "help", "--version"):
        return
    command = next((each for each in program.commands if each.name == args[0]), None)
    if command is None:
        raise UsageError(f"{program.name} has no command {args[0]!r}", "")
    if {"--help", "-h"} & set(args):
        return
    command.parser(program.name).read(args[1:])


def test_every_command_line_in_the_docs_can_be_typed() -> None:
    targets = set(re.findall(r"^([a-z%-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    benches = {path.stem.replace("_", "-") for path in (ROOT / "tests/bench").glob("bench_*.py")}
    wrong = []
    for call in BLOCKS:
        words = call.words
        if words[0] == "make":
            made = [word for word in words[1:] if "=" not in word]
            wrong += [f"{call.page}: make {word}" for word in made if word not in targets | benches]
            continue
        for pipe in ("|", ">", "<", "&&", "&"):
            words = words[: words.index(pipe)] if pipe in words else words
        try:
            read([PLACEHOLDERS.get(word, word) for word in words])
        except UsageError as error:
            wrong.append(f"{call.page}: {call.line}: {error.what}")
    assert len(BLOCKS) > 60
    assert wrong == []


def test_every_command_and_option_named_in_running_text_exists() -> None:
    wrong = []
    for call in MENTIONS:
        words = re.split(r"\s+", call.line.replace("|", " "))
        program = PROGRAMS[words[0]]
        command = next((each for each in program.commands if each.name == words[1].rstrip("…,.")), None)
        if command is None:
            if re.fullmatch(r"[a-z][a-z-]+", words[1]) or words[1] not in ("--help", "--version", "COMMAND", "…"):
                wrong.append(f"{call.page}: {call.line}")
            continue
        legal = {text for action in command.parser(program.name).actions() for text in action.option_strings}
        named = [word.split("=")[0].rstrip(".,;:") for word in words[2:] if re.match(r"--?[a-zA-Z]", word)]
        wrong += [f"{call.page}: {call.line}: {name}" for name in named if name not in legal]
    assert len(MENTIONS) > 60
    assert wrong == []


SHOWN = ("plan  10 nodes · seed 7", "…", "round  1/10   paid 136.86 · 0x2e85…ea80 … end")


@pytest.mark.parametrize(
    ("printed", "problem"),
    [
        ("plan    4 nodes · seed 9\nx\ny\nround 2/4 paid 1.5 · 0x1a…9f and so on end\n", ""),
        ("plan    4 nodes · seed 9\n\nround 2/4 paid 1.5 · 0x1a…9f and end\n", ""),
        ("plan    4 nodes · seed 9\nround 1/4 paid 1 · 0x1a…9f . end\nround 4/4 paid 1 · 0x1a…9f . end\n", ""),
        ("plan    4 knots · seed 9\n", "printed was 'plan    4 knots"),
        ("plan    4 nodes · seed 9\nx\n", "nothing more"),
        ("plan    4 nodes · seed 9\nround 2/4 paid 1.5 · 0x1a…9f … end\nmore\n", "does not have 'more'"),
    ],
    ids=["more", "nothing between", "another one like it", "another word", "a line is missing", "a line too many"],
)
def test_what_is_printed_is_compared_with_what_a_page_shows(printed: str, problem: str) -> None:
    found = differs(SHOWN, printed)
    assert problem in found
    assert bool(found) == bool(problem)


def test_a_call_is_found_with_what_it_prints(tmp_path) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path / "page.md"
    page.write_text(
        "```\n$ localnet up \\\n  -n 2   # two\nready\n$ ls\nx\n```\n```json\nlocalnet\n```\n```\nmake up\n```\n"
    )
    assert calls_in(page) == [Call("page.md", "localnet up    -n 2   # two", ("ready",)), Call("page.md", "make up")]
    assert calls_in(page)[0].words == ["localnet", "up", "-n", "2"]

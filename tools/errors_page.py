"""The page of every error: the messages that tools/error_catalogue.py finds, and those that come from elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from p2pfd.cli import exits
from tools.error_catalogue import TYPED, Entry, Kind, entries, kinds, modules

CONTRACTS = Path(__file__).parents[1] / "contracts" / "vyper"
ARGPARSE = (
    "the following arguments are required: …",
    "argument …: expected one argument",
    "argument …: expected at least one argument",
    "argument …: invalid choice: … (choose from …)",
    "argument …: invalid … value: …",
    "argument …: not allowed with argument …",
    "argument …: ignored explicit argument …",
    "one of the arguments … is required",
)
"""What Python's own parser of options says; the wording is that of Python 3.11, and later ones differ in quotes."""
HEAD = """# Errors

<!-- written by python -m tools.reference -->

Every error that the commands raise on purpose is two lines: what happened, and what to do. This page has all of them,
as they stand in the source; `…` stands for what is filled in when it happens. Look for the words that do not change.
The number is the [exit code](exit-codes.md). Where a cell says nothing of what to do, the message is about bytes from
elsewhere (a peer's message, a damaged file), and whatever showed it says more, or it passes another error on and keeps
that one's advice.

What is not here is a bug: `this is a bug in p2pfd: …`, exit code 1, with a file to report.
"""
OPTIONS = """
## Options that are not understood

What the parser of options says of a command line, before anything is done. All end with code 2, and with an example of
the command.

"""
SYSTEM = """
## What the system says

Messages of the operating system about a file, a port or memory, passed on with the file's name. All end with code 9.

"""
REFUSALS = """
## What a contract refuses with

A transaction that a contract refuses is told as `module: reason`. [The
specification](../../contracts/vyper/SPEC.md) says which function refuses with which, in which order.

"""
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~&])")
_REASON = re.compile(r"\"([a-z]+: [^\"]+)\"")


def plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace(r"\<", "&lt;").replace(r"\&", "&amp;")


def code(kind: str, known: dict[str, Kind]) -> int:
    """How a command ends that fails with this class of error."""
    ways = {each.__name__: way.code for each, way in exits.KINDS} | {TYPED: exits.USAGE.code}
    while kind and kind not in ways:
        kind = known[kind].base
    return ways.get(kind, exits.BUG.code)


def refusals() -> list[str]:
    """Every reason in the contracts' sources."""
    found: set[str] = set()
    for path in CONTRACTS.glob("*.vy"):
        source = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        found.update(_REASON.findall(re.sub(r"#.*", "", source)))
    return sorted(found)


def system() -> list[tuple[str, str]]:
    """What the system says, and what we say to do."""
    return sorted((os.strerror(number), fix) for number, fix in exits.FIXES.items())


def listed(rows: Iterable[tuple[str, str, int]]) -> str:
    """A table of messages."""
    lines = ["| message | what to do | code |", "|---|---|---|"]
    lines += [f"| {plain(what)} | {plain(fix)} | {number} |" for what, fix, number in rows]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    of = modules()
    known = kinds(of)
    parts = [HEAD]
    for name, group in groupby(entries(of), key=lambda entry: entry.module):
        rows = [(entry.what, entry.fix, code(entry.kind, known)) for entry in group]
        parts.append(f"\n## {name}\n\n" + listed(sorted(set(rows))))
    parts.append(OPTIONS + listed((text, "the command's own example", 2) for text in ARGPARSE))
    parts.append(SYSTEM + listed((said, fix, 9) for said, fix in system()))
    parts.append(REFUSALS + "| reason |\n|---|\n" + "".join(f"| {plain(reason)} |\n" for reason in refusals()))
    return "".join(parts)


def constant_words() -> dict[str, list[str]]:
    """By section of the page, each run of words of a message that never changes."""
    found: dict[str, list[str]] = {}
    everything: list[Entry] = entries()
    for entry in everything:
        found.setdefault(entry.module, []).extend(runs(entry.what))
    found["Options that are not understood"] = [run for text in ARGPARSE for run in runs(text)]
    found["What a contract refuses with"] = refusals()
    return found


def runs(message: str) -> list[str]:
    """The parts of a message between what is filled in."""
    return [run for part in message.split("…") if re.search(r"\w", run := " ".join(part.split()))]

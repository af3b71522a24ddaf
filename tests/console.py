"""Console examples of the docs: found in the pages, read as command lines, and compared with what a command says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("p2pfd", "localnet")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`((?:p2pfd|localnet) [^`]+)`(?!`)")
_VARIES = re.compile(
    r"0x[0-9a-f]+(?:…[0-9a-f]+)?|12D3\w*(?:…\w+)?|[0-9a-f]{6,}(?:…[0-9a-f]+)?|[-−+]?[0-9][0-9,]*(?:\.[0-9]+)?"
)
_ANY = re.compile(r"[ ]+")


@dataclass(frozen=True)
class Call:
    """A command as a page shows it, and what the page says that it prints."""

    page: str
    line: str
    shown: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)


def pages() -> list[Path]:
    return [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]


def calls_in(page: Path) -> list[Call]:
    """Every line of a block that calls one of our programs or make, with what stands below it where it has a prompt."""
    found: list[Call] = []
    name = str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name
    for kind, body in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind not in ("", "console", "bash", "sh"):
            continue
        lines = body.replace("\\\n", " ").splitlines()
        prompts = any(line.startswith("$ ") for line in lines)
        for place, line in enumerate(lines):
            command = _command(line, prompts=prompts)
            if command is None:
                continue
            shown = list(_until_prompt(lines[place + 1 :])) if prompts else []
            found.append(Call(name, command, tuple(shown)))
    return found


def mentions_in(page: Path) -> list[Call]:
    """What is named in running text."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [Call(str(page.relative_to(ROOT)), line) for line in _INLINE.findall(text)]


def _command(line: str, *, prompts: bool) -> str | None:
    if prompts and not line.startswith("$ "):
        return None
    bare = line.removeprefix("$ ").removeprefix(".venv/bin/")
    ours = re.match(rf"(?:{'|'.join(OURS)}|make)(?: |$)", bare) and "──" not in bare  # a drawing is no command
    return bare if ours else None


def _until_prompt(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith("$ "):
            return
        yield line


def differs(shown: tuple[str, ...], printed: str) -> str:
    """The first line of a page that was not printed in its place; numbers, keys and addresses may be others.

    A line of ``…`` stands for any lines, ``…`` within a line for anything. Empty when all is as the page says.
    """
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    places, skip = {0}, False  # where what follows may stand: with numbers left open, a line may be like many others
    for line in filter(str.strip, shown):
        if line.strip() == "…":
            skip = True
            continue
        pattern, first = _pattern(line), min(places)
        may = range(first, len(lines)) if skip else sorted(places)
        found = {at + 1 for at in may if at < len(lines) and pattern.fullmatch(lines[at])}
        if not found:
            there = lines[first] if first < len(lines) and not skip else "nothing more"
            return f"the page has {line!r}, printed was {there!r}"
        places, skip = found, False
    return "" if skip or len(lines) in places else f"the page does not have {lines[max(places)]!r}"


def _pattern(line: str) -> re.Pattern[str]:
    """The line with numbers left open, spaces of any width, and anything where ``…`` stands between words."""
    parts = []
    for part in re.split(r"( … |…$)", line.rstrip()):
        if part.strip() == "…":
            parts.append(".*")
            continue
        marked = _VARIES.sub("\0", part)
        parts.append(re.escape(marked).replace("\0", r"[-−+]?[\w.,…]+").replace(r"\ ", " "))
    return re.compile(_ANY.sub(" +", "".join(parts)))

"""What mkdocs does not know of this repository: pages that stand outside of docs/, and links that lead there.

A hook of mkdocs.yml. Pages are written for whoever reads them in the repository, so links lead to files there; on the
site a link to a page that is taken along leads to it, and one to any other file of the repository becomes its name.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
TAKEN = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "explanation/security.md",
    "contracts/vyper/SPEC.md": "reference/contracts-spec.md",
}
ERRORS = "reference/errors.md"
BOOST = 300
"""Whoever types a message looks for that page: without this, titles that share a word with it come before it."""
_BACK = {there: here for here, there in TAKEN.items()}
_BLOCKS = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]\[]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


SECTIONS = {
    "tutorials": "Tutorials",
    "howto": "How-to",
    "reference": "Reference",
    "explanation": "Explanation",
    "adr": "Decisions",
}


def on_config(config: Any) -> Any:
    """Put pages that mkdocs.yml does not place at the end of the section in whose folder they are."""
    placed = set(_pages(config.nav))
    for folder, title in SECTIONS.items():
        section = next(entry[title] for entry in config.nav if title in entry)
        found = sorted(f"{folder}/{path.name}" for path in (ROOT / "docs" / folder).glob("*.md"))
        section.extend(page for page in found if page not in placed)
    return config


def _pages(nav: Any) -> Iterator[str]:
    """The paths in a navigation."""
    for entry in nav:
        if isinstance(entry, str):
            yield entry
            continue
        for below in entry.values():
            yield from _pages([below] if isinstance(below, str) else below)


def on_files(files: Files, *, config: Any) -> Files:
    """Take along the pages that stand outside of docs/."""
    for here, there in TAKEN.items():
        files.append(File.generated(config, there, content=(ROOT / here).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Turn links to files of the repository into links of the site, or into names."""
    place = page.file.src_uri
    if place == ERRORS:
        page.meta["search"] = {"boost": BOOST}
    home = posixpath.dirname(_BACK.get(place, "docs/" + place))

    def turned(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        file = posixpath.normpath(posixpath.join(home, target))
        if not (ROOT / file).exists():
            raise PluginError(f"{place}: there is no {file}, to which [{text}]({target}) leads")
        there = TAKEN.get(file, file.removeprefix("docs/") if file.startswith("docs/") else "")
        if there and files.get_file_from_path(there) is not None:
            return f"[{text}]({posixpath.relpath(there, posixpath.dirname(place) or '.')}{anchor})"
        return text if "`" in text else f"{text} (`{file}`)"

    parts = _BLOCKS.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(turned, part) for part in parts)

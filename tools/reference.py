"""Writes the pages of docs/reference that follow from the code: python -m tools.reference [--check].

Whole pages: errors.md and contracts.md. Between marks in pages that are otherwise written by hand: the tables of exit
codes, metrics, reasons of drops, and of the roles' machines. The other pages of the reference are written by hand, and
each is compared with the code by a test of its own.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from p2pfd_localnet import meshmetrics

from p2pfd.cli import exits
from p2pfd.network.counters import Drop
from p2pfd.node import metrics
from tools import contracts_page, errors_page, roles_page

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def families(of: Iterable[metrics.Family]) -> str:
    """The table of a list of metrics."""
    rows = [(f"`{f.name}`", f.kind, ", ".join(f"`{label}`" for label in f.labels), f.meaning) for f in of]
    return table(("metric", "kind", "labels", "what"), rows)


REGIONS: dict[str, Callable[[], str]] = {
    "exit codes": lambda: table(
        ("code", "name", "meaning"), [(way.code, way.name, way.meaning) for way in exits.TABLE]
    ),
    "metrics of a node": lambda: families(metrics.FAMILIES),
    "metrics of a mesh": lambda: families(meshmetrics.FAMILIES),
    "reasons": lambda: table(("reason", "what"), [(f"`{reason.label}`", reason.meaning) for reason in Drop]),
}
_REGION = re.compile(r"(<!-- (?P<name>[a-z ]+), written by python -m tools\.reference -->\n\n)[^<]*?(\n<!-- end -->)")


def with_regions(page: str) -> str:
    """The page with what stands between marks as the code has it now."""
    return _REGION.sub(lambda match: match[1] + REGIONS[match["name"]]() + match[3], page)


PAGES: dict[str, Callable[[str], str]] = {
    "contracts.md": lambda _: contracts_page.page(),
    "errors.md": lambda _: errors_page.page(),
    "exit-codes.md": with_regions,
    "metrics.md": with_regions,
    "roles.md": roles_page.with_tables,
}


def stale() -> dict[Path, str]:
    """The pages that are not as the code has them, and how they should be."""
    found = {}
    for name, made in PAGES.items():
        path = REFERENCE / name
        held = path.read_text(encoding="utf-8") if path.exists() else ""
        if (wanted := made(held)) != held:
            found[path] = wanted
    return found


def main() -> int:
    """Write the pages, or say which are stale."""
    parser = argparse.ArgumentParser(description="Write the reference pages that follow from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where a page is stale")
    check = parser.parse_args().check
    found = stale()
    for path, wanted in found.items():
        sys.stdout.write(f"{'stale' if check else 'written'}  {path.relative_to(REFERENCE.parents[1])}\n")
        if not check:
            path.write_text(wanted, encoding="utf-8")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())

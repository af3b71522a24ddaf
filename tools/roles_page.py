"""Writes the tables of docs/reference/roles.md from the rules that run the machines.

python tools/roles_page.py
"""

from __future__ import annotations

from pathlib import Path

from p2pfd.roles.encounter.tables import tables

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "roles.md"
MARK = "<!-- tables: written by tools/roles_page.py -->\n"


def with_tables(page: str) -> str:
    """The page with its tables as they are now."""
    head, mark, _ = page.partition(MARK)
    if not mark:
        raise SystemExit(f"{PAGE} has lost its line {MARK.strip()!r}")
    return f"{head}{mark}\n{tables()}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Pieces of a page as HTML text; whatever is not said to be markup is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def card(title: str, body: str, kind: str = "") -> str:
    """A part of the page under its title; the body is markup."""
    return f'<section class="card {kind}" aria-label="{escape(title)}"><h2>{escape(title)}</h2>{body}</section>'


def figures(pairs: Sequence[tuple[str, str]]) -> str:
    """Large figures, each with what it is."""
    found = "".join(f"<div><dt>{escape(what)}</dt><dd>{escape(value)}</dd></div>" for value, what in pairs)
    return f'<dl class="figures">{found}</dl>'


def head(*names: str, numbers: Iterable[int] = ()) -> str:
    """The head of a table; these columns hold numbers."""
    right = set(numbers)
    cells = "".join(
        f'<th scope="col"{_right(place in right)}>{escape(name)}</th>' if name else "<td></td>"
        for place, name in enumerate(names)
    )
    return f"<thead><tr>{cells}</tr></thead>"


def row(name: str, *cells: str, numbers: Iterable[int] = ()) -> str:
    """A row that is about ``name``; these of the other cells, from zero, are numbers."""
    right = set(numbers)
    found = "".join(f"<td{_right(place in right)}>{escape(cell)}</td>" for place, cell in enumerate(cells))
    return f'<tr><th scope="row">{escape(name)}</th>{found}</tr>'


def table(head: str, rows: Iterable[str]) -> str:
    """A table; its parts are markup."""
    return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>"


def scroll(label: str, head: str, rows: Iterable[str]) -> str:
    """A table that scrolls where it does not fit; whoever has only a keyboard can, too."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(label)}">{table(head, rows)}</div>'


def _right(number: bool) -> str:
    return ' class="n"' if number else ""

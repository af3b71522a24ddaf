"""The machines' tables as a page: what each does, when, and where that leads. Made from the rules that run them."""

from __future__ import annotations

import inspect

from p2pfd.roles.encounter.learner import Learner
from p2pfd.roles.encounter.membership import Membership
from p2pfd.roles.encounter.neighbor import Neighbor
from p2pfd.roles.encounter.part import Part
from p2pfd.roles.encounter.validator import Validator

PARTS: tuple[type[Part], ...] = (Membership, Learner, Neighbor, Validator)


def tables() -> str:
    """All tables, one section a role."""
    return "\n".join(_section(part) for part in PARTS)


def _section(part: type[Part]) -> str:
    about = (inspect.getdoc(inspect.getmodule(part)) or "").split("\n")[0]
    rows: dict[tuple[str, ...], list[str]] = {}
    for rule in part.rules:
        where = ", ".join(f"`{stage}`" for stage in rule.at)
        leads = ", ".join(f"`{stage}`" for stage in rule.to)
        word, _, name = rule.on.partition(" ")
        rows.setdefault((where, word, rule.does, leads, rule.by), []).append(name)
    lines = [
        f"| {where} | {word} {', '.join(names)}".rstrip() + f" | {does} | {leads or 'stays'} |"
        for (where, word, does, leads, _), names in rows.items()
    ]
    return "\n".join(
        [f"## {part.__name__}", "", about, "", "| in | on | does | leads to |", "|---|---|---|---|", *lines, ""]
    )

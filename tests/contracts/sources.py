"""What stands in the sources of the contracts, as the compiler's own parser reads it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import vyper.ast as vy

from tests.contracts.compiler import SOURCES

NAMES = sorted(path.stem for path in SOURCES.glob("*.vy"))


@cache
def tree(name: str) -> Any:
    """A source's module node."""
    return vy.parse_to_ast((SOURCES / f"{name}.vy").read_text())


def functions(name: str, decorator: str = "") -> list[Any]:
    """The functions of a source, all or those with a decorator."""
    found = tree(name).get_children(vy.FunctionDef)
    return [each for each in found if not decorator or decorator in decorators(each)]


def decorators(function: Any) -> set[str]:
    """The names of a function's decorators."""
    return {each.id for each in function.decorator_list if isinstance(each, vy.Name)}


def imports(name: str) -> list[str]:
    """The sources of ours that one imports."""
    return [each.name for each in tree(name).get_children(vy.Import)]


def declared(name: str, kind: str) -> set[str]:
    """What a source says in its declarations of one kind: `InitializesDecl`, `UsesDecl` or `ExportsDecl`."""
    found = set[str]()
    for each in tree(name).get_children(getattr(vy, kind)):
        node = each.annotation
        found |= {_text(part) for part in (node.elements if isinstance(node, vy.Tuple) else [node])}
    return found


def reasons(name: str) -> Iterator[str | None]:
    """Why a source refuses, each time it does; None where it does not say."""
    for node in tree(name).get_descendants((vy.Assert, vy.Raise)):
        said = node.msg if isinstance(node, vy.Assert) else node.exc
        if not (isinstance(said, vy.Name) and said.id == "reason"):  # in `_need` itself
            yield said.value if isinstance(said, vy.Str) else None
    for call in tree(name).get_descendants(vy.Call):
        if isinstance(call.func, vy.Attribute) and call.func.attr == "_need":
            said = call.args[1]
            yield said.value if isinstance(said, vy.Str) else None


def _text(node: Any) -> str:
    if isinstance(node, vy.Attribute):
        return f"{_text(node.value)}.{node.attr}"
    return str(node.value.id if isinstance(node, vy.Subscript) else node.id)

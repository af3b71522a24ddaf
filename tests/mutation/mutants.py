"""Small mistakes that somebody could make in a module, one at a time.

Texts are left alone, and so are annotations and assertions, zip's that two things are equally long among them: what
the first say is not behaviour, and the others are not run to decide anything. A mutant is told by the line it is in and
by what stands there before and after, so that a later run finds it again as long as the line is the same.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_NAMED = {"min": "max", "max": "min", "any": "all", "all": "any"}
_BLOCKS = ("body", "orelse", "finalbody")


FLAWLESS, MISSING = -1, -2
"""A module as it is, and one that cannot be imported: the first has to pass, and the second must not."""


@dataclass(frozen=True)
class Mutant:
    """One mistake: the module's tree with it, where it is, and what it does."""

    module: str
    line: int
    lines: tuple[int, ...]
    """The lines of the statement that it is in: who runs one of them may notice. None where an import runs it."""
    what: str
    site: int
    """Which place in the module, or one of the two numbers above."""
    choice: int = 0
    twin: int = 0
    """How many before it in the line have the same text."""

    @property
    def name(self) -> str:
        """What it is called in tables and in the file of explanations."""
        return f"{self.module}:{self.line}: {self.what}" + (f" ({self.twin + 1})" if self.twin else "")


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """All mistakes that are tried in a module, in the order of its text."""
    tree = ast.parse(source)
    later = [range(node.body[0].lineno, (node.end_lineno or 0) + 1) for node in ast.walk(tree) if _is_function(node)]
    same = Counter[tuple[int, str]]()
    for number, (node, statement) in enumerate(_sites(tree)):
        last = statement.body[0].lineno - 1 if _has_body(statement) else statement.end_lineno or statement.lineno
        lines = tuple(range(statement.lineno, max(last, statement.lineno) + 1))
        if not any(statement.lineno in lines_of for lines_of in later):
            lines = ()
        for choice in range(2):
            what = _told(node, choice)
            if what is None:
                break
            yield Mutant(module, node.lineno, lines, what, number, choice, same[node.lineno, what])
            same[node.lineno, what] += 1


def wrong(source: str, mutant: Mutant) -> ast.Module:
    """The module's tree with the mistake in it."""
    tree = ast.parse(source)
    node, _ = next(itertools.islice(_sites(tree), mutant.site, None))
    made = _change(node, tree, mutant.choice)
    assert made
    return ast.fix_missing_locations(tree)


def _told(node: ast.expr | ast.stmt, choice: int) -> str | None:
    """What stands there before and after a mistake that is not made yet; None where there is none."""
    if isinstance(node, ast.Expr | ast.Assign | ast.Break | ast.Continue):
        return None if choice else f"{_short(node)}  →  {_after(node)}"
    other = copy.copy(node)
    if isinstance(other, ast.Call):
        other.func = copy.copy(other.func)
    if not _change(other, ast.Module([], []), choice):
        return None
    return f"{_short(node)}  →  {_after(other) if isinstance(other, ast.stmt) else _short(other)}"


def _is_function(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _has_body(statement: ast.stmt) -> bool:
    return bool(getattr(statement, "body", None))


def _sites(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, ast.stmt]]:
    """Every place where something can go wrong, with the statement around it."""

    def walk(node: ast.AST, statement: ast.stmt | None) -> Iterator[tuple[ast.expr | ast.stmt, ast.stmt]]:
        if isinstance(node, ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr):
            return
        if isinstance(node, ast.keyword) and node.arg == "strict":
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.stmt):
            statement = node
        if statement is not None and isinstance(node, ast.expr | ast.stmt) and _possible(node):
            yield node, statement
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from walk(child, statement)

    yield from walk(tree, None)


def _possible(node: ast.expr | ast.stmt) -> bool:
    match node:
        case ast.Compare():
            return len(node.ops) == 1 and type(node.ops[0]) in _COMPARED
        case ast.BinOp():
            texts = any(
                isinstance(side, ast.Constant | ast.JoinedStr) and not _is_number(side)
                for side in (node.left, node.right)
            )
            return type(node.op) in _COUNTED and not texts and not _is_type(node)
        case ast.BoolOp() | ast.If() | ast.While() | ast.IfExp() | ast.Break() | ast.Continue() | ast.AugAssign():
            return True
        case ast.UnaryOp():
            return isinstance(node.op, ast.Not | ast.USub)
        case ast.Constant():
            return isinstance(node.value, bool | int)
        case ast.Call():
            return isinstance(node.func, ast.Name) and node.func.id in _NAMED
        case ast.Expr():
            return isinstance(node.value, ast.Call | ast.Yield | ast.YieldFrom)
        case ast.Assign():
            return isinstance(node.targets[0], ast.Attribute | ast.Subscript)
    return False


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _is_type(node: ast.BinOp) -> bool:
    """Whether this is a union of types, as in ``isinstance(x, A | B)``."""
    sides = (node.left, node.right)
    named = all(
        isinstance(s, ast.Name | ast.Attribute) and ast.unparse(s).split(".")[-1][:1].isupper()
        for s in sides
        if not isinstance(s, ast.BinOp)
    )
    return isinstance(node.op, ast.BitOr) and named


def _change(node: ast.expr | ast.stmt, tree: ast.Module, choice: int) -> bool:
    """Make the mistake; False where there is no second one at this place."""
    if choice == 1:
        if (
            isinstance(node, ast.Constant)
            and not isinstance(node.value, bool)
            and isinstance(node.value, int)
            and node.value > 1
        ):
            node.value -= 1
            return True
        return False
    match node:
        case ast.Compare():
            node.ops = [_COMPARED[type(node.ops[0])]()]
        case ast.BinOp() | ast.AugAssign():
            if type(node.op) not in _COUNTED:
                return False
            node.op = _COUNTED[type(node.op)]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.If() | ast.While() | ast.IfExp():
            if isinstance(node.test, ast.Compare | ast.UnaryOp | ast.Constant):
                return False  # its own mistake is the same one
            node.test = ast.UnaryOp(ast.Not(), node.test, lineno=node.test.lineno, col_offset=node.test.col_offset)
        case ast.UnaryOp():
            node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
            if isinstance(node.op, ast.Not):
                node.operand = ast.UnaryOp(ast.Not(), node.operand)
        case ast.Constant():
            node.value = (not node.value) if isinstance(node.value, bool) else int(node.value) + 1  # type: ignore[arg-type]
        case ast.Call():
            assert isinstance(node.func, ast.Name)
            node.func.id = _NAMED[node.func.id]
        case _:
            return _replace(tree, node)
    return True


def _replace(tree: ast.Module, wanted: ast.stmt) -> bool:
    """Leave a statement out, or leave a loop where it went on."""
    instead: ast.stmt = ast.Pass()
    if isinstance(wanted, ast.Break):
        instead = ast.Continue()
    if isinstance(wanted, ast.Continue):
        instead = ast.Break()
    ast.copy_location(instead, wanted)
    for node in ast.walk(tree):
        for field in _BLOCKS:
            block = getattr(node, field, None)
            if isinstance(block, list) and any(statement is wanted for statement in block):
                setattr(node, field, [instead if statement is wanted else statement for statement in block])
                return True
    return False


def _after(node: ast.stmt) -> str:
    match node:
        case ast.If() | ast.While():
            return _short(node)
        case ast.AugAssign():
            return _short(node)
        case ast.Break():
            return "continue"
        case ast.Continue():
            return "break"
    return "nothing"


def _short(node: ast.expr | ast.stmt) -> str:
    """What stands there, on one line."""
    if isinstance(node, ast.If | ast.While):
        return f"{'if' if isinstance(node, ast.If) else 'while'} {ast.unparse(node.test)}"
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else text[:87] + "..."

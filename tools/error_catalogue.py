"""Every error that p2pfd can raise on purpose, read from its source: the words of the message, and what to do.

Nothing is imported: a call of one of the classes of p2pfd/errors.py, or of a class that is derived from one, is found
in the syntax tree. What is filled in when the error happens stands as an ellipsis. Where a message was put together in
a variable, each way in which it is put together is one entry; where it is an argument of the function, each call of
that function in its module is one.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("p2pfd", "localnet/p2pfd_localnet", "adapters/p2pfd_adapters")
HOLE = "…"
TYPED = "ArgumentTypeError"
"""What argparse is told of an option's value that cannot be; it ends as a UsageError."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, order=True)
class Entry:
    """One message: the module that raises it, its words, what it says to do, and the class of the error."""

    module: str
    what: str
    fix: str
    kind: str


@dataclass(frozen=True)
class Kind:
    """A class of errors: what it is derived from, and in which argument its message stands, or what it is made of."""

    name: str
    base: str
    place: int
    made: ast.expr | None = None


class Module:
    """A source file, its functions, and which function holds which part of it."""

    def __init__(self, path: Path, name: str) -> None:
        self.read(name, path.read_text(encoding="utf-8"))

    def read(self, name: str, source: str) -> None:
        """Take the source apart."""
        self.name = name
        self.tree = ast.parse(source)
        self.holder: dict[ast.AST, _Function] = {}
        self.constants: dict[str, ast.expr] = {}
        nodes = list(ast.walk(self.tree))
        self.calls = [(name, node) for node in nodes if isinstance(node, ast.Call) and (name := _name(node.func))]
        """Each call of something that has a name."""
        self.classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.constants[node.targets[0].id] = node.value
        self._hold(self.tree, None)

    def _hold(self, node: ast.AST, holder: _Function | None) -> None:
        for child in ast.iter_child_nodes(node):
            inside = child if isinstance(child, _Function) else holder
            if holder is not None:
                self.holder[child] = holder
            self._hold(child, inside)


def modules() -> list[Module]:
    """Every module of the three packages, in the order of their names."""
    found = []
    for package in PACKAGES:
        top = ROOT / package
        for path in top.rglob("*.py"):
            name = ".".join(path.relative_to(top.parent).with_suffix("").parts).removesuffix(".__init__")
            found.append(Module(path, name))
    return sorted(found, key=lambda module: module.name)


def kinds(of: list[Module]) -> dict[str, Kind]:
    """The classes of errors by name, found from their bases."""
    found = {name: Kind(name, "", 0) for name in ("P2pfdError", TYPED)}
    classes = [node for module in of for node in module.classes]
    grown = True
    while grown:
        new = [node for node in classes if node.name not in found and any(_name(base) in found for base in node.bases)]
        grown = bool(new)
        for node in new:
            base = next(name for name in map(_name, node.bases) if name in found)
            found[node.name] = _kind(node, found[base])
    return found


def _kind(node: ast.ClassDef, base: Kind) -> Kind:
    """The class, with the argument of its constructor that becomes the message, or what the message is made of."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            names = [argument.arg for argument in method.args.args[1:]]
            for call in ast.walk(method):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__" and call.args:
                    used = _name(call.args[0])
                    place = names.index(used) if used in names else -1
                    return Kind(node.name, base.name, place, call.args[0] if place < 0 else None)
    return Kind(node.name, base.name, base.place, base.made)


def entries(of: list[Module] | None = None) -> list[Entry]:
    """All of them, each once."""
    of = modules() if of is None else of
    known = kinds(of)
    found: set[Entry] = set()
    for module in of:
        for name, call in module.calls:
            kind = known.get(name)
            if kind is None:
                continue
            for what, fix in _messages(module, call, kind):
                if _says(what):
                    found.add(Entry(module.name, what, fix, name))
    return sorted(found)


def _messages(module: Module, call: ast.Call, kind: Kind) -> Iterator[tuple[str, str]]:
    """The message and the way out, as often as they can be something else."""
    if kind.made is not None:
        yield from ((what, "") for what in texts(module, kind.made))
        return
    what, fix = _argument(call, kind.place, "what"), _argument(call, kind.place + 1, "fix")
    if what is None:
        return
    function = module.holder.get(call)
    pairs = [(what, fix)]
    if function is not None and fix is not None and _is_handed(function, fix):
        # Both come from whoever calls this function, and what one call says goes with what that call says to do.
        calls = [by for name, by in module.calls if name == function.name]
        pairs = [(_filled(function, by, what), _filled(function, by, fix)) for by in calls] or pairs
    for one, other in pairs:
        fixes = dict.fromkeys(texts(module, other)) if other is not None else [""]
        yield from ((each, " / ".join(fixes)) for each in texts(module, one))


class _Filling(ast.NodeTransformer):
    """Puts what a call hands over in the place of a function's arguments."""

    def __init__(self, function: _Function, call: ast.Call) -> None:
        self.function, self.call = function, call

    def visit_Name(self, node: ast.Name) -> ast.expr:
        given = _handed(self.function, self.call, node.id) if _is_handed(self.function, node) else None
        return given if given is not None else node


def _filled(function: _Function, call: ast.Call, value: ast.expr) -> ast.expr:
    filled: ast.expr = _Filling(function, call).visit(copy.deepcopy(value))
    return filled


def _argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    if len(call.args) > place:
        return call.args[place]
    return next((word.value for word in call.keywords if word.arg == name), None)


def _is_handed(function: _Function, value: ast.expr) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return isinstance(value, ast.Name) and value.id in [argument.arg for argument in arguments]


def _handed(function: _Function, call: ast.Call, name: str) -> ast.expr | None:
    """What a call hands over for an argument of the function."""
    arguments = [argument.arg for argument in [*function.args.posonlyargs, *function.args.args]]
    place = arguments.index(name) - (arguments[0] in ("self", "cls")) if name in arguments else len(call.args)
    return _argument(call, place, name)


def texts(module: Module, node: ast.expr, depth: int = 0) -> Iterator[str]:
    """What an expression can be as text; an ellipsis where that is known only when it happens."""
    if depth > 6:
        yield HOLE
        return
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield from _joined(module, parts, depth)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            ends = list(texts(module, right, depth + 1))
            yield from (begin + end for begin in texts(module, left, depth + 1) for end in ends)
        case ast.IfExp(body=one, orelse=other):
            yield from texts(module, one, depth + 1)
            yield from texts(module, other, depth + 1)
        case ast.BoolOp(values=values):
            for value in values:
                yield from texts(module, value, depth + 1)
        case ast.Name(id=name):
            yield from dict.fromkeys(_variable(module, node, name, depth))
        case _:
            yield HOLE


def _joined(module: Module, parts: list[ast.expr], depth: int) -> Iterator[str]:
    """An f-string. What fills it is left open, unless it is a choice of words, or all that the message says."""
    silent = not _says("".join(str(part.value) for part in parts if isinstance(part, ast.Constant)))
    made = [""]
    for part in parts:
        ways = [HOLE]
        match part:
            case ast.Constant(value=str(text)):
                ways = [text]
            case ast.FormattedValue(value=ast.IfExp() | ast.JoinedStr() | ast.Constant() as value) if len(made) < 5:
                ways = list(texts(module, value, depth + 1))
            case ast.FormattedValue(value=ast.Name(id=name) as value) if silent or name in ("what", "why"):
                ways = list(texts(module, value, depth + 1))
        made = list(dict.fromkeys(begin + way for begin in made for way in ways))
    yield from made


def _variable(module: Module, node: ast.expr, name: str, depth: int) -> Iterator[str]:
    """What a name stands for: a constant, what the function assigns to it, or what its callers hand over."""
    if name in module.constants:
        yield from texts(module, module.constants[name], depth + 1)
        return
    function = module.holder.get(node)
    values: list[ast.expr] = []
    if function is not None:
        for step in ast.walk(function):
            targets = step.targets if isinstance(step, ast.Assign) else [getattr(step, "target", step)]
            value = getattr(step, "value", None)
            if isinstance(step, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and value is not None:
                values += [value for target in targets if _name(target) == name]
        if _is_handed(function, ast.Name(name)):
            calls = [call for called, call in module.calls if called == function.name]
            values += [value for call in calls if (value := _handed(function, call, name)) is not None]
    for value in values:
        yield from texts(module, value, depth + 1)
    if not values:
        yield HOLE


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _says(what: str) -> bool:
    """Whether anything is left when what is filled in is taken away."""
    return bool(re.search(r"\w", what.replace(HOLE, "")))

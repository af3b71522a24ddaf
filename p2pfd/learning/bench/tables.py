"""The tables: which meshes they compare, and how they are written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from types import MappingProxyType

from p2pfd.errors import PlanError
from p2pfd.learning.bench.cell import ALONE, ATTACKS, Cell, Result
from p2pfd.learning.recipes import Recipe

ELSEWHERE = ("cifar10-jpeg", "synthetic:mixtures", "synthetic:shapes")
"""Where public samples can come from that are not held out."""
Row = tuple[str, Callable[[int], Cell]]
"""What the row is called, and its mesh for a seed."""
Measured = Mapping[str, Sequence[Result]]
"""For each row, in the order of the table, a result for each seed."""
_UNEVEN = "dirichlet:0.1"
_METHODS = (("cfd", "cfd"), ("FedAvg", "fedavg"), ("FedAvg, adjusted", "fedavg-adjusted"), ("alone", ALONE))


@dataclass(frozen=True)
class Table:
    """A name, what it shows, its rows, and how its figures are written: Markdown, and keys with numbers."""

    name: str
    about: str
    rows: tuple[Row, ...]
    markdown: Callable[[Measured], str]
    figures: Callable[[Measured], dict[str, object]]

    def cells(self, seeds: Sequence[int]) -> list[tuple[str, Cell]]:
        """Every mesh of the table with its row, seed after seed: what is there first is a whole table of one seed."""
        return [(name, make(seed)) for seed in seeds for name, make in self.rows]


def table_of(name: str, recipe: Recipe) -> Table:
    """The table of this name; PlanError lists the names that exist."""
    if name not in TABLES:
        raise PlanError(f"there is no table {name!r}", f"choose one of {', '.join(TABLES)}")
    return TABLES[name](recipe)


def only(table: Table, words: str) -> Table:
    """The rows whose names contain these words, as a plain list; PlanError lists the names when there is none."""
    rows = tuple(row for row in table.rows if words in row[0])
    if not rows:
        names = ", ".join(name for name, _ in table.rows)
        raise PlanError(f"no row of {table.name} has {words!r} in its name", f"the rows are {names}")
    return replace(table, rows=rows, markdown=_listing)


def mean_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and the standard deviation from one seed to the next; none of one seed."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text and the others are numbers."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _score(results: Sequence[Result]) -> str:
    return _spread([result.accuracy for result in results])


def _own(results: Sequence[Result]) -> str:
    """Of the models that the nodes trained last; where there are none but the common one, a dash."""
    return _spread([result.own for result in results]) if any(result.own for result in results) else "–"


def _both(results: Sequence[Result]) -> str:
    """Of each node's own model and the common one together; where there is but the common one, a dash."""
    return _spread([result.both for result in results]) if any(result.both for result in results) else "–"


def _spread(shares: Sequence[float]) -> str:
    mean, sd = mean_sd(shares)
    return f"{_short(mean)} ± {_short(sd)}"


def _kilobytes(results: Sequence[Result]) -> str:
    return f"{fmean(result.bytes for result in results) / 1000:,.1f}"


def _listing(measured: Measured) -> str:
    rows = [
        (
            name,
            _score(found),
            _own(found),
            _both(found),
            _kilobytes(found),
            f"{fmean(result.seconds for result in found):.0f}",
        )
        for name, found in measured.items()
    ]
    return grid(("mesh", "accuracy", "own models", "both", "kB sent by a node", "seconds"), rows)


def _key(name: str) -> str:
    letters = (letter if letter.isalnum() else " " for letter in name.lower().replace("α", "alpha"))
    return "_".join("".join(letters).split())


def _each(measured: Measured) -> dict[str, object]:
    out: dict[str, object] = {}
    for name, found in measured.items():
        mean, sd = mean_sd([result.accuracy for result in found])
        out |= {f"{_key(name)}_accuracy": round(mean, 4), f"{_key(name)}_sd": round(sd, 4)}
        if any(result.own for result in found):
            out[f"{_key(name)}_own"] = round(fmean(result.own for result in found), 4)
            out[f"{_key(name)}_both"] = round(fmean(result.both for result in found), 4)
        out[f"{_key(name)}_kb"] = round(fmean(result.bytes for result in found) / 1000, 2)
    return out


def _headline(recipe: Recipe) -> Table:
    rows = tuple((name, _make(recipe, method=method)) for name, method in _METHODS)
    about = f"{recipe.data}, 10 nodes, dirichlet:0.1, {recipe.rounds} rounds"
    return Table("headline", about, rows, _listing, _each)


def _skew(recipe: Recipe) -> Table:
    meshes = [("iid", "iid", 10), ("α = 1", "dirichlet:1", 10), ("α = 0.1", "dirichlet:0.1", 10)]
    meshes.append(("α = 0.1, 20 nodes", "dirichlet:0.1", 20))
    rows = tuple(
        (f"{words}: {name}", _make(recipe, method=method, partition=partition, nodes=nodes))
        for words, partition, nodes in meshes
        for name, method in _METHODS
    )

    def markdown(measured: Measured) -> str:
        lines = [
            (
                words,
                *(_score(measured[f"{words}: {name}"]) for name, _ in _METHODS),
                _own(measured[f"{words}: cfd"]),
                _both(measured[f"{words}: cfd"]),
                _kilobytes(measured[f"{words}: cfd"]),
            )
            for words, _, _ in meshes
        ]
        return grid(("private data", *(name for name, _ in _METHODS), "own models, cfd", "both, cfd", "kB, cfd"), lines)

    return Table("skew", f"{recipe.data}, by how classes are spread", rows, markdown, _each)


def _attack(recipe: Recipe) -> Table:
    lies = [(attack, liars) for attack in ATTACKS[1:] for liars in (2, 4)]
    meshes = [("nobody lies", _make(recipe, partition="dirichlet:1"))]
    meshes += [
        (f"{liars} of 10: {attack}", _make(recipe, partition="dirichlet:1", attack=attack, liars=liars))
        for attack, liars in lies
    ]
    return Table("attack", f"{recipe.data}, 10 nodes, dirichlet:1, liars among them", tuple(meshes), _listing, _each)


def _bits(recipe: Recipe) -> Table:
    names = {bits: _named("cfd", bits) for bits in (1, 2, 4, 16)}
    rows = tuple((name, _make(_with_bits(recipe, bits))) for bits, name in names.items())

    def markdown(measured: Measured) -> str:
        head = ["round"]
        for name in names.values():
            head += [f"{name}: bits a label", "accuracy"]
        head += ["entropy of labels", "of changes"]
        lines = []
        for rnd in range(recipe.rounds):
            line = [str(rnd + 1)]
            for name in names.values():
                points = [result.curve[rnd] for result in measured[name]]
                line += [f"{fmean(point.sent for point in points):.3f}", _short(fmean(p.accuracy for p in points))]
            points = [result.curve[rnd] for result in measured["cfd"]]
            line += [f"{fmean(point.entropy for point in points):.3f}", f"{fmean(p.changed for p in points):.3f}"]
            lines.append(line)
        return grid(head, lines)

    return Table("bits", f"{recipe.data}, 10 nodes, dirichlet:0.1, what a label costs", rows, markdown, _each)


def _public(recipe: Recipe) -> Table:
    sources = tuple(name for name in ELSEWHERE if name != recipe.data)
    rows: tuple[Row, ...] = (("held out", _make(recipe, partition="dirichlet:1")),)
    rows += tuple(
        (_named(name, bits), _make(_with_bits(recipe.elsewhere(), bits), partition="dirichlet:1", public_from=name))
        for name in sources
        for bits in (1, 4)
    )
    rows += ((ALONE, _make(recipe, method=ALONE, partition="dirichlet:1")),)
    about = f"{recipe.data}, 10 nodes, dirichlet:1, by where public samples are from"
    return Table("public", about, rows, _listing, _each)


def _named(what: str, bits: int) -> str:
    return what if bits == 1 else f"{what}, {bits} bits"


def _with_bits(recipe: Recipe, bits: int) -> Recipe:
    return recipe if bits == 1 else recipe.having({"bits": bits})


def _short(share: float) -> str:
    return f"{share:.3f}".replace("0.", ".")


def _make(recipe: Recipe, method: str = "cfd", partition: str = _UNEVEN, **more: object) -> Callable[[int], Cell]:
    suited = recipe.on(partition) if method in ("cfd", ALONE) else recipe.averaged(partition)
    return lambda seed: Cell(suited, seed, method=method, partition=partition, **more)  # type: ignore[arg-type]


TABLES: Mapping[str, Callable[[Recipe], Table]] = MappingProxyType(
    {"headline": _headline, "skew": _skew, "attack": _attack, "bits": _bits, "public": _public}
)
"""By name."""

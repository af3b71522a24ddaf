"""`p2pfd data list|show|fetch|check`: which data sets lie here, and whether one's own files can be one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number, one_of
from p2pfd.cli.screen import Screen
from p2pfd.errors import PlanError, UsageError

if TYPE_CHECKING:
    from p2pfd.learning.data.own import Own
    from p2pfd.learning.data.source import Content, Source

ACTIONS = ("list", "show", "fetch", "check")
_LARGEST_SIDE = 256
_TABLES = (".csv", ".tsv", ".txt")
_SAVED = ("state.json", "dataset_dict.json")
_FEW = 10


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Do what the first word says."""
    if (args.what is None) != (args.action == "list"):
        words = "takes no name" if args.action == "list" else f"needs a {'path' if args.action == 'check' else 'name'}"
        raise UsageError(f"p2pfd data {args.action} {words}", "for example: p2pfd data show fashion")
    match args.action:
        case "list":
            _list(screen)
        case "show":
            _show(args.what, screen)
        case "fetch":
            _fetch(args.what, screen)
        case _:
            _check(args, screen)
    return exits.OK.code


def _list(screen: Screen) -> None:
    from p2pfd.learning.data.sets import known_sets, source_of

    sets = [_described(source_of(name)) for name in known_sets()]
    rows = [("set", "samples", "shape", "classes", "licence", "where")]
    for told in sets:
        samples = f"{told['train']:,} + {told['test']:,}" if told["test"] else f"{told['train']:,}"
        rows.append(
            (
                str(told["name"]),
                samples,
                str(told["shape"]),
                str(told["classes"]),
                str(told["licence"]),
                str(told["place"] or _absent(told)),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        screen.say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    screen.say()
    screen.say("your own files: p2pfd data check FILE")
    screen.result({"sets": sets})


def _absent(told: Mapping[str, object]) -> str:
    return f"not here; p2pfd data fetch {told['name']}" if told["can_fetch"] else "not here"


def _described(source: Source) -> dict[str, object]:
    from p2pfd.learning.data.places import folders

    place = "" if source.places else "scikit-learn"
    for folder in folders():
        for files in source.places:
            if not place and all((folder / file).is_file() for file in files):
                place = str((folder / files[0]) if len(files) == 1 else (folder / files[0]).parent)
    return {
        "name": source.name,
        "about": source.about,
        "train": source.samples - source.test,
        "test": source.test,
        "shape": " × ".join(str(side) for side in source.shape),
        "classes": source.classes,
        "licence": source.licence,
        "home": source.home,
        "sha256": source.sha256.hex(),
        "place": place,
        "can_fetch": bool(source.home),
    }


def _show(name: str, screen: Screen) -> None:
    from p2pfd.learning.data.sets import source_of

    told = _described(source_of(name))
    for key in ("name", "about", "train", "test", "shape", "classes", "licence", "home", "sha256"):
        screen.say(f"{key:8}{told[key]}")
    screen.say(f"{'place':8}{told['place'] or _absent(told)}")
    screen.say()
    official = int(str(told["test"]))
    shape = source_of(name).shape
    lines = _lines(name, str(told["sha256"]), int(str(told["classes"])), int(str(told["train"])), official, shape)
    screen.say("\n".join(lines))
    screen.result({**told, "lines": lines})


def _fetch(name: str, screen: Screen) -> None:
    from p2pfd.learning.data.sets import open_set, source_of

    found = open_set(name)  # downloads what is not here, and checks it
    told = _described(source_of(name))
    screen.say(f"{name} is here, in {told['place']}: {len(found.x):,} samples with the hash {found.sha256.hex()}")
    screen.result(told)


def _check(args: argparse.Namespace, screen: Screen) -> None:
    from p2pfd.learning.data.places import VARIABLE, folders

    path: Path = Path(args.what)
    own = _own(args, path)
    content = own.read(path)
    train = len(content.x) - content.test
    counts = [int((content.y == place).sum()) for place in range(len(content.classes))]
    remarks = _remarks(content, counts)
    shape = " × ".join(str(side) for side in content.x.shape[1:])
    screen.say(f"{path}: {len(content.x):,} samples of {shape} {'pixels' if own.side else 'numbers'}")
    for name, count in zip(content.classes, counts, strict=True):
        screen.say(f"  {count:7,}  {name}")
    for remark in remarks:
        screen.say(f"note: {remark}")
    here = any(path.resolve() == (folder / own.file).resolve() for folder in folders())
    if not here:
        screen.say(f"note: nodes look for {own.file} in {folders()[0]}: put it there, or set {VARIABLE}")
    screen.say()
    sides = content.x.shape[1:]
    lines = _lines(own.name(), content.digest().hex(), len(content.classes), train, content.test, sides)
    screen.say("\n".join(lines))
    screen.result(
        {
            "name": own.name(),
            "sha256": content.digest().hex(),
            "samples": len(content.x),
            "test": content.test,
            "shape": shape,
            "classes": dict(zip(content.classes, counts, strict=True)),
            "notes": remarks,
            "in_place": here,
            "lines": lines,
        }
    )


def _own(args: argparse.Namespace, path: Path) -> Own:
    """What the path is, by what lies there, and how it would be named in a task."""
    from p2pfd.core.spec import MAX_NAME
    from p2pfd.learning.data.own import Own, parsed

    file = path.resolve().name
    if path.is_dir() and not any((path / name).is_file() for name in _SAVED):
        own = Own("folder", file, side=args.side or 28, grey=args.grey)
    elif path.is_dir():
        own = Own("arrow", file, args.label or "label", args.side or 0, args.grey)
    elif path.suffix.lower() in _TABLES or path.is_file():
        if not args.label:
            raise UsageError("which column is the label?", f"p2pfd data check {args.what} --label NAME")
        own = Own("csv", file, args.label)
    else:
        raise PlanError(f"there is no {path}", "name a CSV file or a folder")
    if len(own.name()) > MAX_NAME:
        raise PlanError(f"{own.name()!r} is too long for a task", f"shorten the names: {MAX_NAME} characters at most")
    if parsed(own.name()) != own:
        raise PlanError(f"a task cannot name {path}", "rename the file: no colons in its name, and no dot in front")
    return own


def _remarks(content: Content, counts: list[int]) -> list[str]:
    """What is no error, and yet worth knowing."""
    import numpy as np

    out = [
        f"class {name} has only {count} samples"
        for name, count in zip(content.classes, counts, strict=True)
        if count < _FEW
    ]
    rows = np.ascontiguousarray(content.x).reshape(len(content.x), -1)
    twice = len(rows) - len(np.unique(rows.view(np.void(rows.shape[1] * rows.itemsize).dtype)))
    if twice:
        out.append(f"{twice:,} samples are there more than once, so a test sample may also be trained on")
    flat = [
        name
        for name, low, high in zip(content.columns, rows.min(axis=0), rows.max(axis=0), strict=False)
        if low == high
    ]
    return out + [f"column {name} is the same everywhere" for name in flat]


def _lines(name: str, sha256: str, classes: int, train: int, test: int, shape: tuple[int, ...]) -> list[str]:
    """What a task file has about the data; the sizes and the net are a proposal."""
    from p2pfd.learning.learners import net_for

    return [
        "[data]",
        f'name = "{name}"',
        f'sha256 = "{sha256}"',
        f"classes = {classes}",
        'partition = "iid"',
        "seed = 1",
        f"public = {max(1, min(1024, train // 5))}",
        f"validation = {train // 10}",
        f"test = {test or train // 5}",
        "",
        "[settings]",
        f'net = "{net_for(shape)}"',
    ]


def _options(parser: Parser) -> None:
    parser.add_argument("action", type=one_of(*ACTIONS), help=", ".join(ACTIONS))
    parser.add_argument("what", nargs="?", help="a set's name; for check, a CSV file or a folder")
    parser.add_argument("--label", metavar="COLUMN", help="the column with the label, for check")
    parser.add_argument(
        "--side",
        type=number(1, _LARGEST_SIDE),
        metavar="PIXELS",
        help="the side that pictures are scaled to, for check (28)",
    )
    parser.add_argument("--grey", action="store_true", help="pictures without their colours, for check")


DATA = Command(
    "data",
    "list, fetch or check data sets and your own files",
    "p2pfd data check wine.csv --label quality",
    _options,
    run,
)

"""`localnet dump`: a run as files that any program reads, with all that a bug report needs, and without a key."""

from __future__ import annotations

import argparse
import csv
import json
import platform
import shutil
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import p2pfd
from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen, size
from p2pfd.errors import PlanError
from p2pfd_localnet import discretion
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.inspection import of_node
from p2pfd_localnet.options import add_state
from p2pfd_localnet.reading import Reader
from p2pfd_localnet.state import State
from p2pfd_localnet.status import plain
from p2pfd_localnet.view import MeshView

_AS_THEY_ARE = ("mesh.json", "past.json", "task.json", "report.html", "up.log", "zygote.log", "chain/chain.log")
_PACKAGES = ("trio", "libp2p", "torch", "numpy", "scikit-learn", "py-evm", "coincurve", "cryptography", "msgpack")
_MOST_LOG = 4_000_000
"""Of a log, so many bytes from its end."""
_ROUND = (
    *("round", "workers", "committed", "revealed", "offered", "learnt", "accuracy"),
    *("counted", "paid", "refunded"),
)
_NODE = (
    *("name", "life", "peer", "account", "rounds", "alone", "together"),
    *("sent", "received", "label_bytes", "weights", "error"),
)
_README = """A run of a local mesh.

events.jsonl    every event of every node, by time       status.json  how it is, as localnet status --json
rounds.csv      a line a round                           nodes.csv    a line a node
accuracy.csv    a line a round and node                  payments.csv a line a payment
encounters.csv  a line a word of an encounter            nodes/       all that is known of each, and what it printed
mesh.json       the plan     task.json  the task         past.json    how long it ran, and stood still
versions.json   of p2pfd, Python, this system, and the libraries that results depend on

There is no key in here: every file was searched for them. But the keys of a local mesh are made from its seed, which
the plan tells. They are for throwing away; put no money on such an account.
"""


def write(reader: Reader, folder: Path) -> None:
    """Write everything into a folder that is there and empty."""
    events = reader.look()
    state, view = reader.state, reader.view
    (folder / "README.txt").write_text(_README, encoding="utf-8")
    with (folder / "events.jsonl").open("w", encoding="utf-8") as file:
        for event in events:
            line = {"t": event.t, "node": event.node, "event": event.name, **event.fields}
            file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
    _json(folder / "status.json", plain(reader, str(state.home)))
    _json(folder / "versions.json", versions())
    _tables(folder, view, events)
    (folder / "nodes").mkdir()
    for name in view.nodes:
        _json(folder / "nodes" / f"{name}.json", of_node(reader, name))
        _copy(state.node(name) / "output.log", folder / "nodes" / f"{name}.log")
    for name in _AS_THEY_ARE:
        _copy(state.home / name, folder / Path(name).name)


def versions() -> dict[str, str]:
    """What results depend on."""
    found = {"p2pfd": p2pfd.__version__, "python": sys.version.split()[0], "system": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def _tables(folder: Path, view: MeshView, events: Iterable[NodeEvent]) -> None:
    rounds = []
    for rnd, phase in sorted(view.phases.items()):
        end = view.settled.get(rnd)
        settled = (end.counted, end.paid, end.refunded) if end is not None else ("", "", "")
        acted = (phase.workers, phase.committed, phase.revealed, phase.offered)
        rounds.append((rnd, *acted, view.absorbed(rnd), _known(view.accuracy(rnd)), *settled))
    _csv(folder / "rounds.csv", _ROUND, rounds)
    nodes = [
        (*(_known(getattr(node, name)) for name in _NODE), sum(node.paid.values())) for node in view.nodes.values()
    ]
    _csv(folder / "nodes.csv", (*_NODE, "paid"), nodes)
    _csv(
        folder / "accuracy.csv",
        ("round", "node", "accuracy"),
        sorted((rnd, node.name, value) for node in view.nodes.values() for rnd, value in node.accuracy.items()),
    )
    names = {node.account: node.name for node in view.nodes.values() if node.account}
    payments = {
        (event.whole("round"), names.get(event.text("account"), ""), event.text("account"), event.whole("amount"))
        for event in events
        if event.name == "round.paid"
    }
    _csv(folder / "payments.csv", ("round", "node", "account", "amount"), sorted(payments))
    met = [event for event in events if event.text("part")]
    if met:
        rows = [
            (event.t, event.node, event.name, event.text("part"), json.dumps(dict(event.fields), default=str))
            for event in met
        ]
        _csv(folder / "encounters.csv", ("t", "node", "event", "part", "fields"), rows)


def _known(value: object) -> object:
    return "" if value is None else value


def _csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(head)
        table.writerows(rows)


def _json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(
        json.dumps({"schema": 1, **value}, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
    )


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        return
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - _MOST_LOG))
        target.write_bytes(file.read())


def _dump(args: argparse.Namespace, screen: Screen) -> int:
    state, target = State(args.state), args.dir
    reader = Reader(state)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PlanError(f"{target} is there already", "name a directory that is not, or is empty")
    part = target.with_name(f".{target.name}.part")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    try:
        write(reader, part)
        discretion.check(part, discretion.secrets_of(state))
        if target.exists():
            target.rmdir()
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    files = {str(path.relative_to(target)): path.stat().st_size for path in sorted(target.rglob("*")) if path.is_file()}
    screen.say(
        f"dumped {args.state}, {reader.view.how_far()}: {len(files)} files, {size(sum(files.values()))} in {target}"
    )
    screen.result({"dump": str(target), "files": files})
    return exits.OK.code


def _options(parser: Parser) -> None:
    parser.add_argument("dir", type=Path, help="a directory that is not there yet, or is empty")
    add_state(parser)


DUMP = Command(
    "dump", "a run as JSON lines and CSV, with all that a bug report needs", "localnet dump run-1", _options, _dump
)

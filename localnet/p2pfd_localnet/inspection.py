"""`localnet inspect`: everything that one wants to know of a node, from its files, whether it runs or not."""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, did_you_mean
from p2pfd.cli.screen import Screen, size
from p2pfd.core.canonical import decode
from p2pfd.errors import P2pfdError, StorageError, UsageError
from p2pfd.node.config import FILE as CONFIG_FILE
from p2pfd.node.store import FILE as STORE_FILE
from p2pfd.settlement.outbox import FILE as OUTBOX_FILE
from p2pfd_localnet import words
from p2pfd_localnet.events import NodeEvent, Tail
from p2pfd_localnet.options import add_state
from p2pfd_localnet.reading import Reader
from p2pfd_localnet.state import State

SHOWN = 8
"""So many of the latest claims and troubles."""
_TRIES = 3
_MOST = 64 * 1024 * 1024
_TROUBLE = ("error", "why", "reason", "failure")
_STATE = ("kind", "phase", "stage", "round", "attempts", "enrolments")
"""What a machine's snapshot says of where it stands, whatever role it is of."""


def of_node(reader: Reader, name: str) -> dict[str, Any]:
    """What there is to know of one node of a mesh."""
    home = reader.state.node(name)
    node, view = reader.view.nodes[name], reader.view
    events = list(Tail(home / "events.jsonl").new())
    config = _config(home / CONFIG_FILE)
    peers = {other.peer: other.name for other in view.nodes.values() if other.peer}
    return {
        "node": name,
        "life": words.life(node, running=reader.running),
        "pid": node.pid if reader.running else 0,
        "peer": node.peer,
        "account": node.account,
        "shard": f"{config.get('shard', '?')}/{config.get('shards', '?')}",
        "behaviour": config.get("behaviour", ""),
        "addresses": list(node.addresses),
        "metrics": _latest(events, "node.listening", "metrics") or "",
        "device": node.device,
        "chain_url": _without_path(str(config.get("chain_url", ""))),
        "peers": sorted(peers.get(peer, peer) for peer in _latest(events, "node.network", "peers") or ()),
        "sent": node.sent,
        "received": node.received,
        "round": node.rounds,
        "rounds": view.rounds,
        "accuracy": {str(rnd): value for rnd, value in sorted(node.accuracy.items())},
        "paid": {str(rnd): units for rnd, units in sorted(node.paid.items())},
        "store": _store(home / STORE_FILE),
        "claims": _claims(home / OUTBOX_FILE),
        "trouble": [_told(event) for event in _troubles(events)],
        "files": {str(path.relative_to(home)): path.stat().st_size for path in sorted(_files(home))},
        "home": str(home),
    }


def _without_path(url: str) -> str:
    """An address as it may be shown: in its path may be what opens it."""
    return "/".join(url.split("/")[:3])


def _config(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a node that was never furnished has none, and what else is known is shown all the same
    return value if isinstance(value, dict) else {}


def _latest(events: list[NodeEvent], name: str, key: str) -> Any:
    return next((event.fields[key] for event in reversed(events) if event.name == name and key in event.fields), None)


def _troubles(events: list[NodeEvent]) -> list[NodeEvent]:
    return [event for event in events if any(event.text(key) for key in _TROUBLE)][-SHOWN:]


def _told(event: NodeEvent) -> dict[str, Any]:
    return {"t": event.t, "event": event.name, **event.fields}


def _files(home: Path) -> Iterable[Path]:
    return (path for path in home.rglob("*") if path.is_file() and "keys" not in path.relative_to(home).parts)


# -- databases ---------------------------------------------------------------------------------------------------------


def read_rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query on a copy of a database: a process that runs has the file itself for its own."""
    for tries_left in reversed(range(_TRIES)):
        with tempfile.TemporaryDirectory(prefix="p2pfd-") as folder:
            copy = Path(folder) / path.name
            for source in (path, path.with_name(f"{path.name}-wal")):
                if source.exists():
                    shutil.copyfile(source, copy.with_name(source.name))
            try:
                with closing(sqlite3.connect(copy)) as db:
                    return db.execute(query).fetchall()
            except sqlite3.DatabaseError as error:  # copied while it was written, or it is damaged
                if not tries_left:
                    raise StorageError(
                        f"{path} cannot be read: {error}", "try again, or stop the mesh first"
                    ) from error
    raise AssertionError("not reached")


def _store(path: Path) -> dict[str, Any]:
    """The node's last snapshot: how large it is, and where it stands."""
    if not path.exists():
        return {}
    try:
        rows = read_rows(path, "select machine, learner, block, idx from snapshot")
    except StorageError as error:
        return {"error": error.what}
    if not rows:
        return {"snapshot": None}
    machine, learner, block, _ = rows[-1]
    known: dict[str, Any] = {"machine_bytes": len(machine), "learner_bytes": len(learner), "block": block}
    try:
        value = decode(machine, limit=_MOST)
    except P2pfdError as error:
        return {**known, "error": error.what}
    plain = value if isinstance(value, dict) else {}
    return {**known, **{key: plain[key] for key in _STATE if isinstance(plain.get(key), (str, int))}}


def _claims(path: Path) -> dict[str, Any]:
    """What it asked of the chain, and what became of that."""
    if not path.exists():
        return {}
    try:
        rows = read_rows(path, "select name, tx, block, success, reason from intent order by seq")
    except StorageError as error:
        return {"error": error.what}
    named = [
        {
            "name": str(name).partition("/")[2] or str(name),
            "transaction": tx.hex() if isinstance(tx, bytes) else "",
            "block": block,
            "came": "under way" if tx is None else "included" if success else f"reverted: {reason}",
        }
        for name, tx, block, success, reason in rows
    ]
    counts = {
        way: sum(claim["came"].startswith(way) for claim in named) for way in ("included", "reverted", "under way")
    }
    return {**counts, "latest": named[-SHOWN:]}


# -- the command -------------------------------------------------------------------------------------------------------


def _inspect(args: argparse.Namespace, screen: Screen) -> int:
    reader = Reader(State(args.state))
    reader.look()
    names = list(reader.view.nodes)
    if args.node not in names:
        raise UsageError(f"there is no node {args.node!r}", did_you_mean(args.node, names))
    known = of_node(reader, args.node)
    _say(known, screen)
    screen.result(known)
    return exits.OK.code


def _say(known: dict[str, Any], screen: Screen) -> None:
    def line(head: str, text: str) -> None:
        if text:
            screen.say(screen.style(head.ljust(10), "bold") + text)

    bad = f", behaves: {known['behaviour']}" if known["behaviour"] else ""
    process = f", process {known['pid']}" if known["pid"] else ""
    line(known["node"], f"{known['life']}{process}, shard {known['shard']}{bad}")
    line("peer", known["peer"])
    line("account", known["account"])
    for place, address in enumerate(known["addresses"]):
        line("" if place else "address", address)
    line("metrics", known["metrics"])
    line("chain", known["chain_url"])
    line("peers", ", ".join(known["peers"]))
    line("traffic", f"{size(known['sent'])} sent, {size(known['received'])} received")
    last = list(known["accuracy"].values())[-1:]
    accuracy = f", accuracy {words.percent(last[0])}" if last else ""
    line("round", f"{known['round']}/{known['rounds']}{accuracy}, paid {words.tokens(sum(known['paid'].values()))}")
    line("store", _store_words(known["store"]))
    claims = known["claims"]
    if "error" in claims:
        line("claims", claims["error"])
    elif claims:
        line("claims", ", ".join(f"{claims[way]} {way}" for way in ("included", "reverted", "under way")))
        for claim in claims["latest"]:
            at = f" in block {claim['block']}" if claim["block"] is not None else ""
            line("", f"{claim['name']}: {claim['came']}{at}")
    for place, told in enumerate(known["trouble"]):
        why = next(str(told[key]) for key in _TROUBLE if told.get(key))
        line("" if place else "trouble", f"{told['event']}: {why}")
    line("files", f"{size(sum(known['files'].values()))} in {known['home']}")
    for name, count in known["files"].items():
        line("", f"{name}  {size(count)}")


def _store_words(store: dict[str, Any]) -> str:
    if "machine_bytes" not in store:
        return str(store.get("error", "no snapshot yet"))
    sizes = f"machine {size(store['machine_bytes'])}, learner {size(store['learner_bytes'])}"
    at = "".join(f", {key} {store[key]}" for key in _STATE if key in store)
    return f"{sizes}, the chain up to block {store['block']}{at}"


def _options(parser: Parser) -> None:
    parser.add_argument("node", help="a node's name")
    add_state(parser)


INSPECT = Command("inspect", "all that is known of one node", "localnet inspect node-0", _options, _inspect)

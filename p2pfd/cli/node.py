"""`p2pfd join` and `p2pfd run`: one node, in this process, until its task is over."""

from __future__ import annotations

import argparse
import json
import os
import threading
from pathlib import Path
from typing import Any

from p2pfd.cli import accept, boards, exits, mesh, passphrase
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number
from p2pfd.cli.screen import Screen
from p2pfd.cli.task_file import load as load_task
from p2pfd.core.spec import TaskSpec
from p2pfd.core.ticks import SECOND
from p2pfd.errors import P2pfdError, PlanError, UsageError, error_of
from p2pfd.learning.device import CPU, VARIABLE, choose
from p2pfd.node import config, keys, keystore
from p2pfd.node.clock import SystemClock
from p2pfd.node.store import FILE as STORE_FILE
from p2pfd.settlement.profiles import profile_of

LISTEN = "/ip4/0.0.0.0/tcp/0"
INVITATION = "invitation.p2pfd"


class Line:
    """The node's two pipes, held by this process: it hears us on one, and we render what it says on the other."""

    def __init__(self, screen: Screen, dial: tuple[str, ...]) -> None:
        self.screen = screen
        self.finished: dict[str, Any] = {}
        self.failed: dict[str, Any] = {}
        self.control, self._orders = os.pipe()
        self._said, self.status = os.pipe()
        self._reader = threading.Thread(target=self._render, daemon=True)
        self._order({"dial": list(dial)})
        self._reader.start()

    def close(self) -> None:
        """No more orders; whatever was said is rendered when this returns."""
        os.close(self.status)
        self._reader.join()
        for fd in (self._said, self._orders, self.control):
            os.close(fd)

    def _order(self, line: dict[str, object]) -> None:
        os.write(self._orders, json.dumps(line).encode() + b"\n")

    def _render(self) -> None:
        with os.fdopen(os.dup(self._said), "r", encoding="utf-8") as lines:
            for line in lines:
                self._tell(json.loads(line))

    def _tell(self, told: dict[str, Any]) -> None:
        match told["event"]:
            case "listening":
                self.screen.say(f"peer    {told['peer']}\naccount {told['account']}")
                for address in told["addresses"]:
                    self.screen.say(f"address {address}")
                if "metrics" in told:
                    self.screen.say(f"metrics {told['metrics']}")
            case "unreachable":
                self.screen.say(f"waiting {told.get('error')}\n        {told.get('fix')}; it is dialled again")
            case "ready":
                self.screen.say(f"ready   {told.get('peers', 0)} peers connected")
            case "finished":
                self.finished = {key: value for key, value in told.items() if key not in ("event", "node")}
                self._order({"stop": True})
            case "failed":
                self.failed = told


def _run_node(path: Path, mine: keys.NodeKeys, dial: tuple[str, ...], screen: Screen, metrics: str = "") -> int:
    from p2pfd.node import process

    line = Line(screen, dial)
    try:
        code = process.run(path, line.control, line.status, mine, metrics)
    finally:
        line.close()
    if line.failed:
        raise error_of({"error": "the node failed", **line.failed})
    if code:
        raise P2pfdError(f"the node ended with code {code}")
    if not line.finished:
        raise KeyboardInterrupt  # it was told to end before its task was over
    together, alone = line.finished.get("accuracy_together"), line.finished.get("accuracy_alone")
    screen.say(f"done    accuracy alone {alone:.1%} → together {together:.1%}")
    screen.result(line.finished)
    return exits.OK.code


def _run(args: argparse.Namespace, screen: Screen) -> int:
    path = args.config / config.FILE if args.config.is_dir() else args.config
    settings = config.load(path)
    mine = _keys(Path(settings.home), settings.load_task(), args.passphrase_file)
    return _run_node(path, mine, settings.bootstrap, screen, args.metrics)


def _keys(home: Path, task: TaskSpec, passphrase_file: Path | None) -> keys.NodeKeys:
    """The node's keys; where it has none and the chain is a throw-away one, fresh ones that are kept plain."""
    at = home / "keys"
    chain = task.chain
    if chain.profile != "none" and profile_of(chain).live:
        if not keystore.exists(at):
            raise PlanError(
                f"{chain.profile} ({chain.chain_id}) is a live chain, and there are no keys in {at}",
                f"run: p2pfd keys new --home {home}",
            )
        keystore.require_encrypted(at, f"{chain.profile} ({chain.chain_id})")
    return keystore.open_or_make(at, passphrase.current(passphrase_file).get)


def _join(args: argparse.Namespace, screen: Screen) -> int:
    if (args.task is None) == (args.invitation is None):
        raise UsageError("join what?", "name an invitation, or a task file with --task FILE")
    named = accept.chain_named(args)
    home = args.home.absolute()
    network = mesh.settings_of(args)
    settled = config.network_settings(network, home)
    text, manifest = ("", None) if args.invitation is None else accept.invited(args, settled, screen)
    task = load_task(args.task) if manifest is None else manifest.task
    shard, shards = args.shard or (0, task.seats)  # of strangers each gets one by lot, below
    url = args.chain_url if manifest is None else accept.chain_url(manifest, named, args.chain_url, screen)
    if task.chain.profile != "none" and not url:
        raise PlanError(f"the task settles on chain {task.chain.chain_id}", "say where that answers: --chain-url URL")
    if manifest is not None:
        begun = _begun(home, task)
        if not begun:
            accept.new_keys(task, home, args.passphrase_file, screen)
        outlook = accept.agree(manifest, url, home, SystemClock().now() // SECOND, screen)
        if outlook is not None and not begun:
            accept.may_begin(manifest, outlook, args, screen)
        if args.dry_run:
            screen.result({"id": task.id.hex(), "home": str(home), "begun": begun})
            return exits.OK.code
    mine = _keys(home, task, args.passphrase_file)
    if manifest is not None and args.shard is None:
        shard = accept.shard_by_lot(task, mine.account.account, screen)
    device = choose(args.device or os.environ.get(VARIABLE, CPU))  # what is asked for and not there is said at once
    screen.say(f"device  {device}")
    config.save_task(task, home / "task.json")
    if text:
        (home / INVITATION).write_text(text, encoding="utf-8")
    settings = config.NodeConfig(
        name=home.name,
        home=str(home),
        shard=shard,
        shards=shards,
        seed=task.data.seed,
        listen=args.listen,
        bootstrap=tuple(args.bootstrap) or (() if manifest is None else manifest.bootstrap),
        task="task.json",
        chain_url=url,
        data_dir="",
        metrics=args.metrics,
        network=network,
        max_gwei=args.max_gwei,
        invitation=INVITATION if text else "",
        device=args.device,
    )
    settings.save(home / config.FILE)
    screen.say(f"join    {task.name} · {task.rounds} rounds · shard {shard} of {shards} · home {home}")
    return _run_node(home / config.FILE, mine, settings.bootstrap, screen)


def _begun(home: Path, task: TaskSpec) -> bool:
    """Whether a node there takes part in this task already: then it goes on. It is another's, if it does in another."""
    if not (home / config.FILE).is_file():
        return False
    found = config.load(home / config.FILE).load_task()
    if found.id != task.id:
        raise PlanError(f"{home} has a node of the task {found.name}", "name another directory: --home DIR")
    return (home / STORE_FILE).is_file()


def _shard(text: str) -> tuple[int, int]:
    place, _, count = text.partition("/")
    try:
        found = int(place), int(count)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a shard: write 0/4 for the first of four") from None
    if not 0 <= found[0] < found[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: shards are counted from 0")
    return found


def _join_options(parser: Parser) -> None:
    parser.add_argument(
        "invitation",
        nargs="?",
        help="what p2pfd task publish wrote: a file, an address, - or its text; with --at, a task's id",
    )
    boards.at_option(parser, "a notice board where the invitation hangs; several (P2PFD_BOARDS)")
    parser.add_argument("--task", type=Path, metavar="FILE", help="a task file, instead of an invitation: JSON or TOML")
    parser.add_argument(
        "--bootstrap", action="append", default=[], metavar="ADDR", help="a peer to dial; several times"
    )
    parser.add_argument("--home", type=Path, default=Path("p2pfd-node"), metavar="DIR", help="the node's directory")
    parser.add_argument("--shard", type=_shard, metavar="I/N", help="which part of the data is this node's (0 of all)")
    parser.add_argument("--listen", default=LISTEN, metavar="ADDR", help=f"where others can dial it ({LISTEN})")
    parser.add_argument("--chain-url", default="", metavar="URL", help="where the task's chain answers")
    mesh.options(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what taking part in an invitation means, and stop")
    most = "offer no more for a unit of gas (the profile's)"
    parser.add_argument("--max-gwei", type=number(0, 10**7), default=0, metavar="N", help=most)
    parser.add_argument("--yes", action="store_true", help="spend real funds without asking")
    what = f"on what it trains on its own samples: auto, cpu, cuda, cuda:N, mps ({VARIABLE}, or cpu)"
    parser.add_argument("--device", default="", metavar="DEVICE", help=what)
    _metrics_option(parser)
    passphrase.options(parser)


def _metrics_option(parser: Parser) -> None:
    parser.add_argument("--metrics", default="", metavar="ADDR:PORT", help="serve /metrics there; nowhere if not given")


def _run_options(parser: Parser) -> None:
    parser.add_argument("config", type=Path, help="a node's directory, or its node.json")
    _metrics_option(parser)
    passphrase.options(parser)


JOIN = Command(
    "join",
    "take part in a task: make a node and run it until the task is over",
    "p2pfd join digits.p2pfd --home p2pfd-node",
    _join_options,
    _join,
)
RUN = Command("run", "run a node that join made, again", "p2pfd run p2pfd-node", _run_options, _run)

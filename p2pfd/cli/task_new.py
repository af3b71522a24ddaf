"""`p2pfd task new`: a task file to begin with, in which the data's hash and the chain's contracts are right."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from p2pfd.cli import exits
from p2pfd.cli.parse import Parser, number
from p2pfd.cli.screen import Screen
from p2pfd.core.ids import Amount
from p2pfd.core.spec import MAX_SEATS, NO_CHAIN, ChainSpec, DataSpec, MoneySpec, PhaseSpec, TaskSpec, in_hex
from p2pfd.errors import PlanError, StorageError
from p2pfd.settlement import deployments

_UNIT = 10**6
_WORDS = {
    "seats": "how many may take part; the pot of a round is theirs to share",
    "quorum": "a round counts when so many have revealed",
    "public": "samples that all see, without their labels: what is voted on",
    "partition": '"files": every node has private samples of its own; else how the private part is divided',
    "enrol_seconds": "so long others may join",
    "pot": "what a round pays, in millionths of a token",
    "rate": "what a right label earns at most, in millionths of a token",
    "bond": "what a worker brings, and gets back",
    "forfeit": "what staying silent after a commitment costs of it",
}


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Write the file, unless there is one."""
    path = Path(args.file)
    if path.suffix != ".toml":
        raise PlanError(f"{path} does not end in .toml", "a task for people to edit is TOML: name it NAME.toml")
    if path.exists():
        raise StorageError(f"{path} is there already", "name another file; none is replaced")
    task = _task(args, path.stem)
    path.write_text(_toml(task), encoding="utf-8")
    screen.say(f"made    {path}: look through it, change what you like")
    screen.say(f"next    p2pfd task check {path}; p2pfd task publish {path} --home DIR")
    screen.result({"file": str(path), "id": task.id.hex()})
    return exits.OK.code


def _task(args: argparse.Namespace, name: str) -> TaskSpec:
    from p2pfd.learning import data  # scikit-learn takes its time

    digest, classes = data.digest_of_set(args.data), data.classes_of_set(args.data)
    return TaskSpec(
        name=name,
        data=DataSpec(args.data, digest, classes, args.partition, args.seed, args.public, 150, 300),
        adapter=args.adapter,
        settings={},
        aggregator="serum",
        codecs=(),
        rounds=args.rounds,
        seats=args.seats,
        quorum=args.seats // 2 + 1,
        phases=PhaseSpec(3600, 600, 300),
        money=MoneySpec(*(Amount(tokens * _UNIT) for tokens in (400, 4, 100, 20))),
        chain=NO_CHAIN if args.deployments is None else _chain(args.deployments),
    )


def _chain(path: Path) -> ChainSpec:
    held = deployments.load(path)
    if held is None:
        raise PlanError(f"there is no file {path}", "p2pfd contracts deploy writes one")
    token, market = held.contracts.get("Token"), held.contracts.get("LabelMarket")
    if token is None or market is None or not held.complete():
        raise PlanError(f"{path}: not everything is deployed", "p2pfd contracts deploy goes on")
    return ChainSpec(held.profile, held.chain_id, token.address, market.address)


def _toml(task: TaskSpec) -> str:
    plain = in_hex(task)
    lines = ["# A task for p2pfd. Any change makes it another task, with another id."]
    tables = {key for key, value in plain.items() if dataclasses.is_dataclass(getattr(task, key)) or key == "settings"}
    for key, value in plain.items():
        if key not in tables:
            lines.append(_line(key, value))
    for key in plain:
        if key in tables:
            lines += ["", f"[{key}]"]
            lines += [_line(inner, value) for inner, value in plain[key].items()]
    return "\n".join(lines) + "\n"


def _line(key: str, value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)  # what TOML writes alike: text, whole numbers, lists of them
    return f"{key} = {text}" + (f"  # {_WORDS[key]}" if key in _WORDS else "")


def options(parser: Parser) -> None:
    """What a new task can be made with; the rest is edited."""
    parser.add_argument("--data", default="digits", metavar="SET", help="new: the data set (digits): p2pfd data list")
    parser.add_argument(
        "--partition", default="iid", metavar="HOW", help='new: "files" where each node has its own (iid)'
    )
    parser.add_argument("--public", type=number(1, 8192), default=320, metavar="N", help="new: public samples (320)")
    parser.add_argument("--adapter", default="cfd", metavar="NAME", help="new: the learning algorithm (cfd)")
    parser.add_argument("--rounds", type=number(1, 10_000), default=10, metavar="R", help="new: how many rounds (10)")
    parser.add_argument(
        "--seats", type=number(1, MAX_SEATS), default=10, metavar="N", help="new: how many workers (10)"
    )
    parser.add_argument(
        "--seed", type=number(0, 2**63 - 1), default=1, metavar="S", help="new: of the data's parts (1)"
    )
    parser.add_argument(
        "--deployments",
        type=Path,
        metavar="FILE",
        help="new: where it settles, as p2pfd contracts deploy wrote it (nowhere)",
    )

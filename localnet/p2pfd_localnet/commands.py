"""The other commands of `localnet`: logs, presets."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator

from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, did_you_mean
from p2pfd.cli.screen import Screen
from p2pfd.errors import UsageError
from p2pfd_localnet import presets, words
from p2pfd_localnet.cost import estimate
from p2pfd_localnet.events import NodeEvent, Tail
from p2pfd_localnet.options import add_state
from p2pfd_localnet.state import State

POLL = 0.2


def _logs(args: argparse.Namespace, screen: Screen) -> int:
    state = State(args.state)
    state.read(state.mesh)
    names = state.names()
    if args.node is not None and args.node not in names:
        raise UsageError(f"there is no node {args.node!r}", did_you_mean(args.node, names))
    try:
        pattern = re.compile(args.match or "")
    except re.error as error:
        raise UsageError(
            f"--match {args.match!r} is no regular expression: {error}", "for example: --match 'round'"
        ) from None
    tails = {name: Tail(state.node(name) / "events.jsonl") for name in names if args.node in (None, name)}
    tails[""] = Tail(state.events)
    while True:
        alive = args.follow and state.running()  # asked first, so that nothing written before the end is missed
        fresh = sorted((event for tail in tails.values() for event in tail.new()), key=lambda event: event.t)
        for line in _rendered([event for event in fresh if args.node in (None, event.node)], screen):
            if pattern.search(line):
                screen.out.write(line + "\n")
        screen.out.flush()
        if not alive:
            return exits.OK.code
        time.sleep(POLL)


def _rendered(events: list[NodeEvent], screen: Screen) -> Iterator[str]:
    import json

    for event in events:
        if screen.as_json:
            yield json.dumps({"schema": 1, "t": event.t, "node": event.node, "event": event.name, **event.fields})
            continue
        stamp = time.strftime("%H:%M:%S", time.localtime(event.t / 1e6)) + f".{event.t // 1000 % 1000:03d}"
        fields = " ".join(f"{key}={_short(value)}" for key, value in event.fields.items())
        yield f"{stamp}  {event.node:<8}  {event.name:<16}  {fields}".rstrip()


def _short(value: object) -> str:
    text = (
        ",".join(map(str, value))
        if isinstance(value, list)
        else f"{value:.4f}"
        if isinstance(value, float)
        else str(value)
    )
    return text if len(text) <= 80 else text[:77] + "…"


def _presets(args: argparse.Namespace, screen: Screen) -> int:
    costs = {preset.name: estimate(preset) for preset in presets.PRESETS}
    rows = [
        (preset.name, str(preset.nodes), str(preset.rounds), words.length(costs[preset.name].seconds), preset.summary)
        for preset in presets.PRESETS
    ]
    screen.table(("PRESET", "NODES", "ROUNDS", "ABOUT", ""), rows)
    screen.say()
    screen.say(f"times are estimates for {words.count(estimate(presets.PRESETS[0]).cores, 'free core')}")
    told = [{**preset.to_plain(), "cost": costs[preset.name].to_plain()} for preset in presets.PRESETS]
    screen.result({"presets": told})
    return exits.OK.code


def _log_options(parser: Parser) -> None:
    parser.add_argument("node", nargs="?", help="one node; without it, all of them")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the mesh ends")
    parser.add_argument("--match", metavar="RE", help="only lines in which this regular expression is found")
    add_state(parser)


LOGS = Command("logs", "what the nodes reported", "localnet logs -f node-0 --match round", _log_options, _logs)
PRESETS_COMMAND = Command("presets", "the plans that come with localnet", "localnet presets", lambda _: None, _presets)

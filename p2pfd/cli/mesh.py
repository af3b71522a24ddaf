"""What the options of a command say about a node's network: who may be in it, how it is found, how it is reached."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from p2pfd.cli.parse import Parser, did_you_mean
from p2pfd.errors import UsageError
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.swarmkey import read_key

_OF_THE_NODE = ("state_directory", "announce", "network_key", "via")
"""Settings that the node decides itself, or that have an option of their own."""


def options(parser: Parser) -> None:
    """The options."""
    parser.add_argument(
        "--swarm-key", type=Path, metavar="FILE", help="a private mesh: who has not got this key stays out"
    )
    parser.add_argument("--mdns", action="store_true", help="find others on the LAN, and be found there")
    parser.add_argument(
        "--announce", action="append", default=[], metavar="ADDR", help="tell others this address instead; several"
    )
    parser.add_argument("--upnp", action="store_true", help="ask the router for a port, so that others can dial this")
    parser.add_argument("--relay", action="store_true", help="carry connections for others, within limits")
    parser.add_argument(
        "--via", action="append", default=[], metavar="ADDR", help="be reached through this relay; several"
    )
    parser.add_argument(
        "--network", action="append", default=[], metavar="NAME=VALUE", help="another of the network's settings"
    )


def settings_of(args: argparse.Namespace) -> dict[str, object]:
    """What was said, by the names of `NetworkSettings`, as a config file keeps it."""
    found: dict[str, object] = {}
    for text in args.network:
        name, value = _setting(text)
        found[name] = value
    if args.swarm_key is not None:
        read_key(args.swarm_key)  # it says what is wrong with it, before anything is made
        found["network_key"] = str(args.swarm_key.absolute())
    if args.mdns:
        found["mdns"] = True
    if args.upnp:
        found["upnp"] = True
    if args.relay:
        found["relay"] = True
    if args.via:
        from p2pfd.network.reach import parse_address  # libp2p takes a second to import, and most commands need none

        for address in args.via:
            parse_address(address)
        found["via"] = list(args.via)
    if args.announce:
        found["announce"] = list(args.announce)
    return found


def _setting(text: str) -> tuple[str, object]:
    """A setting's name and value; its range is checked where all of them are."""
    kinds = {entry.name: str(entry.type) for entry in dataclasses.fields(NetworkSettings)}
    kinds = {name: kind for name, kind in kinds.items() if name not in _OF_THE_NODE}
    name, sign, raw = text.partition("=")
    if not sign:
        raise UsageError(f"--network {text!r} has no value", "write NAME=VALUE, for example connections=64")
    if name not in kinds:
        raise UsageError(f"--network {name!r} is no setting of the network", did_you_mean(name, kinds))
    return name, _value(name, kinds[name], raw)


def _value(name: str, kind: str, raw: str) -> object:
    if kind == "str":
        return raw
    if kind == "bool":
        if raw not in ("true", "false"):
            raise UsageError(f"--network {name} is {raw!r}", "write true or false")
        return raw == "true"
    if kind.startswith("tuple"):
        return raw.split(",") if raw else []
    try:
        return int(raw) if kind == "int" else float(raw)
    except ValueError:
        whole = "a whole number" if kind == "int" else "a number"
        raise UsageError(f"--network {name} is {raw!r}", f"write {whole}") from None

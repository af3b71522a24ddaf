"""The commands that act on a mesh while it runs: kill, pause, partition and others. Each asks the mesh's own server."""

from __future__ import annotations

import argparse
import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from p2pfd import errors
from p2pfd.cli import exits
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number
from p2pfd.cli.screen import Screen
from p2pfd.errors import DeadlineError, NotRunningError, P2pfdError, StorageError
from p2pfd_localnet import control
from p2pfd_localnet.deeds import ALL, LONGEST, MAX_DEPTH, deed_of
from p2pfd_localnet.options import add_state
from p2pfd_localnet.state import State, option, running_pid

PATIENCE = 120.0
"""How long a mesh may take to do something: a node that comes back has to be up."""
LONGEST_MS = int(1000 * LONGEST)
Table = dict[str, Any]


def ask(state: State, table: Table) -> Table:
    """Have the mesh that runs in a directory do something; what it says. P2pfdError where it does not."""
    deed_of({key: value for key, value in table.items() if key != "for"})  # what makes no sense is not sent
    url, token = _desk(state)
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE)
    heads = {"authorization": f"Bearer {token}", "content-type": control.JSON}
    try:
        connection.request("POST", control.PATH, json.dumps({**table, "by": "command"}).encode(), heads)
        said = json.loads(connection.getresponse().read())
    except TimeoutError as error:
        raise DeadlineError(f"the mesh did not answer within {PATIENCE:g} s", "look at localnet status") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotRunningError(
            f"the mesh in {state.home} does not answer: {error}", f"is it ending? localnet status{option(state.home)}"
        ) from error
    finally:
        connection.close()
    if not isinstance(said, dict) or not isinstance(said.get("done"), str):
        raise _told(said.get("error") if isinstance(said, dict) else None)
    return said


def _desk(state: State) -> tuple[str, str]:
    """Where the mesh's server is, and the token; NotRunningError where there is none."""
    running_pid(state)
    path = state.home / control.FILE
    if not path.exists():
        raise NotRunningError(f"the mesh in {state.home} is not ready yet", "wait until localnet status says running")
    value = state.read(path)
    url, token = value.get("url"), value.get("token")
    if not isinstance(url, str) or not isinstance(token, str):
        raise StorageError(f"{path} is damaged", state.anew)
    return url, token


def _told(error: object) -> P2pfdError:
    """An error as the mesh told it, of the kind that it was."""
    if not isinstance(error, dict):
        return P2pfdError("the mesh answered something that makes no sense", "is it of another release than this?")
    return errors.error_of({**error, "error": error.get("what", "")})


def _acting(table_of: Callable[[argparse.Namespace], Table]) -> Callable[[argparse.Namespace, Screen], int]:
    def run(args: argparse.Namespace, screen: Screen) -> int:
        said = ask(State(args.state), table_of(args))
        screen.say(str(said["done"]))
        screen.result({"state": str(args.state), "done": said["done"]})
        return exits.OK.code

    return run


# -- what each is asked ------------------------------------------------------------------------------------------------

_WHICH = "node-3, or its number, or a range such as 0-4, or all"


def _nodes(parser: Parser) -> None:
    parser.add_argument("nodes", nargs="+", metavar="node", help=_WHICH)
    add_state(parser)


def _all_or_some(parser: Parser) -> None:
    parser.add_argument("nodes", nargs="*", metavar="node", help=f"{_WHICH}; without one, all")
    add_state(parser)


def _named(args: argparse.Namespace) -> str:
    return ",".join(args.nodes) or ALL


def _groups(parser: Parser) -> None:
    parser.add_argument("groups", metavar="A|B", help="who is on which side: '0-4|5-9', 'node-0,node-1|rest'")
    add_state(parser)


def _delay_options(parser: Parser) -> None:
    parser.add_argument("ms", type=number(0, LONGEST_MS), metavar="MS", help="milliseconds; 0 ends it")
    parser.add_argument(
        "--jitter", type=number(0, LONGEST_MS), default=0, metavar="MS", help="up to so many more, drawn each time (0)"
    )
    _all_or_some(parser)


def _loss_options(parser: Parser) -> None:
    parser.add_argument("percent", type=_percent, metavar="PERCENT", help="0 to 100; 0 ends it")
    _all_or_some(parser)


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage") from None
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 100")
    return value


def _disk_options(parser: Parser) -> None:
    parser.add_argument("ms", type=number(0, LONGEST_MS), metavar="MS", help="milliseconds a write; 0 ends it")
    _all_or_some(parser)


def _chain_options(parser: Parser) -> None:
    parser.add_argument(
        "seconds", nargs="?", type=number(1, int(LONGEST)), metavar="SECONDS", help="for so long; else until chain-up"
    )
    add_state(parser)


def _depth(parser: Parser) -> None:
    parser.add_argument("depth", type=number(1, MAX_DEPTH), metavar="DEPTH", help="how many blocks")
    add_state(parser)


def _count(parser: Parser) -> None:
    parser.add_argument("-k", "--count", type=number(1, 64), default=1, metavar="K", help="how many nodes (1)")
    add_state(parser)


def _delay(args: argparse.Namespace) -> Table:
    return {"do": "delay", "least": args.ms / 1000, "most": (args.ms + args.jitter) / 1000, "nodes": _named(args)}


def _down(args: argparse.Namespace) -> Table:
    return {"do": "chain-down", **({} if args.seconds is None else {"for": args.seconds})}


def _link(args: argparse.Namespace, screen: Screen) -> int:
    state = State(args.state)
    url, token = _desk(state)
    served = state.read(state.supervisor).get("watch")
    if not isinstance(served, str):
        raise NotRunningError("this mesh serves no page", "leave out --no-serve when it is started")
    screen.say(f"{url}#token={token}")
    screen.result({"link": f"{url}#token={token}"})
    return exits.OK.code


def _to_nodes(what: str) -> Callable[[argparse.Namespace], Table]:
    return lambda args: {"do": what, "nodes": _named(args)}


NOUNS = (
    Command(
        "kill", "end nodes at once, as a power cut would", "localnet kill node-3", _nodes, _acting(_to_nodes("kill"))
    ),
    Command(
        "revive",
        "start nodes again that have ended; each goes on from its disk",
        "localnet revive node-3",
        _nodes,
        _acting(_to_nodes("revive")),
    ),
    Command("pause", "let nodes stand still", "localnet pause node-3 node-4", _nodes, _acting(_to_nodes("pause"))),
    Command("resume", "let paused nodes go on", "localnet resume all", _nodes, _acting(_to_nodes("resume"))),
    Command(
        "partition",
        "cut the mesh into groups that do not reach one another",
        "localnet partition '0-4|5-9'",
        _groups,
        _acting(lambda args: {"do": "partition", "groups": args.groups}),
    ),
    Command("heal", "end the partition", "localnet heal", add_state, _acting(lambda _: {"do": "heal"})),
    Command(
        "delay",
        "let what nodes hear come later",
        "localnet delay 200 node-3 --jitter 100",
        _delay_options,
        _acting(_delay),
    ),
    Command(
        "loss",
        "lose a share of what nodes hear",
        "localnet loss 20 node-3",
        _loss_options,
        _acting(lambda args: {"do": "loss", "share": f"{args.percent:.4f}%", "nodes": _named(args)}),
    ),
    Command(
        "slow-disk",
        "let each write to a node's database take longer",
        "localnet slow-disk 50 node-3",
        _disk_options,
        _acting(lambda args: {"do": "slow-disk", "seconds": args.ms / 1000, "nodes": _named(args)}),
    ),
    Command("chain-down", "let the chain answer nobody", "localnet chain-down 20", _chain_options, _acting(_down)),
    Command(
        "chain-up",
        "let the chain answer again",
        "localnet chain-up",
        add_state,
        _acting(lambda _: {"do": "chain-up"}),
    ),
    Command(
        "chain-reorg",
        "replace the chain's last blocks by others",
        "localnet chain-reorg 2",
        _depth,
        _acting(lambda args: {"do": "chain-reorg", "depth": args.depth}),
    ),
    Command(
        "add",
        "let nodes join late, in seats that were kept free (up --spare)",
        "localnet add -k 2",
        _count,
        _acting(lambda args: {"do": "add", "count": args.count}),
    ),
    Command("link", "the page's link with which one can also act", "localnet link", add_state, _link),
)

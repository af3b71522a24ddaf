"""`p2pfd keys`: a node's keys made, shown by name, brought in and out, and put behind another passphrase."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from p2pfd.cli import exits, passphrase
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser, number, one_of
from p2pfd.cli.screen import Screen
from p2pfd.cli.where import HOME
from p2pfd.errors import DecodeError, StorageError, UsageError
from p2pfd.network.swarmkey import fresh_key
from p2pfd.node import keys, keystore, private
from p2pfd.settlement.keyfile import STANDARD_WORK

ACTIONS = ("new", "show", "import", "export", "change-passphrase", "swarm")
_WITH_A_FILE = ("import", "export", "swarm")
_MAX_FILE_BYTES = 16 * 1024
_LEAST_WORK, _MOST_WORK = 1, 20


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Do what the first word says."""
    directory = args.home.absolute() / "keys"
    if (args.file is None) == (args.action in _WITH_A_FILE):
        words = "needs a file" if args.file is None else f"takes no file, and {str(args.file)!r} was given"
        raise UsageError(f"p2pfd keys {args.action} {words}", "import, export and swarm name one, the others none")
    match args.action:
        case "new":
            _new(args, directory, screen)
        case "import":
            _import(args, directory, screen)
        case "export":
            _export(args, directory, screen)
        case "change-passphrase":
            _change(args, directory, screen)
        case "swarm":
            return _swarm(args.file, screen)
    _show(directory, screen)
    return exits.OK.code


def _new(args: argparse.Namespace, directory: Path, screen: Screen) -> None:
    _refuse_second(directory)
    phrase = passphrase.current(args.passphrase_file).choose()
    path = keystore.create(keys.fresh(), directory, phrase, work=args.work)
    screen.say(f"made    {path}; copy it to a safe place, and keep the passphrase somewhere else")


def _import(args: argparse.Namespace, directory: Path, screen: Screen) -> None:
    _refuse_second(directory)
    if not args.file.is_file():
        raise StorageError(f"there is no file {args.file}", "name a wallet's key file")
    try:
        with args.file.open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise StorageError(f"cannot read {args.file}: {error.strerror}", "name a wallet's key file") from error
    if len(raw) > _MAX_FILE_BYTES:
        raise DecodeError(f"{args.file} has more than {_MAX_FILE_BYTES} bytes", "that is no key file")
    asked: list[str] = []

    def of_file() -> str:
        asked.append(passphrase.current(args.passphrase_file).get())
        return asked[0]

    try:
        mine = keystore.imported(raw, of_file)
    except DecodeError as error:
        raise DecodeError(f"{args.file}: {error.what}", error.fix or "name a wallet's key file") from error
    chosen = passphrase.new(args.new_passphrase_file)
    if asked and not chosen.given():
        phrase = passphrase.long_enough(asked[0])  # the file's passphrase stays what it was
    else:
        phrase = (chosen if chosen.given() else passphrase.current(args.passphrase_file)).choose()
    path = keystore.create(mine, directory, phrase, work=args.work)
    screen.say(f"made    {path}; delete {args.file} if others could read it")


def _export(args: argparse.Namespace, directory: Path, screen: Screen) -> None:
    _refuse_replacing(args.file)
    mine = keystore.open_keys(directory, passphrase.current(args.passphrase_file).get)
    phrase = passphrase.new(args.new_passphrase_file).choose()
    _write_new(args.file, keystore.export(mine, phrase, work=args.work))
    screen.say(f"made    {args.file}: the account's key, for a wallet; the peer key stays here")


def _swarm(path: Path, screen: Screen) -> int:
    """A private mesh's key: nobody's own, so that it is made without any keys here."""
    _refuse_replacing(path)
    _write_new(path, fresh_key())
    screen.say(
        f"made    {path}: give it to every member, over a way that nobody else reads; join with --swarm-key {path}"
    )
    screen.result({"file": str(path.absolute())})
    return exits.OK.code


def _refuse_replacing(path: Path) -> None:
    if os.path.lexists(path):
        raise _taken(path)


def _taken(path: Path) -> StorageError:
    return StorageError(f"{path} is there already", "name another file; none is replaced")


def _write_new(path: Path, text: str) -> None:
    try:
        new = private.create(path.absolute(), text)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "name another file") from error
    if not new:
        raise _taken(path)


def _change(args: argparse.Namespace, directory: Path, screen: Screen) -> None:
    found = keystore.identity(directory)
    mine = keystore.open_keys(directory, passphrase.current(args.passphrase_file).get)
    phrase = passphrase.new(args.new_passphrase_file).choose()
    keystore.change_passphrase(directory, mine, phrase, work=args.work)
    screen.say("changed; copies of the old file still open with the old passphrase" if found.encrypted else "encrypted")


def _refuse_second(directory: Path) -> None:
    """Before anybody thinks of a passphrase."""
    if keystore.exists(directory):
        raise StorageError(
            f"there are keys in {directory} already", "name another folder: --home DIR; keys are never replaced"
        )


def _show(directory: Path, screen: Screen) -> None:
    found = keystore.identity(directory)
    kept = "behind a passphrase" if found.encrypted else "plain: for throw-away chains only"
    if found.plain_beside:
        kept += f", and in plain in {keys.FILE}: run p2pfd keys change-passphrase"
    screen.say(f"peer    {found.peer}\naccount {found.account}\nkept    {kept}")
    screen.result(
        {"peer": found.peer, "account": found.account, "encrypted": found.encrypted, "plain_beside": found.plain_beside}
    )


def _work(text: str) -> int:
    return int(2 ** number(_LEAST_WORK, _MOST_WORK)(text))


def _options(parser: Parser) -> None:
    parser.add_argument("action", type=one_of(*ACTIONS), help=", ".join(ACTIONS))
    parser.add_argument("file", nargs="?", type=Path, help="the file to import, or to write: of export and swarm")
    parser.add_argument("--home", type=Path, default=HOME, metavar="DIR", help=f"the node's directory ({HOME})")
    passphrase.options(parser)
    parser.add_argument(
        "--new-passphrase-file",
        type=Path,
        metavar="FILE",
        help=f"where the new passphrase stands (else {passphrase.NEW_VARIABLE})",
    )
    parser.add_argument(
        "--work",
        type=_work,
        default=STANDARD_WORK,
        metavar="BITS",
        help="scrypt's work factor as a power of two (18, the standard's); less is for tests only",
    )


KEYS = Command(
    "keys", "make, show, import or export a node's keys, or a mesh's", "p2pfd keys new --home p2pfd-node", _options, run
)

"""A program of several commands: find the command, run it, and end every failure the same way."""

from __future__ import annotations

import argparse
import io
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import p2pfd
from p2pfd.cli import exits
from p2pfd.cli.parse import Parser, did_you_mean
from p2pfd.cli.screen import Screen
from p2pfd.errors import P2pfdError, UsageError

_COMMON = ("--json", "--plain")
Run = Callable[[argparse.Namespace, Screen], int]


@dataclass(frozen=True)
class Command:
    """One command: its options and what it does. `run` imports what it needs, so that `--help` is quick."""

    name: str
    summary: str
    example: str
    options: Callable[[Parser], None]
    run: Run

    def parser(self, program: str) -> Parser:
        """The command's parser, with the options that all commands have."""
        parser = Parser(f"{program} {self.name}", self.summary, self.example)
        self.options(parser)
        parser.add_argument("--json", action="store_true", help="one JSON object on one line on stdout, errors too")
        parser.add_argument("--plain", action="store_true", help="no colour and no redrawing (as with NO_COLOR)")
        return parser


@dataclass(frozen=True)
class Program:
    """A program and its commands, in the order in which its help lists them."""

    name: str
    summary: str
    example: str
    commands: tuple[Command, ...]

    def main(self, words: Sequence[str] | None = None) -> int:
        """Run the command that the words name; the exit code."""
        args = list(sys.argv[1:] if words is None else words)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that cannot spell an arrow gets a question mark
        screen = Screen(as_json="--json" in args, plain="--plain" in args)
        try:
            code = self._run(args, screen)
            sys.stdout.flush()  # a full disk shows itself here, and not at interpreter exit
        except BrokenPipeError:
            return _reader_left()
        except BaseException as error:  # noqa: BLE001 - the last line of defence: nobody is shown a traceback
            return self._failed(error, screen, args)
        return code

    def help(self) -> str:
        """The list of commands."""
        width = max(len(command.name) for command in self.commands)
        rows = [f"  {command.name.ljust(width)}  {command.summary}" for command in self.commands]
        return "\n".join(
            [
                f"usage: {self.name} COMMAND [OPTIONS]",
                "",
                self.summary,
                "",
                *rows,
                "",
                f"`{self.name} COMMAND --help` has the options and an example.",
                "",
                "example:",
                f"  {self.example}",
                "",
            ]
        )

    def _run(self, words: list[str], screen: Screen) -> int:
        common = [word for word in words if word in _COMMON]
        args = [word for word in words if word not in _COMMON] + common  # they may stand before the command, too
        if args == common:
            raise UsageError(
                f"{self.name} needs a command", f"for example: {self.example}; the list: {self.name} --help"
            )
        if args[0] in ("-h", "--help", "help"):
            screen.out.write(self.help())
            return exits.OK.code
        if args[0] == "--version":
            screen.result({"version": p2pfd.__version__})
            if not screen.as_json:
                screen.say(f"{self.name} {p2pfd.__version__}")
            return exits.OK.code
        for command in self.commands:
            if command.name == args[0]:
                parser = command.parser(self.name)
                if "-h" in args[1:] or "--help" in args[1:]:
                    screen.out.write(parser.format_help())
                    return exits.OK.code
                return command.run(parser.read(args[1:]), screen)
        names = [command.name for command in self.commands]
        raise UsageError(f"{self.name} has no command {args[0]!r}", did_you_mean(args[0], names))

    def _failed(self, error: BaseException, screen: Screen, args: list[str]) -> int:
        worst = most_telling(error)
        if isinstance(worst, KeyboardInterrupt):
            screen.interrupted()
            return exits.INTERRUPTED.code
        if isinstance(worst, SystemExit):
            raise worst
        ours = exits.known(worst)
        way = exits.BUG if ours is None else exits.of(ours)
        try:
            screen.fail(ours or _bug(self.name, args, error), way)
        except OSError:  # stdout itself is what failed, as with a full disk; stderr is what is left
            Screen(err=screen.err).fail(ours or _bug(self.name, args, error), way)
            _drop_stdout()
        return way.code


def leaves(error: BaseException) -> Iterable[BaseException]:
    """The errors inside groups of errors."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def most_telling(error: BaseException) -> BaseException:
    """Of several errors at once the one to report: an unexpected one first, for it may be why the others failed."""
    found = list(leaves(error))

    def rank(leaf: BaseException) -> int:
        if isinstance(leaf, KeyboardInterrupt):
            return 0
        return 2 if exits.known(leaf) else 1

    return min(found, key=rank)


def _bug(program: str, args: Sequence[str], error: BaseException) -> P2pfdError:
    """What to say of an error that nobody foresaw: its whole story goes to a file, not to the screen."""
    story = "".join(traceback.format_exception(error))
    head = f"{program} {' '.join(args)}\np2pfd {p2pfd.__version__}, Python {sys.version}\n{platform.platform()}\n\n"
    last = most_telling(error)
    what = f"this is a bug in p2pfd: {type(last).__name__}: {last}"
    try:
        handle, path = tempfile.mkstemp(prefix="p2pfd-crash-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(head + story)
    except OSError:
        return P2pfdError(what, "please report it with these lines:\n" + head + story)
    return P2pfdError(what, f"please report it, with the file {path}; it holds no keys")


def _reader_left() -> int:
    """Whoever read our output has seen enough (``localnet logs | head``); that is no failure."""
    _drop_stdout()
    return exits.OK.code


def _drop_stdout() -> None:
    """Nothing more is written, so that the interpreter does not fail on it at exit."""
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, sys.stdout.fileno())

"""`completion`: what a shell needs to complete a program's commands and options, made from their parsers."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from p2pfd.cli import exits, shells
from p2pfd.cli.app import Command, Program
from p2pfd.cli.parse import OneOf, Parser, one_of
from p2pfd.cli.screen import Screen
from p2pfd.cli.shells import Kind, Known, Option

_DIRECTORIES = ("DIR", "DIRECTORY")
_FILES = ("FILE", "PATH", "CONFIG", "PLAN")
_HELP = Option(("-h", "--help"), "what the command takes", Known(Kind.NONE))


def completion(program: str, of: Callable[[], Program]) -> Command:
    """The command for a program, which is known only once all of its commands are."""

    def options(parser: Parser) -> None:
        parser.add_argument("shell", type=one_of(*shells.WRITERS), help=", ".join(shells.WRITERS))

    def run(args: argparse.Namespace, screen: Screen) -> int:
        script = shells.WRITERS[args.shell](program, describe(of()))
        if not screen.as_json:
            screen.out.write(script)
        screen.result({"shell": args.shell, "script": script})
        return exits.OK.code

    summary = "what a shell needs to complete this program's words"
    return Command("completion", summary, f"{program} completion bash", options, run)


def describe(program: Program) -> tuple[shells.Described, ...]:
    """What can be completed after each of a program's commands."""
    return tuple(_command(program.name, command) for command in program.commands)


def _command(program: str, command: Command) -> shells.Described:
    parser = command.parser(program)
    options, words = [], []
    for action in parser.actions():
        known = _known(action, parser.suggestions.get(action.dest, ()))
        if not action.option_strings:
            words.append(known)
        elif "--help" not in action.option_strings:
            options.append(Option(tuple(action.option_strings), _plain(action.help), known))
    return shells.Described(command.name, command.summary, (*options, _HELP), tuple(words))


def _known(action: argparse.Action, suggested: tuple[str, ...]) -> Known:
    """What may follow an option, or stand at this place."""
    words = suggested or tuple(map(str, action.choices or ()))
    if isinstance(action.type, OneOf):
        words = action.type.legal
    if action.nargs == 0:
        return Known(Kind.NONE)
    name = (action.metavar if isinstance(action.metavar, str) else action.dest).upper()
    if name in _DIRECTORIES:
        return Known(Kind.DIRECTORY, words)
    if action.type is Path or name in _FILES:
        return Known(Kind.FILE, words)
    return Known(Kind.WORD, words)


def _plain(text: str | None) -> str:
    return (text or "").replace("%%", "%")

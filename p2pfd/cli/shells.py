"""Completion scripts for bash, zsh and fish: text made from what a program's parsers take, with nothing to import."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """What a value is."""

    NONE = "none"
    WORD = "word"
    FILE = "file"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a value: its kind, and words that it can be."""

    kind: Kind
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """An option by all its names, and what follows it."""

    names: tuple[str, ...]
    help: str
    value: Known


@dataclass(frozen=True, slots=True)
class Described:
    """A command: its options, and the words that it takes by their places."""

    name: str
    summary: str
    options: tuple[Option, ...]
    words: tuple[Known, ...]


# -- bash --------------------------------------------------------------------------------------------------------------

_BASH = """# bash completion of {program}: source it, or write it to a file of bash-completion's own directory.
_{ident}_complete() {{
    local cur prev command="" at=0 i word
    COMPREPLY=()
    cur="${{COMP_WORDS[COMP_CWORD]}}"
    prev="${{COMP_WORDS[COMP_CWORD-1]}}"
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${{COMP_WORDS[i]}}"
        if [[ -z $command ]]; then
            [[ $word == -* ]] || command=$word
        elif [[ $word != -* ]] && ! _{ident}_takes "$command" "${{COMP_WORDS[i-1]}}"; then
            at=$((at + 1))
        fi
    done
    if [[ -z $command ]]; then
        COMPREPLY=($(compgen -W "{commands} --help --version --json --plain" -- "$cur"))
        return
    fi
    case "$command $prev" in
{values}
    esac
    if [[ $cur == -* ]]; then
        case "$command" in
{options}
        esac
        return
    fi
    case "$command $at" in
{words}
    esac
}}
_{ident}_takes() {{
    case "$1 $2" in
        {takes}) return 0 ;;
    esac
    return 1
}}
complete -F _{ident}_complete {program}
"""
_BASH_FILES = 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"){})'
_BASH_DIRECTORIES = 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur"){})'


def bash(program: str, commands: Sequence[Described]) -> str:
    """The script for bash, 3.2 or later."""
    values, takes = [], []
    for command in commands:
        for option in command.options:
            if option.value.kind is Kind.NONE:
                continue
            names = [f'"{command.name} {name}"' for name in option.names]
            takes += names
            values.append(f"        {'|'.join(names)}) {_bash_value(option.value)}; return ;;")
    return _BASH.format(
        program=program,
        ident=_ident(program),
        commands=" ".join(command.name for command in commands),
        values="\n".join(values),
        takes="|".join(takes),
        options="\n".join(
            f'            {command.name}) COMPREPLY=($(compgen -W "{_all_options(command)}" -- "$cur")) ;;'
            for command in commands
        ),
        words="\n".join(
            f'        "{command.name} {place}") {_bash_value(word)} ;;'
            for command in commands
            for place, word in enumerate(command.words)
        ),
    )


def _bash_value(value: Known) -> str:
    words = f'$(compgen -W "{" ".join(value.words)}" -- "$cur")' if value.words else ""
    if value.kind is Kind.FILE:
        return _BASH_FILES.format(f" {words}" if words else "")
    if value.kind is Kind.DIRECTORY:
        return _BASH_DIRECTORIES.format(f" {words}" if words else "")
    return f"COMPREPLY=({words})" if words else ":"


def _all_options(command: Described) -> str:
    return " ".join(name for option in command.options for name in option.names if name.startswith("--"))


# -- zsh ---------------------------------------------------------------------------------------------------------------

_ZSH = """#compdef {program}
# zsh completion of {program}: write it to a file named _{program} in a directory of $fpath.
_{ident}() {{
    local curcontext="$curcontext" state line
    typeset -A opt_args
    _arguments -C '1: :->command' '*:: :->rest'
    case $state in
        command)
            local -a commands
            commands=(
{commands}
            )
            _describe 'command' commands
            ;;
        rest)
            case $line[1] in
{cases}
            esac
            ;;
    esac
}}
if [[ $funcstack[1] == _{ident} || $funcstack[1] == _{program} ]]; then
    _{ident} "$@"
else
    compdef _{ident} {program}
fi
"""


def zsh(program: str, commands: Sequence[Described]) -> str:
    """The script for zsh."""
    cases = []
    for command in commands:
        parts = [part for option in command.options for part in _zsh_option(option)]
        parts += [f"{place}: :{_zsh_value(word)}" for place, word in enumerate(command.words, 1)]
        said = " \\\n".join(f"                    {_quoted(part)}" for part in parts)
        cases.append(f"                {command.name})\n                    _arguments \\\n{said} ;;")
    return _ZSH.format(
        program=program,
        ident=_ident(program),
        commands="\n".join(
            f"                {_quoted(f'{command.name}:{_zsh_text(command.summary)}')}" for command in commands
        ),
        cases="\n".join(cases),
    )


def _zsh_option(option: Option) -> list[str]:
    value = "" if option.value.kind is Kind.NONE else f": :{_zsh_value(option.value)}"
    return [f"*{name}[{_zsh_text(option.help)}]{value}" for name in option.names]


def _zsh_value(value: Known) -> str:
    words = " ".join(word.replace(":", "\\:") for word in value.words)
    files = {Kind.FILE: "_files", Kind.DIRECTORY: "_files -/"}.get(value.kind, "")
    if words and files:
        return f"_alternative 'words: :({words})' 'files: :{files}'"
    return files or f"({words})"


def _zsh_text(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


# -- fish --------------------------------------------------------------------------------------------------------------


def fish(program: str, commands: Sequence[Described]) -> str:
    """The script for fish."""
    lines = [
        f"# fish completion of {program}: write it to completions/{program}.fish in fish's own configuration.",
        f"complete -c {program} -f",
    ]
    lines += [
        f"complete -c {program} -n __fish_use_subcommand -a {command.name} -d {_fish_text(command.summary)}"
        for command in commands
    ]
    for command in commands:
        here = f"complete -c {program} -n '__fish_seen_subcommand_from {command.name}'"
        for option in command.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = "" if option.value.kind is Kind.NONE else f" {_fish_value(option.value)}"
            lines.append(f"{here} {names}{value} -d {_fish_text(option.help)}")
        known = [word for word in command.words if word.words or word.kind in (Kind.FILE, Kind.DIRECTORY)]
        lines += [f"{here} {_fish_value(word, required=False)}" for word in known]
    return "\n".join([*lines, ""])


def _fish_value(value: Known, *, required: bool = True) -> str:
    words = f" -a {_fish_text(' '.join(value.words))}" if value.words else ""
    if value.kind is Kind.FILE:
        return ("-r -F" if required else "-F") + words
    if value.kind is Kind.DIRECTORY:
        return (
            "-x " if required else ""
        ) + f"-a {_fish_text(' '.join(('(__fish_complete_directories)', *value.words)))}"
    return ("-x" if required else "") + words


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


# -- all ---------------------------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _ident(program: str) -> str:
    return re.sub(r"\W", "_", program)


WRITERS: Mapping[str, Callable[[str, Sequence[Described]], str]] = MappingProxyType(
    {"bash": bash, "zsh": zsh, "fish": fish}
)

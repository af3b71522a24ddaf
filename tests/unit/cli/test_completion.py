"""Completion as shells do it: bash always, zsh and fish where they are installed."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from p2pfd_localnet.program import PROGRAM as LOCALNET

from p2pfd.cli.app import Command, Program
from p2pfd.cli.completion import completion, describe
from p2pfd.cli.parse import Parser, one_of
from p2pfd.cli.program import PROGRAM as P2PFD
from p2pfd.cli.screen import Screen
from p2pfd.cli.shells import WRITERS

PATIENCE = 20.0


def _options(parser: Parser) -> None:
    parser.add_argument("plan", help="a plan: it's 100 % [yours]")
    parser.add_argument("second", type=one_of("left", "right"))
    parser.add_argument("--chain", metavar="CHAIN", help="where")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a file")
    parser.add_argument("--state", type=Path, metavar="DIR", help="a directory")
    parser.add_argument("--serve", metavar="HOST:PORT", help="where it's served")
    parser.suggest("plan", ("small", "digits"))
    parser.suggest("chain", ("embedded", "none"))


SAMPLE = Program(
    "sample", "", "sample up", (Command("up", "starts it", "sample up", _options, lambda args, screen: 0),)
)


def script(shell: str, program: Program = SAMPLE) -> str:
    return WRITERS[shell](program.name, describe(program))


def of_bash(words: Sequence[str], tmp_path: Path, program: Program = SAMPLE) -> set[str]:
    """What bash offers for the last of these words."""
    typed = " ".join(f"'{word}'" for word in words)
    asked = f"{script('bash', program)}\nCOMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
    asked += f'_{program.name}_complete; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "--norc"], input=asked, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


EXPECTED = [
    (["sample", ""], {"up", "--help", "--version", "--json", "--plain"}),
    (["sample", "u"], {"up"}),
    (["sample", "--json", "u"], {"up"}),
    (["sample", "up", ""], {"small", "digits", "folder", "plan.toml"}),
    (["sample", "up", "sm"], {"small"}),
    (["sample", "up", "--json", "sm"], {"small"}),
    (["sample", "up", "--chain", "none", "di"], {"digits"}),
    (["sample", "up", "small", ""], {"left", "right"}),
    (["sample", "up", "small", "left", ""], set()),
    (["sample", "up", "--ch"], {"--chain"}),
    (["sample", "up", "--chain", ""], {"embedded", "none"}),
    (["sample", "up", "--serve", ""], set()),
    (["sample", "up", "--state", ""], {"folder"}),
    (["sample", "up", "--out", ""], {"folder", "plan.toml"}),
    (["sample", "down", ""], set()),
]


@pytest.mark.parametrize(("words", "offered"), EXPECTED, ids=[" ".join(words) for words, _ in EXPECTED])
def test_bash_offers_what_the_parsers_take(words: list[str], offered: set[str], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "plan.toml").touch()
    assert of_bash(words, tmp_path) == offered


@pytest.mark.parametrize("program", [P2PFD, LOCALNET], ids=["p2pfd", "localnet"])
def test_bash_offers_every_command_and_every_option_of_our_programs(program: Program, tmp_path: Path) -> None:
    offered = of_bash([program.name, ""], tmp_path, program)
    assert offered >= {command.name for command in program.commands}
    every = program.commands if program is LOCALNET else program.commands[::5]
    for command in every:
        assert of_bash([program.name, command.name, "--"], tmp_path, program) == set(
            command.parser(program.name).options()
        )


def test_the_command_writes_the_script_or_an_object() -> None:
    made = completion("sample", lambda: SAMPLE)
    out = io.StringIO()
    assert made.run(made.parser("sample").read(["bash"]), Screen(out=out)) == 0
    assert out.getvalue() == script("bash")
    out = io.StringIO()
    assert made.run(made.parser("sample").read(["fish"]), Screen(out=out, as_json=True)) == 0
    assert json.loads(out.getvalue())["script"] == script("fish")


def need(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell}")
    return found


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sample u", {"up"}),
        ("sample up --ch", {"--chain"}),
        ("sample up --chain ", {"embedded", "none"}),
        ("sample up sm", {"small"}),
    ],
)
def test_fish_offers_the_same(typed: str, offered: set[str], tmp_path: Path) -> None:
    fish = need("fish")
    file = tmp_path / "sample.fish"
    file.write_text(script("fish"))
    home = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    asked = f"source {file}; complete -C '{typed}'"
    done = subprocess.run([fish, "--no-config", "-c", asked], capture_output=True, text=True, env=home, check=True)
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == offered


@pytest.mark.parametrize(("typed", "offered"), [("sample u", b"sample up "), ("sample up sm", b"sample up small ")])
def test_zsh_offers_the_same(typed: str, offered: bytes, tmp_path: Path) -> None:
    zsh = need("zsh")
    (tmp_path / "_sample").write_text(script("zsh"))
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb", "PS1": "ready> "}
    ours, its = pty.openpty()
    with subprocess.Popen(
        [zsh, "-f", "-i"], stdin=its, stdout=its, stderr=its, env=env, start_new_session=True
    ) as child:
        os.close(its)
        shown = b""

        def until(what: bytes) -> None:
            nonlocal shown
            while what not in shown:
                assert select.select([ours], [], [], PATIENCE)[0], shown
                shown += os.read(ours, 4096)

        until(b"ready> ")
        os.write(ours, f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -D -u; print o''k\n".encode())
        until(b"\r\nok\r\n")
        os.write(ours, typed.encode() + b"\t")
        until(offered)
        child.kill()
        os.close(ours)


@pytest.mark.parametrize("shell", sorted(WRITERS))
@pytest.mark.parametrize("program", [P2PFD, LOCALNET], ids=["p2pfd", "localnet"])
def test_shells_can_read_the_scripts_of_our_programs(program: Program, shell: str) -> None:
    done = subprocess.run([need(shell), "-n"], input=script(shell, program), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

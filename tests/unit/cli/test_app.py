import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from p2pfd.cli.app import Command, Program, most_telling
from p2pfd.cli.parse import number, one_of
from p2pfd.cli.program import PROGRAM
from p2pfd.cli.screen import Screen, shorten, size
from p2pfd.errors import ChainError, NetworkError, PlanError


def options(parser):
    parser.add_argument("--colour", type=one_of("red", "green"))
    parser.add_argument("--count", type=number(1, 9), default=1)
    parser.add_argument("word", nargs="?")


def program(run=lambda args, screen: 0):
    command = Command("paint", "paints a thing", "tool paint --colour red", options, run)
    return Program("tool", "A tool.", "tool paint", (command,))


def failing(error):
    def run(args, screen):
        raise error

    return program(run)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "for example: tool paint"),
        (["pain"], "did you mean paint?"),
        (["paint", "--color", "red"], "did you mean --colour?"),
        (["paint", "--colour", "gren"], "did you mean green?"),
        (["paint", "--colour"], "expected one argument"),
        (["paint", "--count", "10"], "between 1 and 9"),
        (["paint", "--count", "many"], "not a whole number"),
        (["paint", "--coun", "1"], "did you mean --count?"),
        (["paint", "a", "b"], "cannot use the word 'b'"),
    ],
)
def test_wrong_words_end_with_2_and_a_hint(words, hint, capsys):
    assert program().main(words) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert hint in seen.err
    assert program().main([*words, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == 2
    assert hint in error["what"] + error["fix"]


def test_an_error_of_ours_says_what_and_how_to_go_on(capsys):
    assert failing(PlanError("that cannot be", "do this")).main(["paint"]) == 3
    assert capsys.readouterr().err == "error   that cannot be\nfix     do this\n"
    assert failing(PlanError("that cannot be", "do this")).main(["paint", "--json"]) == 3
    value = json.loads(capsys.readouterr().out)
    assert value == {"schema": 1, "error": {"code": 3, "name": "plan", "what": "that cannot be", "fix": "do this"}}


def test_a_bug_names_a_file_and_shows_no_traceback(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert failing(ZeroDivisionError("oh")).main(["paint", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    [file] = tmp_path.iterdir()
    assert str(file) in error["fix"]
    assert error["what"] == "this is a bug in p2pfd: ZeroDivisionError: oh"
    story = file.read_text()
    assert "Traceback" in story
    assert story.startswith("tool paint --json\n")


def test_of_several_errors_the_most_telling_is_reported():
    group = BaseExceptionGroup(
        "many", [NetworkError("a"), BaseExceptionGroup("more", [KeyError("b"), ChainError("c")])]
    )
    assert isinstance(most_telling(group), KeyError)
    assert isinstance(most_telling(BaseExceptionGroup("x", [group, KeyboardInterrupt()])), KeyboardInterrupt)
    assert str(most_telling(NetworkError("a"))) == "a"


def test_ctrl_c_is_130_and_says_nothing(capsys):
    assert failing(KeyboardInterrupt()).main(["paint"]) == 130
    assert capsys.readouterr() == ("", "")


def test_help_has_the_commands_and_each_command_its_example(capsys):
    assert program().main(["--help"]) == 0
    assert "paint  paints a thing" in capsys.readouterr().out
    assert program().main(["paint", "--help"]) == 0
    assert "example:\n  tool paint --colour red" in capsys.readouterr().out


def test_nothing_is_coloured_but_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert "\x1b[" in Screen(out=Terminal(), err=Terminal(), env={}).style("x", "bold")
    for screen in (
        Screen(out=io.StringIO(), err=Terminal(), env={}),
        Screen(plain=True, out=Terminal(), err=Terminal(), env={}),
        Screen(out=Terminal(), err=Terminal(), env={"NO_COLOR": "1"}),
        Screen(out=Terminal(), err=Terminal(), env={"TERM": "dumb"}),
        Screen(as_json=True, out=Terminal(), err=io.StringIO(), env={}),
    ):
        assert screen.style("x", "bold") == "x"


def test_names_and_sizes_for_people():
    assert shorten("0x1234567890abcdef") == "0x1234…cdef"
    assert shorten("short") == "short"
    assert [size(n) for n in (0, 999, 1500, 4_100_000, 5 * 10**12)] == ["0 B", "999 B", "1.5 kB", "4.1 MB", "5000.0 GB"]


def spoken(*words, **kwargs):
    command = [sys.executable, "-m", "p2pfd", *words]
    return subprocess.run(command, text=True, stderr=subprocess.PIPE, timeout=60, **kwargs)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", [("version",), ("version", "--json"), ("--help",), ("nonsense", "--json")])
def test_a_disk_that_is_full_is_no_traceback(words):
    with open("/dev/full", "w") as full:
        done = spoken(*words, stdout=full)
    assert done.returncode in ((9, 2) if "nonsense" in words else (9,))
    assert "Traceback" not in done.stderr
    assert "error" in done.stderr


def test_a_reader_that_leaves_is_no_failure():
    read, write = os.pipe()
    os.close(read)
    done = spoken("version", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_screen_that_cannot_spell_is_no_failure():
    done = spoken(
        "sim", "-n", "2", "--rounds", "1", stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [[], ["--json"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_program_is_imported_ends_it_in_order(words, number):
    # Whatever runs the tests may have these signals ignored, as nohup and a shell's background jobs do.
    usual = "default_int_handler" if number == signal.SIGINT else "SIG_DFL"
    code = (
        f"import signal, sys; signal.signal({int(number)}, signal.{usual}); from p2pfd.cli import start; "
        f"sys.exit(start.run(lambda: signal.raise_signal({int(number)}) or 0))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")
    if words:
        assert json.loads(done.stdout)["error"]["code"] == 130
    else:
        assert done.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_moment_in_which_it_begins_to_be_minded(number):
    code = f"""
import signal, sys
usual = signal.signal
for each in (signal.SIGTERM, signal.SIGHUP):
    usual(each, signal.SIG_DFL)
from p2pfd.cli import start
def minded(which, handler):
    usual(which, handler)
    if which == {int(number)}:
        signal.raise_signal(which)
signal.signal = minded
sys.exit(start.run(lambda: 0))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_signal_that_python_would_drop_comes_once_more():
    code = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from p2pfd.cli import start
class Tidied:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        sum(range(10))
def program():
    Tidied()
    time.sleep(60)
sys.exit(start.run(program))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (130, "")


def test_the_version_for_scripts(capsys):
    assert PROGRAM.main(["--version", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"schema", "version"}


@pytest.mark.parametrize("columns", [1, 10, 79])
def test_a_line_to_be_redrawn_fits_its_row(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert len(Screen(out=io.StringIO(), env={}).fit("x" * 200)) <= max(columns - 1, 1)
    assert Screen(out=io.StringIO(), env={}).fit("") == ""


def test_version_lists_what_a_bug_report_needs(capsys):
    assert PROGRAM.main(["version", "--json"]) == 0
    versions = json.loads(capsys.readouterr().out)["versions"]
    assert {"p2pfd", "python", "torch", "libp2p"} <= set(versions)


def test_sim_is_the_same_for_the_same_seed(capsys):
    def digest(*words):
        assert PROGRAM.main(["sim", "-n", "8", "--rounds", "2", "--json", *words]) == 0
        return json.loads(capsys.readouterr().out)["digest"]

    assert digest("--seed", "4", "--loss", "5%") == digest("--seed", "4", "--loss", "0.05")
    assert digest("--seed", "4") != digest("--seed", "5")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--latency", "80-20"], "latencies rise"),
        (["--latency", "fast"], "write 50, or 20-80"),
        (["--loss", "1.5"], "between 0 and 1"),
        (["-n", "100", "--settled"], "64 seats"),
    ],
)
def test_sim_refuses_what_cannot_be(words, hint, capsys):
    assert PROGRAM.main(["sim", *words]) == 2
    assert hint in capsys.readouterr().err

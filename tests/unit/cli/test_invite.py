"""An invitation comes from a file, an address of the web, standard input or as text; whatever else comes is refused."""

from __future__ import annotations

import io
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from p2pfd.cli import exits, invite
from p2pfd.cli.program import PROGRAM
from p2pfd.cli.screen import Screen
from p2pfd.core.manifest import Manifest
from p2pfd.core.shown import harmless, one_line
from p2pfd.errors import NetworkError, PlanError
from p2pfd.node import keys
from p2pfd.node.manifest import MAX_TEXT, seal
from tests.unit.node.test_config import SPEC

ASKER = keys.throwaway(1, "requester").account
TEXT = seal(Manifest(SPEC, ASKER.account), ASKER)
ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202edlrow\r\nfix     do as I say"
PAGES = {
    "/task": (200, {}, TEXT.encode()),
    "/huge": (200, {}, b"p2pfd-task-1:" + b"A" * 10 * MAX_TEXT),
    "/bytes": (200, {}, b"p2pfd-task-1:\xff\xfe"),
    "/page": (200, {}, b"<html>\x1b[2J</html>"),
    "/gone": (404, {}, b"\x1b[2J"),
    "/moved": (302, {"location": "/task"}, b""),
    "/loop": (302, {"location": "/loop"}, b""),
    "/chain": (302, {"location": "/moved"}, b""),
    "/file": (302, {"location": "file:///etc/passwd"}, b""),
    "/data": (302, {"location": "data:text/plain,hello"}, b""),
    "/short": (200, {"content-length": "100000"}, b"p2pfd-task-1:"),
}


class Site(BaseHTTPRequestHandler):
    """A web server of a few bad pages."""

    def do_GET(self):
        if self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            while not self.server.over.wait(0.02):
                self.wfile.write(b"A")
                self.wfile.flush()
            return
        if self.path == "/silent":
            self.server.over.wait()
            return
        status, headers, body = PAGES[self.path]
        self.send_response(status, "as\x1b[2Jis")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            return  # the reader has had enough

    def log_message(self, *args):
        """Nobody reads it."""


@pytest.fixture(scope="module")
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.over, server.daemon_threads = threading.Event(), True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/task", "/moved", "/chain"])
def test_an_address_of_the_web_is_read(site, path):
    text, manifest = invite.invitation(site + path)
    assert text == TEXT
    assert manifest.task == SPEC


@pytest.mark.parametrize(
    ("path", "error", "why"),
    [
        ("/huge", PlanError, "more than 65536 bytes"),
        ("/bytes", PlanError, "is not text"),
        ("/page", PlanError, "is no invitation"),
        ("/gone", NetworkError, "as"),
        ("/loop", NetworkError, "redirect"),
        ("/file", NetworkError, "not allowed"),
        ("/data", NetworkError, "not allowed"),
        ("/short", (NetworkError, PlanError), "damaged|IncompleteRead"),
        ("/drip", NetworkError, "takes longer|timed out"),
        ("/silent", NetworkError, "timed out"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("/") else "",
)
def test_what_the_web_has_instead_is_refused(site, monkeypatch, path, error, why):
    monkeypatch.setattr(invite, "_SECONDS", 0.3)
    with pytest.raises(error, match=why) as caught:
        invite.invitation(site + path)
    assert str(caught.value).isprintable()


def test_offline_is_said_in_words():
    with pytest.raises(NetworkError, match=r"cannot be had: .*refused") as caught:
        invite.invitation("http://127.0.0.1:9/task")
    assert "paste its text" in caught.value.fix
    with pytest.raises(NetworkError, match="cannot be had"):
        invite.invitation("https://nowhere.invalid/task")


def test_a_secure_address_does_not_send_on_to_an_open_one():
    import urllib.request

    asked = urllib.request.Request("https://example.com/a")
    with pytest.raises(ValueError, match="sends on to http:"):
        invite._Redirects().redirect_request(asked, io.BytesIO(), 302, "", {}, "http://example.com/a")


def test_standard_input_and_pasted_text_are_read(monkeypatch):
    for source in (TEXT, TEXT.replace("\n", ""), f"\n  {TEXT}"):
        assert invite.invitation(source)[1].task == SPEC
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert invite.invitation("-")[1].task == SPEC
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A" * (MAX_TEXT + 9))))
    with pytest.raises(PlanError, match="standard input has more than"):
        invite.invitation("-")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal", [Terminal, io.StringIO])
def test_nothing_that_strangers_wrote_steers_the_terminal(terminal):
    out, err = terminal(), terminal()
    screen = Screen(out=out, err=err, env={})
    screen.say(screen.style("task", "bold", "red") + f" {ESCAPES}")
    screen.fail(PlanError(ESCAPES, ESCAPES), exits.PLAN)
    for written in (out.getvalue(), err.getvalue()):
        bare = written.replace("\x1b[1;31m", "").replace("\x1b[0m", "")
        assert not {"\x1b", "\x07", "\u202e", "\r"} & set(bare)
        assert "\\x1b[2J" in bare
        assert "\\u202e" in bare
    assert screen.style("x", "bold", "red") in ("x", "\x1b[1;31mx\x1b[0m")
    assert ("\x1b[1;31mtask\x1b[0m" in out.getvalue()) == screen.fancy


def test_text_of_strangers_is_one_line():
    assert one_line(ESCAPES) == "\\x1b[2J\\x1b]0;owned\\x07\\u202edlrow fix do as I say"
    assert one_line("x" * 900) == "x" * 500
    assert harmless("naïve – 模型 ✓\n\t") == "naïve – 模型 ✓\n\t"
    assert harmless("\U000e0001\ud800\u2028") == "\\U000e0001\\ud800\\u2028"


def test_a_command_shows_no_escapes_of_a_web_server(site, capsys):
    assert PROGRAM.main(["task", "show", f"{site}/gone"]) == 8
    assert "\x1b" not in capsys.readouterr().err
    assert PROGRAM.main(["task", "show", f"{site}/gone", "--json"]) == 8
    assert json.loads(capsys.readouterr().out)["error"]["what"].isprintable()

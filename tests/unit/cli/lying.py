"""An endpoint before a healthy chain that lies as it is told to, in a thread, and keeps a list of what it was asked."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Lie = Callable[[str, list[Any], Any], Any]
"""What it answers to a method with these parameters, instead of the truth."""


class Refused(Exception):
    """Raised by a lie: the answer is an error with this message."""

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(message)
        self.more = more


class Liar(ThreadingHTTPServer):
    """Serves on loopback. Without an upstream there is no truth: all answers are None unless it says otherwise."""

    daemon_threads = True

    def __init__(self, upstream: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []
        self.lie: Lie = lambda method, params, truth: truth
        self.raw: Callable[[Any], None] | None = None
        """Writes something else than an answer of JSON-RPC."""

    def begin(self, lie: Lie | None = None, raw: Callable[[Any], None] | None = None) -> str:
        """Lie like this from here on."""
        self.asked.clear()
        self.lie = lie if lie is not None else lambda method, params, truth: truth
        self.raw = raw
        return self.url


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Liar

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = json.loads(body)
        requests = asked if isinstance(asked, list) else [asked]
        self.server.asked += [each["method"] for each in requests]
        if self.server.raw is not None:
            self.server.raw(self.wfile)
            self.close_connection = True
            return
        told = [{"jsonrpc": "2.0", "id": each["id"]} for each in requests]
        if self.server.upstream:
            request = urllib.request.Request(self.server.upstream, body, {"content-type": "application/json"})
            with urllib.request.urlopen(request) as answer:
                told = json.loads(answer.read())
        for asks, entry in zip(requests, told if isinstance(told, list) else [told], strict=True):
            try:
                entry["result"] = self.server.lie(asks["method"], asks["params"], entry.get("result"))
            except Refused as refusal:
                entry.pop("result", None)
                entry["error"] = {"code": -32000, "message": str(refusal), **refusal.more}
        out = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # the client has had enough

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def lying(upstream: str = "") -> Iterator[Liar]:
    """A liar, while the block lasts."""
    server = Liar(upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

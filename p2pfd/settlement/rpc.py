"""JSON-RPC over one kept-alive HTTP connection: what a node says to a chain many times a second.

Requests go one after another. A connection that breaks is opened again and the request is sent again: every request is
either a question or a signed transaction, and a chain takes the same transaction only once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import h11
import trio

from p2pfd.errors import ChainError, PlanError
from p2pfd.settlement.api import ChainAwayError
from p2pfd.settlement.bounded import loads

MAX_ANSWER = 64 * 1024 * 1024
_CHUNK = 256 * 1024
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError)


class RpcRefusal(ChainError):  # noqa: N818 - the chain's answer, which some callers expect
    """The chain answered with an error."""

    def __init__(self, method: str, code: int, message: str, data: bytes) -> None:
        super().__init__(f"the chain refuses {method}: {message}")
        self.code, self.message, self.data = code, message, data


class Rpc:
    """A chain's JSON-RPC endpoint."""

    def __init__(self, url: str, *, timeout: float = 30.0, patience: float = 5.0) -> None:
        """Wait ``timeout`` seconds for an answer, and ``patience`` seconds for something to listen."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise PlanError(f"{url!r} is not the address of a chain", "write it as http://HOST:PORT")
        self.url = url
        self._host, self._port = parts.hostname, parts.port or 80
        self._path = parts.path or "/"
        self._timeout, self._patience = timeout, patience
        self._lock = trio.Lock()
        self._stream: trio.SocketStream | None = None
        self._http = h11.Connection(h11.CLIENT)
        self._serial = 0

    async def call(self, method: str, *params: object) -> Any:
        """The result of one request; `RpcRefusal` for an error answer, ChainError when nothing answers."""
        return (await self.batch([(method, params)]))[0]

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """The results of several requests in one exchange, in order."""
        async with self._lock:
            asked = []
            for method, params in calls:
                self._serial += 1
                asked.append({"jsonrpc": "2.0", "id": self._serial, "method": method, "params": list(params)})
            answer = await self._exchanged(asked)
        found = {entry.get("id"): entry for entry in answer if isinstance(entry, dict)}
        return [self._result(request, found.get(request["id"])) for request in asked]

    def _result(self, request: dict[str, Any], answer: dict[str, Any] | None) -> Any:
        if answer is None:
            raise ChainError(f"{self.url} did not answer {request['method']}", "is this the address of a chain?")
        error = answer.get("error")
        if error is None:
            return answer.get("result")
        if not isinstance(error, dict):
            error = {"code": 0, "message": str(error)}
        data = error.get("data")
        raw = bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""
        raise RpcRefusal(request["method"], int(error.get("code", 0)), str(error.get("message", ""))[:500], raw)

    async def _exchanged(self, asked: list[dict[str, Any]]) -> list[Any]:
        body = json.dumps(asked[0] if len(asked) == 1 else asked, separators=(",", ":")).encode()
        give_up = trio.current_time() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                raw = await self._once(body)
                break
            except _BROKEN as error:
                if trio.current_time() >= give_up:
                    raise ChainAwayError(
                        f"no chain answers at {self.url}", "is it running? start it, or check the address"
                    ) from error
            except trio.TooSlowError as error:
                raise ChainAwayError(
                    f"the chain at {self.url} took longer than {self._timeout:g} s", "try again, or allow it more time"
                ) from error
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        try:
            answer = loads(raw)
        except ValueError as error:
            raise ChainError(f"{self.url} answered {raw[:60]!r}", "is this the address of a chain?") from error
        return answer if isinstance(answer, list) else [answer]

    async def _once(self, body: bytes) -> bytes:
        done = False
        try:
            with trio.fail_after(self._timeout):
                if self._stream is None:
                    self._http = h11.Connection(h11.CLIENT)
                    self._stream = await trio.open_tcp_stream(self._host, self._port)
                    self._stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
                raw = await self._posted(self._stream, body)
            done = True
            return raw
        finally:
            if not done:
                await self.aclose()  # also when cancelled: half an exchange would be read as the next one's answer

    async def _posted(self, stream: trio.SocketStream, body: bytes) -> bytes:
        headers = [
            ("host", f"{self._host}:{self._port}"),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
        ]
        sent = self._http.send(h11.Request(method="POST", target=self._path, headers=headers)) or b""
        sent += self._http.send(h11.Data(data=body)) or b""
        sent += self._http.send(h11.EndOfMessage()) or b""
        await stream.send_all(sent)
        parts: list[bytes] = []
        size = 0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await stream.receive_some(_CHUNK))
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > MAX_ANSWER:
                    raise ChainError(f"{self.url} answered with more than {MAX_ANSWER} bytes", "ask for less")
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, (h11.Response, h11.InformationalResponse)):
                raise trio.BrokenResourceError
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
            await self.aclose()
        else:
            self._http.start_next_cycle()
        return b"".join(parts)

    async def aclose(self) -> None:
        """Close the connection; the next request opens another."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)

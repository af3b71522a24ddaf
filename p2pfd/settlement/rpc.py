"""JSON-RPC over one kept-alive HTTP connection: what a node says to a chain many times a second.

Requests go one after another. A connection that breaks is opened again and the request is sent again, and so is one
that a busy endpoint turned away: every request is either a question or a signed transaction, and a chain takes the
same transaction only once.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import h11
import trio

from p2pfd.core.boundedjson import loads
from p2pfd.core.shown import one_line
from p2pfd.errors import ChainError, PlanError
from p2pfd.settlement.api import ChainAwayError
from p2pfd.settlement.packing import Body, UnreadableError

MAX_ANSWER = 64 * 1024 * 1024
_CHUNK = 256 * 1024
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_LONGEST_WISH = 5.0
"""How long a busy endpoint may ask to be left alone."""
_BROKEN = (OSError, ssl.SSLError, trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError)
_BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
_OK = 200
_RATE_LIMIT, _LIMIT = 429, -32005
_OF_THE_QUESTION = ("result", "range", "block", "log", "size")
_GARBLED = 3
"""So often something that is no answer is asked for again: a page of something in between, which has just restarted."""
_PORTS = {"http": 80, "https": 443}


class RpcRefusal(ChainError):  # noqa: N818 - the chain's answer, which some callers expect
    """The chain answered with an error."""

    def __init__(self, method: str, code: int, message: str, data: bytes, *, repeated: bool = False) -> None:
        super().__init__(f"the chain refuses {method}: {message}")
        self.code, self.message, self.data = code, message, data
        self.repeated = repeated
        """True when the request was sent before, and an answer to that was lost: this may be the answer to a copy."""


class _Busy(Exception):  # noqa: N818 - no error yet: it is asked again
    def __init__(self, status: int, wish: float) -> None:
        super().__init__(status)
        self.status, self.wish = status, wish


class _GarbledError(ChainError):
    """What came is no answer to what was asked."""


class Rpc:
    """A chain's JSON-RPC endpoint."""

    def __init__(
        self, url: str, *, timeout: float = 30.0, patience: float = 5.0, tls: ssl.SSLContext | None = None
    ) -> None:
        """Wait ``timeout`` seconds for an answer, and ``patience`` seconds for one that can be used."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in _PORTS or not parts.hostname or not url.isascii():
            raise PlanError(f"{url!r} is not the address of a chain", "write it as http://HOST:PORT or https://HOST")
        self.host, self.port = parts.hostname, port or _PORTS[parts.scheme]
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        """The address as it may be shown: without its path, in which public endpoints carry their customers' keys."""
        self._whole = url
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._timeout, self._patience = timeout, patience
        self._others: list[str] = []
        self._is_it: Callable[[Rpc], Awaitable[bool]] | None = None
        self._lock = trio.Lock()
        self._stream: trio.abc.Stream | None = None
        self._http = h11.Connection(h11.CLIENT)
        self._serial = 0

    async def call(self, method: str, *params: object) -> Any:
        """The result of one request; `RpcRefusal` for an error answer, ChainError when nothing answers."""
        return (await self.batch([(method, params)]))[0]

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """The results of several requests in one exchange, in order; the first refusal is raised."""
        out = await self.several(calls)
        for found in out:
            if isinstance(found, RpcRefusal):
                raise found
        return out

    async def several(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """As `batch`, with refusals as values: one of them does not hide the other answers."""
        async with self._lock:
            asked = []
            for method, params in calls:
                self._serial += 1
                asked.append({"jsonrpc": "2.0", "id": self._serial, "method": method, "params": list(params)})
            found, repeated = await self._somewhere(asked)
        return [_result(str(request["method"]), answer, repeated) for request, answer in zip(asked, found, strict=True)]

    def fall_back_on(self, others: Sequence[str], is_it: Callable[[Rpc], Awaitable[bool]]) -> None:
        """Use another of these addresses when this one is away, once it is found to be of the same chain."""
        self._others, self._is_it = list(others), is_it

    async def _somewhere(self, asked: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
        """As `_exchanged`; at another address where this one does not answer, and some other does."""
        try:
            return await self._exchanged(asked)
        except ChainAwayError:
            if not await self._moved():
                raise
        found, _ = await self._exchanged(asked)
        return found, True  # the one before may have carried it out

    async def _moved(self) -> bool:
        """Whether the next of the others that answers and is of this chain is used from here on."""
        for url in list(self._others):
            other = Rpc(url, timeout=self._timeout, patience=self._patience)
            try:
                if self._is_it is None or not await self._is_it(other):
                    self._others.remove(url)  # it is another chain, and stays one
                    continue
            except ChainError:
                continue
            finally:
                await other.aclose()
            self._others.remove(url)
            self._others.append(self._whole)
            await self.aclose()
            for name in ("host", "port", "url", "_path", "_tls", "_whole"):
                setattr(self, name, getattr(other, name))
            return True
        return False

    async def _exchanged(self, asked: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
        """The answers in the order of the requests, and whether these may have been carried out before."""
        body = json.dumps(asked[0] if len(asked) == 1 else asked, separators=(",", ":")).encode()
        give_up = trio.current_time() + self._patience
        pause, tries, garbled = _FIRST_PAUSE, 0, 0
        while True:
            tries += 1
            wish = 0.0
            try:
                return self._read(await self._once(body), asked), tries > 1
            except _GarbledError as error:
                garbled += 1
                if garbled == _GARBLED:
                    raise ChainError(error.what, "is this the address of a chain?") from error
            except _Busy as busy:
                wish = busy.wish
                if trio.current_time() >= give_up:
                    why = f"the chain at {self.url} answers with the status {busy.status}"
                    raise ChainAwayError(why, "try again later, or use another endpoint") from busy
            except _BROKEN as error:
                if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                    reason = error.__cause__.verify_message
                    raise ChainError(
                        f"{self.url} does not show a certificate that can be trusted: {reason}", "check the address"
                    ) from error
                if trio.current_time() >= give_up:
                    raise ChainAwayError(
                        f"no chain answers at {self.url}", "is it running? start it, or check the address"
                    ) from error
            except trio.TooSlowError as error:
                raise ChainAwayError(
                    f"the chain at {self.url} took longer than {self._timeout:g} s", "try again, or allow it more time"
                ) from error
            await trio.sleep(max(pause, min(wish, _LONGEST_WISH)))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _read(self, raw: bytes, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answer to each request."""
        try:
            said = loads(raw)
        except ValueError as error:
            raise _GarbledError(f"{self.url} answered {raw[:60]!r}") from error
        entries = [entry for entry in (said if isinstance(said, list) else [said]) if isinstance(entry, dict)]
        errors = [entry["error"] for entry in entries if isinstance(entry.get("error"), dict)]
        for refused in errors:
            if _is_limit(refused):
                raise _Busy(_RATE_LIMIT, _wish_in(refused))
        found = {entry["id"]: entry for entry in entries if type(entry.get("id")) is int}
        if not found and len(entries) == len(errors) == 1:
            return entries * len(asked)  # the batch as a whole is refused
        for request in asked:
            if request["id"] not in found:
                raise _GarbledError(f"{self.url} did not answer {request['method']}")
        return [found[request["id"]] for request in asked]

    async def _once(self, body: bytes) -> bytes:
        done = False
        try:
            with trio.fail_after(self._timeout):
                if self._stream is None:
                    self._http = h11.Connection(h11.CLIENT)
                    self._stream = await self._connected()
                raw = await self._posted(self._stream, body)
            done = True
            return raw
        except UnreadableError as error:
            raise _GarbledError(f"{self.url} answered with {error}") from error
        finally:
            if not done:
                await self.aclose()  # also when cancelled: half an exchange would be read as the next one's answer

    async def _connected(self) -> trio.abc.Stream:
        stream = await trio.open_tcp_stream(self.host, self.port)
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        if self._tls is None:
            return stream
        return trio.SSLStream(stream, self._tls, server_hostname=self.host, https_compatible=True)

    async def _posted(self, stream: trio.abc.Stream, body: bytes) -> bytes:
        headers = [
            ("host", self.url.partition("://")[2]),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("accept-encoding", "gzip"),
        ]
        sent = self._http.send(h11.Request(method="POST", target=self._path, headers=headers)) or b""
        sent += self._http.send(h11.Data(data=body)) or b""
        sent += self._http.send(h11.EndOfMessage()) or b""
        await stream.send_all(sent)
        answer = Body((), MAX_ANSWER)
        status, wish = 0, b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await stream.receive_some(_CHUNK))
            elif isinstance(event, h11.Data):
                answer.add(bytes(event.data))
                if answer.full:
                    raise ChainError(f"{self.url} answered with more than {MAX_ANSWER} bytes", "ask for less")
            elif isinstance(event, h11.Response):
                status, wish = event.status_code, dict(event.headers).get(b"retry-after", b"")
                answer = Body(event.headers if status == _OK else (), MAX_ANSWER)  # a refusal's page is not read
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse):
                raise trio.BrokenResourceError
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
            await self.aclose()
        else:
            self._http.start_next_cycle()
        if status in _BUSY:
            raise _Busy(status, float(wish) if wish.isdigit() else 0.0)
        if status != _OK:
            raise ChainError(f"{self.url} answers with the status {status}", "is this the address of a chain?")
        return answer.whole()

    async def aclose(self) -> None:
        """Close the connection; the next request opens another."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)


def _is_limit(error: dict[str, Any]) -> bool:
    """Whether an endpoint says that it is asked too often; under the same code some say that an answer is too long."""
    code, said = error.get("code"), str(error.get("message", "")).lower()
    return code == _RATE_LIMIT or (code == _LIMIT and not any(word in said for word in _OF_THE_QUESTION))


def _wish_in(error: dict[str, Any]) -> float:
    """How long it asks to be left alone."""
    data = error.get("data")
    rate = data.get("rate") if isinstance(data, dict) else None
    wish = rate.get("backoff_seconds") if isinstance(rate, dict) else None
    return float(wish) if isinstance(wish, int | float) and 0 <= wish <= _LONGEST_WISH else 0.0


def _result(method: str, answer: dict[str, Any], repeated: bool) -> Any:
    error = answer.get("error")
    return answer.get("result") if error is None else _refusal(method, error, repeated)


def _refusal(method: str, error: object, repeated: bool) -> RpcRefusal:
    if not isinstance(error, dict):
        return RpcRefusal(method, 0, one_line(str(error)), b"", repeated=repeated)
    code, data = error.get("code"), error.get("data")
    if isinstance(data, dict):
        data = data.get("data", data.get("result"))
    try:
        raw = bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""
    except ValueError:
        raw = b""
    message = one_line(str(error.get("message", "")))
    return RpcRefusal(method, code if type(code) is int else 0, message, raw, repeated=repeated)

"""A chain's endpoint on a bad day: a proxy before a healthy one that loses, delays, forgets and refuses, from a seed.

In front of an anvil it plays a public endpoint of Polygon's test network, with its rules and its faults:

    python -m p2pfd.testing.faulty --upstream http://127.0.0.1:8545 --seed 7 --lost 0.05

prints its own address and serves until it is stopped. In tests `FaultyProxy` is the same as an object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any

import h11
import trio

from p2pfd.core.boundedjson import loads
from p2pfd.core.rng import Rng
from p2pfd.errors import ChainError
from p2pfd.settlement.embedded.server import listen
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from p2pfd.testing.rules import AMOY_RULES, Rules, TransactionPool
from p2pfd.testing.stale import as_of

MAX_BODY = 4 * 1024 * 1024
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Faults:
    """How often what goes wrong, each as a share of the exchanges (of the receipts, for `hidden`)."""

    dropped: float = 0.0
    """The connection ends before the chain has heard the request."""
    lost: float = 0.0
    """The chain carries the request out, and the connection ends before the answer."""
    throttled: float = 0.0
    """429, with the wish to be asked later."""
    failed: float = 0.0
    """500."""
    stale: float = 0.0
    """The exchange is answered by an endpoint that is up to `lag` blocks behind."""
    lag: int = 3
    hidden: float = 0.0
    """A receipt that is there is not shown."""
    garbled: float = 0.0
    """An answer that is no JSON, or not the answer to what was asked."""


CALM = Faults()
AWFUL = Faults(dropped=0.03, lost=0.03, throttled=0.02, failed=0.02, stale=0.1, hidden=0.1, garbled=0.01)
_GARBLED = (b"", b"<html>502</html>", b"null", b"[]", b'{"jsonrpc":"2.0","id":null,"result":"0x1"}', b"[" * 5_000)


class FaultyProxy:
    """Stands between clients and a chain."""

    def __init__(self, upstream: str, rng: Rng, faults: Faults = CALM, rules: Rules = AMOY_RULES) -> None:
        self.faults = faults
        self.counts: Counter[str] = Counter()
        """What was done, how often."""
        self.url = ""
        self._upstream = Rpc(upstream)
        self._rng = rng
        self._rules = rules
        self._pool = TransactionPool(rules)

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[FaultyProxy]:
        """Serve on loopback while the block lasts."""
        listener = await listen(port)
        self.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.serve_listeners, self._connection, [listener])
                yield self
                nursery.cancel_scope.cancel()
        finally:
            await self._upstream.aclose()

    async def mine(self, *, reorg: float = 0.0, depth: int = 1) -> None:
        """A new block; with this probability the chain first replaces some of its last blocks by empty ones."""
        head = int(await self._upstream.call("eth_blockNumber"), 16)
        if self._rng.unit() < reorg and head > depth:
            self.counts["reorg"] += 1
            await self._upstream.call("anvil_reorg", self._rng.between(1, depth), [])
        await self._upstream.call("evm_mine")

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    async def _connection(self, stream: trio.SocketStream) -> None:
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        http = h11.Connection(h11.SERVER)
        async with stream:
            try:
                while (body := await _request(http, stream)) is not None and await self._answered(http, stream, body):
                    http.start_next_cycle()
            except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
                return  # the client went away, or speaks something else

    async def _answered(self, http: h11.Connection, stream: trio.SocketStream, body: bytes) -> bool:
        """Whether the connection may go on."""
        if self._happens("dropped", self.faults.dropped):
            return False
        status, more, out = 200, [], b""
        if self._happens("throttled", self.faults.throttled):
            status, more, out = 429, [("retry-after", "0")], b'{"error":"too many requests"}'
        elif self._happens("failed", self.faults.failed):
            status, out = 500, b"something went wrong"
        elif self._happens("garbled", self.faults.garbled):
            out = self._rng.choice(_GARBLED)
        else:
            try:
                out = await self._carried_out(body)
            except ChainError:
                status, out = 502, b"the chain behind this proxy does not answer"
            if self._happens("lost", self.faults.lost):
                return False
        headers = [("content-type", "application/json"), ("content-length", str(len(out))), *more]
        sent = http.send(h11.Response(status_code=status, headers=headers)) or b""
        sent += http.send(h11.Data(data=out)) or b""
        sent += http.send(h11.EndOfMessage()) or b""
        await stream.send_all(sent)
        return http.our_state is h11.DONE and http.their_state is h11.DONE

    def _happens(self, what: str, share: float) -> bool:
        happens = share > 0 and self._rng.unit() < share
        self.counts[what] += happens
        return happens

    # -- JSON-RPC ------------------------------------------------------------------------------------------------------

    async def _carried_out(self, body: bytes) -> bytes:
        try:
            asked = loads(body)
        except ValueError:
            return b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}'
        requests = [each for each in (asked if isinstance(asked, list) else [asked]) if isinstance(each, dict)]
        head: int | None = None
        if self._happens("stale", self.faults.stale):
            newest = int(await self._upstream.call("eth_blockNumber"), 16)
            head = max(0, newest - self._rng.between(1, self.faults.lag))
        out = [await self._one(request, head) for request in requests]
        return json.dumps(out if isinstance(asked, list) or not out else out[0]).encode()

    async def _one(self, request: Mapping[str, Any], head: int | None) -> dict[str, Any]:
        entry: dict[str, Any] = {"jsonrpc": "2.0", "id": request.get("id")}
        method, params = str(request.get("method")), request.get("params", [])
        refused = self._refused(method, params)
        if refused:
            self.counts["refused"] += 1
            return entry | {"error": {"code": -32000, "message": refused}}
        if head is not None:
            params = as_of(head, method, params)
        if params is None:
            return entry | {"result": [] if method == "eth_getLogs" else None}
        (found,) = await self._upstream.several([(method, params)])
        if isinstance(found, RpcRefusal):
            error: dict[str, Any] = {"code": found.code, "message": found.message}
            if found.data:
                error["data"] = "0x" + found.data.hex()
            return entry | {"error": error}
        return entry | {"result": self._shown(method, found, head)}

    def _refused(self, method: str, params: Any) -> str:
        """What the network's rules say against a request; empty where they have nothing."""
        if not isinstance(params, list):
            return "params is a list"
        if method == "eth_sendRawTransaction" and params:
            return self._pool.problem(params[0])
        if method == "eth_getBlockByNumber" and params[:1] in (["finalized"], ["safe"]) and not self._rules.finalized:
            return "finalized block not found"
        return ""

    def _shown(self, method: str, found: Any, head: int | None) -> Any:
        if method == "eth_blockNumber" and head is not None:
            return hex(head)
        if not isinstance(found, dict):
            return found
        if method == "eth_getTransactionReceipt":
            late = head is not None and int(found["blockNumber"], 16) > head
            return None if late or self._happens("hidden", self.faults.hidden) else found
        if method in ("eth_getBlockByNumber", "eth_getBlockByHash"):
            if head is not None and int(found["number"], 16) > head:
                return None
            return found | dict(self._rules.block)
        return found


async def _request(http: h11.Connection, stream: trio.SocketStream) -> bytes | None:
    """The next request's body; None when there is none."""
    parts: list[bytes] = []
    size = 0
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await stream.receive_some(_CHUNK))
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > MAX_BODY:
                return None
        elif isinstance(event, h11.EndOfMessage):
            return b"".join(parts)
        elif not isinstance(event, h11.Request):
            return None


def main(arguments: Sequence[str]) -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m p2pfd.testing.faulty", description=__doc__)
    parser.add_argument("--upstream", required=True, metavar="URL", help="the healthy endpoint")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes any that is free")
    parser.add_argument("--seed", type=int, default=0, help="the same seed and requests: the same faults")
    for entry in fields(Faults):
        kind = int if entry.name == "lag" else float
        parser.add_argument(f"--{entry.name}", type=kind, default=entry.default, metavar="SHARE")
    options = parser.parse_args(arguments)
    faults = Faults(**{entry.name: getattr(options, entry.name) for entry in fields(Faults)})

    async def run() -> None:
        async with FaultyProxy(options.upstream, Rng(options.seed), faults).serving(options.port) as proxy:
            sys.stdout.write(json.dumps({"url": proxy.url}) + "\n")
            sys.stdout.flush()
            await trio.sleep_forever()

    try:
        trio.run(run)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main(sys.argv[1:])

"""The same bytes by gRPC without encryption, or by plain TCP: ``NAME SIZE TURNS`` prints the seconds of each turn."""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import trio

from tests.bench.net.worker import blob_of

PIECE = 1024 * 1024
METHOD = "/bench/Get"


def serve_grpc(said: Any, size: int) -> None:
    """A server that streams the blob in messages of 1 MiB."""
    import grpc

    blob = blob_of(size)

    def get(_request: bytes, _context: Any) -> Any:
        return (blob[at : at + PIECE] for at in range(0, size, PIECE))

    handler = grpc.method_handlers_generic_handler("bench", {"Get": grpc.unary_stream_rpc_method_handler(get)})
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((handler,))
    said.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


def get_grpc(port: int, turns: int) -> list[tuple[float, bytes]]:
    """Fetch and check it, so many times."""
    import grpc

    out = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_stream(METHOD)
        for _ in range(turns):
            begun = time.perf_counter()
            got = b"".join(ask(b""))
            digest = hashlib.sha256(got).digest()
            out.append((time.perf_counter() - begun, digest))
    return out


def serve_tcp(said: Any, size: int) -> None:
    """A server that sends the blob to whoever connects."""
    blob = blob_of(size)

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(blob)

    async def main() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        said.send(listener.socket.getsockname()[1])
        await trio.serve_listeners(handle, [listener])

    trio.run(main)


def get_tcp(port: int, turns: int) -> list[tuple[float, bytes]]:
    """Fetch and check it, so many times."""

    async def once() -> tuple[float, bytes]:
        begun = time.perf_counter()
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            got = b"".join([part async for part in stream])
        digest = hashlib.sha256(got).digest()
        return time.perf_counter() - begun, digest

    return [trio.run(once) for _ in range(turns)]


def main() -> None:
    """Serve in one process, fetch in this one."""
    name, size, turns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    serve, get = {"grpc": (serve_grpc, get_grpc), "tcp": (serve_tcp, get_tcp)}[name]
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, size), daemon=True)
    process.start()
    wanted = hashlib.sha256(blob_of(size)).digest()
    for seconds, digest in get(here.recv(), turns):
        if digest != wanted:
            raise SystemExit("what came is not the blob")
        print(seconds)
    process.kill()


if __name__ == "__main__":
    main()

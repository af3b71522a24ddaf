"""Ten megabytes over QUIC and over TCP with Noise and yamux, as py-libp2p 0.8.1 has them: why p2pfd speaks TCP alone.

Two nodes of the library in this process, one stream after the other. Prints a table; the last line is the same as JSON.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.peerinfo import info_from_p2p_addr
from multiaddr import Multiaddr

PROTOCOL = TProtocol("/bench/bulk/1")
SIZE = 10_000_000
PART = 65_507
STREAMS = 5
PATIENCE = 60.0
LISTEN = {"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"}


async def serve(stream: Any) -> None:
    """Say it all, and close."""
    await stream.read(1)
    for start in range(0, SIZE, PART):
        await stream.write(bytes(min(PART, SIZE - start)))
    await stream.close()


async def fetch(stream: Any) -> int:
    """How many bytes came."""
    await stream.write(b"?")
    got = 0
    with trio.move_on_after(PATIENCE):
        while got < SIZE and (part := await stream.read(1 << 20)):
            got += len(part)
    return got


async def measure(kind: str) -> dict[str, float]:
    """Several streams over one connection of this kind."""
    listen = [Multiaddr(LISTEN[kind])]
    here, there = (
        new_host(key_pair=create_new_key_pair(bytes([n]) * 32), listen_addrs=listen, enable_quic=kind == "quic")
        for n in (1, 2)
    )
    whole = 0
    async with here.run(listen), there.run(listen):
        here.set_stream_handler(PROTOCOL, serve)
        await there.connect(info_from_p2p_addr(here.get_addrs()[0]))
        begin, cpu = time.perf_counter(), time.process_time()
        for _ in range(STREAMS):
            try:
                whole += await fetch(await there.new_stream(here.get_id(), [PROTOCOL])) == SIZE
            except BaseLibp2pError:
                continue  # it is not whole, and that is counted
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    megabytes = STREAMS * SIZE / 1e6
    return {"mb_a_second": megabytes / seconds, "cpu_ms_a_mb": 1000 * cpu / megabytes, "whole": whole / STREAMS}


def main() -> None:
    """Both, and the table."""
    logging.disable(logging.CRITICAL)
    found = {kind: trio.run(measure, kind) for kind in LISTEN}
    print(f"{'':6}{'MB/s':>8}{'CPU ms/MB':>12}{'whole':>8}")
    for kind, row in found.items():
        print(f"{kind:6}{row['mb_a_second']:8.1f}{row['cpu_ms_a_mb']:12.1f}{row['whole']:8.0%}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()

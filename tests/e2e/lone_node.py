"""A node that learns nothing: number, where to listen, its role, and addresses. It tells whom it knows and hears.

``alone`` begins with these addresses; ``via`` is reached through them; ``relay`` carries others and says nothing.
"""

from __future__ import annotations

import json
import sys

import trio

from p2pfd.core.verdict import Accept
from p2pfd.network.api import Topic
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings

TOPIC = Topic("p2pfd/lone")
TELL_SECONDS = 0.1


async def main(number: str, listen: str, role: str, *addresses: str) -> None:
    settings = NetworkSettings(discover=True, relay=role == "relay", via=addresses if role == "via" else ())
    async with open_transport(int(number).to_bytes(32, "big"), listen, settings, addresses) as node:
        print(json.dumps({"peer": node.peer, "addresses": node.addresses}), flush=True)
        heard: set[str] = set()
        async with trio.open_nursery() as nursery:
            if role != "relay":
                nursery.start_soon(speak, node)
                nursery.start_soon(listen_to, node, heard)
            told = ""
            while True:
                now = json.dumps({"peers": node.peers(), "heard": sorted(heard)})
                if now != told:
                    print(now, flush=True)
                told = now
                await trio.sleep(TELL_SECONDS)


async def speak(node: Libp2pTransport) -> None:
    count = 0
    while True:
        await node.wait_for_subscribers(TOPIC, 1)
        await node.publish(TOPIC, f"{node.peer} {count}".encode())
        count += 1
        await trio.sleep(0.5)


async def listen_to(node: Libp2pTransport, heard: set[str]) -> None:
    async with node.heard(TOPIC) as deliveries:
        async for delivery in deliveries:
            delivery.answer(Accept())
            heard.add(delivery.sender)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])

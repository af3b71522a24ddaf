"""A node that learns nothing: it only finds others, and says whom whenever that changes."""

from __future__ import annotations

import json
import sys

import trio

from p2pfd.network.libp2p import open_transport
from p2pfd.network.settings import NetworkSettings


async def main(number: str, listen: str, *bootstrap: str) -> None:
    settings = NetworkSettings(discover=True)
    async with open_transport(int(number).to_bytes(32, "big"), listen, settings, bootstrap) as node:
        print(json.dumps({"peer": node.peer, "address": node.addresses[0], "peers": []}), flush=True)
        while True:
            peers = node.peers()
            print(json.dumps({"peers": peers}), flush=True)
            while node.peers() == peers:
                await node._links.change()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])

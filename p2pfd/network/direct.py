"""From a relay to a connection of one's own, where one of the two can be dialled: ``/libp2p/dcutr``.

Whoever was reached through a relay tells the other its addresses, and is told the other's. Each looks whether the other
answers at one of them, first the one that was reached. When it does, the circuit is given up for a direct connection.

Two peers that nobody can dial stay on their relay: why, says docs/explanation/reachability.md.
"""

from __future__ import annotations

import logging
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.pb.dcutr_pb2 import HolePunch
from multiaddr import Multiaddr

from p2pfd.core.ids import PeerId
from p2pfd.errors import NetworkError
from p2pfd.network.circuit import is_relayed, read_message, write_message
from p2pfd.network.counters import Drop
from p2pfd.network.links import Links
from p2pfd.network.reach import ADDRESSES, Reach, reach_of, reach_of_host, relay_in, whole
from p2pfd.network.recent import Recent
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.shares import StreamFaultError

DCUTR = TProtocol("/libp2p/dcutr")
TRIED = 4
AGAIN_SECONDS = 60.0
AT_ONE_TIME = 4
"""So many peers' addresses are tried, and those of others not: nobody has us dial the world."""
AFTER_SECONDS = 1.0
"""How long the one that dialled waits for the other, so that they do not both give up what the other has just made."""

log = logging.getLogger("p2pfd.network")


class Direct:
    """One node's attempts to do without a relay."""

    def __init__(
        self, host: Any, links: Links, settings: NetworkSettings, addresses: tuple[str, ...], nursery: trio.Nursery
    ) -> None:
        self._host = host
        self._links = links
        self._settings = settings
        own = [Multiaddr(address) for address in addresses if relay_in(address) is None]
        self._own = [address.to_bytes() for address in own[:ADDRESSES]]
        self._nursery = nursery
        self._lately, self._heard_of = Recent(AGAIN_SECONDS), Recent(AGAIN_SECONDS)
        self._moving = trio.CapacityLimiter(AT_ONE_TIME)
        host.set_stream_handler(DCUTR, self._answer)

    async def seek(self, peer: PeerId, relay: PeerId) -> None:
        """A peer has reached us through a relay: find out whether it could do without."""
        if peer in self._lately:
            return
        self._lately.add(peer)
        stream: INetStream | None = None
        done = False
        try:
            with trio.fail_after(self._settings.request_seconds):
                stream = await self._host.new_stream(ID.from_base58(peer), [DCUTR])
                await write_message(stream, HolePunch(type=HolePunch.CONNECT, ObsAddrs=self._own))
                told = await read_message(stream, HolePunch)
                await write_message(stream, HolePunch(type=HolePunch.SYNC))
                await stream.close()
                done = True
        except (BaseLibp2pError, OSError, ValueError, trio.TooSlowError) as error:
            log.debug("%s does not say where it could be dialled: %r", peer, error)
            return
        finally:
            if stream is not None and not done:
                with trio.CancelScope(shield=True):  # bounded: writing to a socket is
                    await stream.reset()
        await self._move(peer, self._read(peer, told, self._links.host_of(relay)))

    def nearer(self, peer: PeerId, addresses: list[str]) -> None:
        """A peer that is connected through a relay is on the LAN, somebody there says, at these addresses."""
        if peer not in self._heard_of:  # what it tells of itself through the relay is another matter
            self._heard_of.add(peer)
            self._nursery.start_soon(self._move, peer, addresses[:TRIED])

    async def _answer(self, stream: INetStream) -> None:
        peer = PeerId(stream.muxed_conn.peer_id.to_base58())
        if not is_relayed(stream) or peer in self._lately:
            raise StreamFaultError(Drop.RELAY, f"{peer} wants to leave a relay, but is on none, or asks too often")
        self._lately.add(peer)
        with trio.fail_after(self._settings.request_seconds):
            told = await read_message(stream, HolePunch)
            if told.type != HolePunch.CONNECT:
                raise StreamFaultError(Drop.RELAY, f"{peer} does not begin as one does to leave a relay")
            await write_message(stream, HolePunch(type=HolePunch.CONNECT, ObsAddrs=self._own))
            await read_message(stream, HolePunch)
            await stream.close()
        where = [Multiaddr(address) for address in stream.muxed_conn.get_transport_addresses()]
        host = str(where[0]).split("/")[2] if where else None
        self._nursery.start_soon(self._move_later, peer, self._read(peer, told, host))

    async def _move_later(self, peer: PeerId, addresses: list[str]) -> None:
        await trio.sleep(AFTER_SECONDS)
        await self._move(peer, addresses)

    @staticmethod
    def _read(peer: PeerId, told: HolePunch, relay: str | None) -> list[str]:
        """The addresses that mean the same here as there: those as far away as the relay, at least."""
        near = None if relay is None else reach_of_host(relay)
        near = Reach.WORLD if near is None else near
        found = []
        for raw in told.ObsAddrs[: 2 * TRIED]:
            try:
                address = whole(str(Multiaddr(raw)), peer)
            except (ValueError, LookupError):
                continue
            if address is not None and relay_in(address) is None and (reach_of(address) or Reach.MACHINE) >= near:
                found.append(address)
        return found[:TRIED]

    async def _move(self, peer: PeerId, addresses: list[str]) -> None:
        if self._moving.available_tokens == 0:
            return
        async with self._moving:
            await self._try(peer, addresses)

    async def _try(self, peer: PeerId, addresses: list[str]) -> None:
        for address in addresses:
            if not self._links.is_relayed(peer):
                return
            if await self._links.prove(address) and self._links.is_relayed(peer):
                try:
                    await self._links.drop(peer)
                    await self._links.connect(address)
                except NetworkError as error:
                    log.info("%s answered, and does not any more: %s", peer, error.what)
                    continue
                log.info("%s is connected directly, and not through a relay any more", peer)
                return

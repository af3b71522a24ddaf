"""A relay: carries connections between peers that cannot reach each other, within limits. Circuit relay v2.

Whoever wants to be reached asks for a place; whoever wants to reach it asks for a circuit. The relay sees bytes that
both ends have enciphered for each other, how many, and who talks to whom. A place is the connection's own: it is given
to whom the handshake has shown to be there, and ends with the connection.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.exceptions import BaseLibp2pError
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Limit, Reservation, Status, StopMessage
from libp2p.relay.circuit_v2.pb.circuit_pb2 import PeerId as CircuitPeer
from multiaddr import Multiaddr

from p2pfd.core.ids import PeerId, peer_id
from p2pfd.core.ticks import SECOND, Clock
from p2pfd.errors import DecodeError
from p2pfd.network.circuit import HOP, STOP, is_relayed, read_message, write_message
from p2pfd.network.counters import Counters, Drop
from p2pfd.network.links import Links
from p2pfd.network.pace import Pace
from p2pfd.network.settings import NetworkSettings

PLACE_SECONDS = 3600
"""How long a place is kept for a peer that does not ask again."""
PART = 64 * 1024

log = logging.getLogger("p2pfd.network")


class Budget:
    """What one circuit may still carry, both ways together."""

    def __init__(self, settings: NetworkSettings) -> None:
        self.left = settings.relay_bytes
        rate = settings.relay_bytes_per_second
        self._pace = Pace(rate) if rate else None

    async def spend(self, size: int) -> bool:
        """Carry so many bytes, as quickly as they may go; False when they are more than is left."""
        self.left -= size
        if self._pace is not None:
            await self._pace.wait(size)
        return self.left >= 0


class Relay:
    """One node's service to others."""

    def __init__(
        self, host: Any, links: Links, settings: NetworkSettings, counters: Counters, addresses: tuple[str, ...],
        clock: Clock | None,
    ) -> None:  # fmt: skip
        self._host = host
        self._links = links
        self._settings = settings
        self._counters = counters
        self._addresses = addresses
        self._clock = clock
        self._places: dict[PeerId, float] = {}
        self._carried: Counter[PeerId] = Counter()
        self.circuits = 0
        self.most = 0
        """The most circuits that there were at one time."""
        self.carried = 0
        """Bytes of all circuits, both ways, each counted once."""
        self.full = 0
        """How often somebody was refused because a limit was reached."""
        host.set_stream_handler(HOP, self._hop)

    @property
    def places(self) -> tuple[PeerId, ...]:
        """Who can be reached through this node now."""
        now, connected = trio.current_time(), self._links.peers()
        gone = [peer for peer, end in self._places.items() if end < now or peer not in connected]
        for peer in gone:
            del self._places[peer]
        return tuple(self._places)

    async def _hop(self, stream: INetStream) -> None:
        peer = PeerId(stream.muxed_conn.peer_id.to_base58())
        with trio.fail_after(self._settings.request_seconds):
            asked = await read_message(stream, HopMessage)
            if is_relayed(stream):
                await self._refuse(stream, peer, Status.PERMISSION_DENIED)
                return
            if asked.type == HopMessage.RESERVE:
                await self._reserve(stream, peer)
                return
            if asked.type != HopMessage.CONNECT:
                await self._refuse(stream, peer, Status.UNEXPECTED_MESSAGE)
                return
            target = await self._target(stream, peer, asked)
        if target is not None:
            await self._connect(stream, peer, target)

    async def _refuse(self, stream: INetStream, peer: PeerId, status: Status.ValueType) -> None:
        self._counters.drop(Drop.RELAY, peer)
        self.full += status in (Status.RESERVATION_REFUSED, Status.RESOURCE_LIMIT_EXCEEDED)
        await write_message(stream, HopMessage(type=HopMessage.STATUS, status=status))
        await stream.close()

    async def _reserve(self, stream: INetStream, peer: PeerId) -> None:
        places = self.places
        if peer not in places and len(places) >= self._settings.relay_reservations:
            await self._refuse(stream, peer, Status.RESERVATION_REFUSED)
            return
        self._places[peer] = trio.current_time() + PLACE_SECONDS
        now = 0 if self._clock is None else self._clock.now() // SECOND
        for address in self._addresses:
            self._links.vouch(f"{address}/p2p-circuit/p2p/{peer}", peer)
        addresses = [Multiaddr(address).to_bytes() for address in self._addresses]
        place = Reservation(expire=now + PLACE_SECONDS, addrs=addresses)
        said = HopMessage(type=HopMessage.STATUS, status=Status.OK, reservation=place, limit=self._limit())
        await write_message(stream, said)
        await stream.close()

    def _limit(self) -> Limit:
        """What a circuit may last and carry, as the messages can say it: 32 bits of seconds."""
        return Limit(duration=int(self._settings.relay_seconds), data=self._settings.relay_bytes)

    async def _target(self, stream: INetStream, source: PeerId, asked: HopMessage) -> PeerId | None:
        """Whom to connect to; None, and the asker has been told so, when that is not to be."""
        try:
            target = peer_id(ID(asked.peer.id).to_base58())
        except (DecodeError, ValueError):
            await self._refuse(stream, source, Status.MALFORMED_MESSAGE)
            return None
        if target not in self.places or target == source:
            await self._refuse(stream, source, Status.NO_RESERVATION)
            return None
        most = self._settings.relay_circuits_per_peer
        busy = self._carried[source] >= most or self._carried[target] >= most
        if busy or self.circuits >= self._settings.relay_circuits:
            await self._refuse(stream, source, Status.RESOURCE_LIMIT_EXCEEDED)
            return None
        return target

    async def _connect(self, stream: INetStream, source: PeerId, target: PeerId) -> None:
        self.circuits += 1
        self.most = max(self.most, self.circuits)
        self._carried.update((source, target))
        other: INetStream | None = None
        try:
            with trio.move_on_after(self._settings.connect_seconds):
                other = await self._ask(source, target)
            if other is None:
                await self._refuse(stream, source, Status.CONNECTION_FAILED)
                return
            said = HopMessage(type=HopMessage.STATUS, status=Status.OK, limit=self._limit())
            await write_message(stream, said)
            log.info("carries %s to %s", source, target)
            await self._carry(stream, other, source)
        finally:
            self.circuits -= 1
            self._carried.subtract((source, target))
            self._carried += Counter()  # those of nobody go
            with trio.CancelScope(shield=True):  # bounded: writing to a socket is
                await stream.reset()
                if other is not None:
                    await other.reset()

    async def _ask(self, source: PeerId, target: PeerId) -> INetStream | None:
        """A stream to the target, which has agreed to be connected; None when it has not."""
        other: INetStream | None = None
        agreed = False
        try:
            other = await self._host.new_stream(ID.from_base58(target), [STOP])
            who = CircuitPeer(id=ID.from_base58(source).to_bytes())
            await write_message(other, StopMessage(type=StopMessage.CONNECT, peer=who, limit=self._limit()))
            answer = await read_message(other, StopMessage)
            agreed = answer.type == StopMessage.STATUS and answer.status == Status.OK
            return other if agreed else None
        except (BaseLibp2pError, OSError, ValueError) as error:
            log.debug("%s does not take %s: %r", target, source, error)
            return None
        finally:
            if other is not None and not agreed:
                with trio.CancelScope(shield=True):
                    await other.reset()

    async def _carry(self, one: INetStream, other: INetStream, source: PeerId) -> None:
        budget = Budget(self._settings)
        with trio.move_on_after(self._settings.relay_seconds) as time:
            async with trio.open_nursery() as nursery:
                for here, there in ((one, other), (other, one)):
                    nursery.start_soon(self._way, here, there, budget, nursery.cancel_scope)
        if time.cancelled_caught or budget.left < 0:
            self._counters.drop(Drop.CIRCUIT, source)

    async def _way(self, here: INetStream, there: INetStream, budget: Budget, both: trio.CancelScope) -> None:
        try:
            while part := await here.read(PART):
                if not await budget.spend(len(part)):
                    break
                await there.write(part)
                self.carried += len(part)
        except StreamEOF:
            await there.close()
            return
        except (BaseLibp2pError, OSError) as error:
            log.debug("a circuit ends: %r", error)
        both.cancel()

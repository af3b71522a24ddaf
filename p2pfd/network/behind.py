"""A node that is reached through relays, and one that dials such nodes: the other two sides of circuit relay v2."""

from __future__ import annotations

import logging
from typing import Any

import trio
from libp2p.abc import INetStream, IRawConnection
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Status, StopMessage
from libp2p.relay.circuit_v2.pb.circuit_pb2 import PeerId as CircuitPeer
from libp2p.transport.exceptions import OpenConnectionError

from p2pfd.core.ids import PeerId, peer_id
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError
from p2pfd.network.circuit import HOP, STOP, RelayedStream, read_message, relayed, write_message
from p2pfd.network.counters import Drop
from p2pfd.network.direct import Direct
from p2pfd.network.links import Links
from p2pfd.network.reach import parse_address, reason_of, relay_in
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.sockets import Meter

RENEW_SECONDS = 1200.0
"""A third of what a relay of ours keeps a place for; others may keep it for half as long."""

log = logging.getLogger("p2pfd.network")


class Behind:
    """One node's dealings with relays."""

    def __init__(
        self, me: PeerId, host: Any, links: Links, settings: NetworkSettings, meter: Meter, nursery: trio.Nursery,
        rng: Rng, direct: Direct,
    ) -> None:  # fmt: skip
        self._me = me
        self._host = host
        self._links = links
        self._settings = settings
        self._meter = meter
        self._nursery = nursery
        self._rng = rng
        self._relays: dict[PeerId, str] = {}
        self._placed = trio.Event()
        self._told: set[PeerId] = set()
        """Relays that give no place, of which a warning has told."""
        self.direct = direct
        links.relayed = self.dial
        if settings.via:
            host.set_stream_handler(STOP, self._stop)

    # -- being reached ---------------------------------------------------------------------------------------------

    @property
    def relays(self) -> tuple[PeerId, ...]:
        """The relays through which this node can be reached now."""
        return tuple(self._relays)

    async def wait_until_reachable(self) -> None:
        """Wait until a relay keeps a place."""
        while not self._relays:
            await self.change()

    async def change(self) -> None:
        """Wait until another relay keeps a place."""
        await self._placed.wait()

    async def hold(self, address: str) -> None:
        """Keep a place on a relay until cancelled: ask when it is connected, in time again, and when it is back."""
        _, relay = parse_address(address)
        self._links.keep(address)
        while True:
            while relay not in self._links.peers():
                self._relays.pop(relay, None)
                await self._links.change()
            kept = await self._reserve(relay)
            if kept:
                self._relays[relay] = address
                self._placed.set()
                self._placed = trio.Event()
            else:
                self._relays.pop(relay, None)
            again = RENEW_SECONDS if kept else self._settings.redial_max_seconds
            with trio.move_on_after(again * (1 + self._rng.unit()) / 2):
                while relay in self._links.peers():
                    await self._links.change()

    async def _reserve(self, relay: PeerId) -> bool:
        """Ask for a place; whether it is given."""
        stream: INetStream | None = None
        try:
            with trio.fail_after(self._settings.request_seconds):
                stream = await self._host.new_stream(ID.from_base58(relay), [HOP])
                await write_message(stream, HopMessage(type=HopMessage.RESERVE))
                answer = await read_message(stream, HopMessage)
            await stream.close()
        except (BaseLibp2pError, OSError, ValueError, trio.TooSlowError) as error:
            self._complain(relay, reason_of(error))
            if stream is not None:
                await stream.reset()
            return False
        if answer.status != Status.OK:
            self._complain(relay, _name(answer.status))
            return False
        self._told.discard(relay)
        return True

    def _complain(self, relay: PeerId, why: str) -> None:
        """A warning, once: it is asked again and again."""
        log.log(logging.DEBUG if relay in self._told else logging.WARNING, "no place at relay %s: %s", relay, why)
        self._told.add(relay)

    async def _stop(self, stream: INetStream) -> None:
        """A relay says that somebody wants to reach us."""
        relay = PeerId(stream.muxed_conn.peer_id.to_base58())
        with trio.fail_after(self._settings.request_seconds):
            asked = await read_message(stream, StopMessage)
            status = Status.OK
            try:
                source = peer_id(ID(asked.peer.id).to_base58())
                if relay not in self._relays or self._links.is_refused(source):
                    status = Status.PERMISSION_DENIED
            except (DecodeError, ValueError):
                status = Status.MALFORMED_MESSAGE
            if asked.type != StopMessage.CONNECT:
                status = Status.UNEXPECTED_MESSAGE
            if status != Status.OK:
                self._meter.counters.drop(Drop.RELAY, relay)
            await write_message(stream, StopMessage(type=StopMessage.STATUS, status=status))
        if status != Status.OK:
            await stream.close()
            return
        through = RelayedStream(stream, self._meter, self._nursery)
        # Who it is, the handshake says, and not the relay.
        await self._links.take(relayed(through, False, self._relays[relay]))
        if self._links.is_relayed(source):
            self._nursery.start_soon(self.direct.seek, source, relay)

    # -- reaching others -------------------------------------------------------------------------------------------

    async def dial(self, address: str) -> IRawConnection:
        """A connection through a relay, on which nothing is said yet; OpenConnectionError when there is none."""
        through = relay_in(address)
        if through is None:
            raise OpenConnectionError(f"{address} leads through no relay")
        _, relay = parse_address(through)
        _, target = parse_address(address)
        if relay == self._me:
            raise OpenConnectionError(f"{target} is behind this node itself")
        await self._links.connect(through)
        stream: INetStream = await self._host.new_stream(ID.from_base58(relay), [HOP])
        agreed = False
        try:
            who = CircuitPeer(id=ID.from_base58(target).to_bytes())
            await write_message(stream, HopMessage(type=HopMessage.CONNECT, peer=who))
            answer = await read_message(stream, HopMessage)
            agreed = answer.type == HopMessage.STATUS and answer.status == Status.OK
        finally:
            if not agreed:
                with trio.CancelScope(shield=True):  # bounded: writing to a socket is
                    await stream.reset()
        if not agreed:
            raise OpenConnectionError(f"the relay cannot connect to {target}: {_name(answer.status)}")
        return relayed(RelayedStream(stream, self._meter, self._nursery), True, through)


def _name(status: Status.ValueType) -> str:
    """What a relay says, in words."""
    try:
        return Status.Name(status).lower().replace("_", " ")
    except ValueError:
        return f"status {status}"

"""Who has fallen silent: asked for a sign of life, and cut off when none comes.

A peer that was killed closes its sockets. One whose cable was pulled, whose machine went to sleep or whose process was
stopped does not, and TCP alone would go on believing in it for minutes. Whatever is read from a peer's socket is a sign
of life. A connection on which nothing was read for `keepalive_seconds` is asked: one ping of yamux, which every peer
that we speak to at all has to answer, whatever its make. It is a frame of 12 bytes; libp2p's own ping needs a stream,
and costs two and a half times the processor time. When nothing is read for as long again, the connection is cut. Of
two idle peers the one that dialled asks, for the other has a quarter more patience, and the question is a sign of life
to it.
"""

from __future__ import annotations

import logging
import math

import trio
from libp2p.abc import INetConn
from libp2p.exceptions import BaseLibp2pError

from p2pfd.network.counters import Drop
from p2pfd.network.links import Links
from p2pfd.network.muxstream import PING, SYN
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.sockets import Wire, socket_of

PATIENCE_OF_THE_DIALLED = 1.25
OVERSLEPT = 0.25
"""Woken later by such a part of `keepalive_seconds`, it was this process that stood still, and nobody is to blame."""

NUMBER = 0x70327066
"""What our pings carry and their answers repeat; nobody looks at it."""

log = logging.getLogger("p2pfd.network")


class Pulse:
    """What is known of one connection."""

    def __init__(self, socket: Wire, patience: float) -> None:
        self.socket = socket
        self.patience = patience
        self.asked: float | None = None
        self.busy = False
        self.cut = False


class Keepalive:
    """Looks after all connections of one node."""

    def __init__(self, links: Links, settings: NetworkSettings) -> None:
        self._links = links
        self._seconds = settings.keepalive_seconds
        self.asked = 0
        self._pulses: dict[INetConn, Pulse] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                due = self._look(nursery)
                if due == math.inf:
                    await self._links.change()
                    continue
                await trio.sleep_until(due)
                if trio.current_time() > due + OVERSLEPT * self._seconds:
                    log.info("this process stood still for %.1f s", trio.current_time() - due)
                    for pulse in self._pulses.values():
                        pulse.asked = None

    def _look(self, nursery: trio.Nursery) -> float:
        """Ask whoever has been silent, cut off whoever remains so; when to look again."""
        now, due = trio.current_time(), math.inf
        former, self._pulses = self._pulses, {}
        for connection in self._links.connections():
            pulse = former.get(connection) or self._pulse_of(connection)
            if pulse is None:
                continue
            self._pulses[connection] = pulse
            if pulse.cut:
                continue
            if pulse.asked is not None and pulse.socket.heard >= pulse.asked:
                pulse.asked = None
            if pulse.asked is None and now - pulse.socket.heard >= pulse.patience:
                pulse.asked = now
                if not pulse.busy:
                    nursery.start_soon(self._ask, connection, pulse)
            if pulse.asked is not None and now - pulse.asked >= self._seconds:
                silent = now - pulse.socket.heard
                log.info("%s has been silent for %.1f s: cut off", connection.muxed_conn.peer_id, silent)
                pulse.cut = True
                pulse.socket.meter.counters.drop(Drop.SILENT, connection.muxed_conn.peer_id.to_base58())
                pulse.socket.cut()
                continue
            ask, cut = pulse.socket.heard + pulse.patience, (pulse.asked or 0) + self._seconds
            due = min(due, ask if pulse.asked is None else cut)
        return due

    def _pulse_of(self, connection: INetConn) -> Pulse | None:
        socket = socket_of(connection)
        patience = self._seconds * (1 if connection.muxed_conn.is_initiator else PATIENCE_OF_THE_DIALLED)
        return None if socket is None else Pulse(socket, patience)

    async def _ask(self, connection: INetConn, pulse: Pulse) -> None:
        """Ping. Nobody waits for the answer: that something is read at all is seen at the socket."""
        pulse.busy = True
        self.asked += 1
        mux = connection.muxed_conn
        try:
            await mux.send(PING, SYN, 0, NUMBER)
        except (BaseLibp2pError, OSError) as error:
            log.debug("no ping to %s: %r", mux.peer_id, error)
        finally:
            pulse.busy = False

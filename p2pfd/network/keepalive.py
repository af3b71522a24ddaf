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
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.sockets import Wire, socket_of

PATIENCE_OF_THE_DIALLED = 1.25
OVERSLEPT = 0.25
"""Woken later by such a part of `keepalive_seconds`, it was this process that stood still, and nobody is to blame."""

TOGETHER = 0.8
"""Whom we dialled and who has been silent for such a part of its time is asked along with the one whose time is over.

Their times are over together from then on: an idle node wakes once in `keepalive_seconds`, not once for each peer.
"""

SLACK = 0.02
"""And who would be due so soon is due: an answer comes a little after its question, and would else be waited for."""

NUMBER = 0x70327066
"""What our pings carry and their answers repeat; nobody looks at it."""

log = logging.getLogger("p2pfd.network")


class Pulse:
    """What is known of one connection."""

    def __init__(self, socket: Wire, patience: float, early: float) -> None:
        self.socket = socket
        self.patience = patience
        self.early = early
        self.asked: float | None = None
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
        while True:
            due = self._look()
            if due == math.inf:
                await self._links.change()
                continue
            await trio.sleep_until(due)
            if trio.current_time() > due + OVERSLEPT * self._seconds:
                log.info("this process stood still for %.1f s", trio.current_time() - due)
                for pulse in self._pulses.values():
                    pulse.asked = None

    def _look(self) -> float:
        """Ask whoever has been silent, cut off whoever remains so; when to look again."""
        now = trio.current_time()
        due = later = math.inf  # of those that may be asked now, and of the others
        former, self._pulses = self._pulses, {}
        silent: list[tuple[INetConn, Pulse]] = []
        for connection in self._links.connections():
            pulse = former.get(connection) or self._pulse_of(connection)
            if pulse is None:
                continue
            self._pulses[connection] = pulse
            if pulse.cut:
                continue
            heard = pulse.socket.heard
            if pulse.asked is not None and heard >= pulse.asked:
                pulse.asked = None
            if pulse.asked is None and now - heard >= pulse.early:
                silent.append((connection, pulse))
                due = min(due, heard + pulse.patience)
            elif pulse.asked is None:
                later = min(later, heard + pulse.patience)
            elif now - pulse.asked < self._seconds:
                later = min(later, pulse.asked + self._seconds)
            else:
                self._cut(connection, pulse)
        if due > now + SLACK * self._seconds:
            return min(due, later)
        for connection, pulse in silent:
            pulse.asked = now
            self._ask(connection)
        return min(later, now + self._seconds)

    def _pulse_of(self, connection: INetConn) -> Pulse | None:
        socket = socket_of(connection)
        if socket is None:
            return None
        if connection.muxed_conn.is_initiator:
            return Pulse(socket, self._seconds, TOGETHER * self._seconds)
        patience = PATIENCE_OF_THE_DIALLED * self._seconds
        return Pulse(socket, patience, patience)

    def _cut(self, connection: INetConn, pulse: Pulse) -> None:
        silent = trio.current_time() - pulse.socket.heard
        log.info("%s has been silent for %.1f s: cut off", connection.muxed_conn.peer_id, silent)
        pulse.cut = True
        pulse.socket.meter.counters.drop(Drop.SILENT, connection.muxed_conn.peer_id.to_base58())
        pulse.socket.cut()

    def _ask(self, connection: INetConn) -> None:
        """Ping. Nobody waits for the answer: that something is read at all is seen at the socket."""
        self.asked += 1
        try:
            connection.muxed_conn.ping(NUMBER)
        except BaseLibp2pError as error:
            log.debug("no ping to %s: %r", connection.muxed_conn.peer_id, error)

"""Ping and identify as others may call them here, and identify as we call it: bounded, paced, and no fault unnoticed.

py-libp2p 0.8.1 takes a megabyte of identify from anybody and keeps what is in it, swallows what cannot be read, and
echoes pings as fast as they come.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import trio
from google.protobuf.message import DecodeError as ProtobufError
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError, ParseError
from libp2p.host.ping import ID as PING
from libp2p.host.ping import PING_LENGTH
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.identity.update import update_peerstore_from_identify
from libp2p.io.exceptions import IncompleteReadError, MessageTooLarge
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID

from p2pfd.core.ids import PeerId
from p2pfd.network.counters import Drop
from p2pfd.network.exchange import read_exactly
from p2pfd.network.host import Strike
from p2pfd.network.patches import FrameReader
from p2pfd.network.shares import Shares, StreamFaultError

IDENTIFY_BYTES = 16 * 1024
IDENTIFY_SECONDS = 10.0
ADDRESSES = 32
PROTOCOLS = 128
PROTOCOL_BYTES = 128
PING_SECONDS = 30.0

log = logging.getLogger("p2pfd.network")


async def read_identify(stream: INetStream) -> Identify:
    """What a peer says of itself; StreamFaultError when it is not that."""
    try:
        message = Identify.FromString(await FrameReader(stream, IDENTIFY_BYTES).next())
    except (MessageTooLarge, ParseError, IncompleteReadError, ProtobufError) as error:
        raise StreamFaultError(Drop.STREAM_ERROR, f"no identify: {error}", offence=True) from error
    long = any(len(name) > PROTOCOL_BYTES for name in message.protocols)
    if len(message.listen_addrs) > ADDRESSES or len(message.protocols) > PROTOCOLS or long:
        raise StreamFaultError(Drop.STREAM_ERROR, "an identify with too much in it", offence=True)
    return message


class Housekeeping:
    """The handlers of one host, and what calls those of others."""

    def __init__(self, host: Any, shares: Shares) -> None:
        self._host = host
        self._shares = shares
        host.set_stream_handler(PING, self._ping)
        host.set_stream_handler(ID_PUSH, self._pushed)

    async def _ping(self, stream: INetStream) -> None:
        share = self._shares.of(PeerId(stream.muxed_conn.peer_id.to_base58()))
        while True:
            await share.ask()
            with trio.move_on_after(PING_SECONDS) as patience:
                payload = await _whole(stream)
            if patience.cancelled_caught or not payload:
                break
            with trio.fail_after(PING_SECONDS):
                await stream.write(payload)
        await stream.close()

    async def _pushed(self, stream: INetStream) -> None:
        with trio.fail_after(IDENTIFY_SECONDS):
            message = await read_identify(stream)
            await self._keep(stream.muxed_conn.peer_id, message)
            await stream.close()

    async def _keep(self, peer: ID, message: Identify) -> None:
        await update_peerstore_from_identify(self._host.get_peerstore(), peer, message)

    async def identify(self, peer: ID, strike: Strike) -> str | None:
        """Ask a peer who it is and keep it; when that was, or None when it did not say."""
        try:
            with trio.fail_after(IDENTIFY_SECONDS):
                stream = await self._host.new_stream(peer, [TProtocol(IDENTIFY)])
                try:
                    await self._keep(peer, await read_identify(stream))
                    await stream.close()
                except BaseException:
                    with trio.CancelScope(shield=True):
                        await stream.reset()
                    raise
        except StreamFaultError as error:
            strike(PeerId(peer.to_base58()), error.what)
            return None
        except (BaseLibp2pError, OSError, trio.TooSlowError) as error:
            log.debug("%s did not say who it is: %r", peer, error)
            return None
        return datetime.now(UTC).isoformat(timespec="milliseconds")


async def _whole(stream: INetStream) -> bytes:
    """One ping; nothing at the end; StreamFaultError for part of one."""
    try:
        first: bytes = await stream.read(PING_LENGTH)
    except StreamEOF:
        return b""
    return first + await read_exactly(stream, PING_LENGTH - len(first)) if first else b""

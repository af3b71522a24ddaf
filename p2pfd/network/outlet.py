"""What one neighbour is sent on its gossip stream: frame after frame, and nothing that it knows already."""

from __future__ import annotations

from libp2p.abc import INetStream
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils import encode_varint_prefixed

from p2pfd.network.quicklock import QuickLock, quicken


class Outlet:
    """The writing end of a gossip stream.

    The signed record of our addresses is some 220 bytes, and 0.8.1 puts it into every RPC, though a neighbour that has
    it from the hello learns nothing from it again. Here it is left out as long as it is what was told last.
    """

    def __init__(self, stream: INetStream, told: bytes) -> None:
        self.stream = stream
        self._told = told
        # A frame may go out in several pieces, and two tasks write: the queue's, and the one that replays to newcomers.
        self._lock = QuickLock()
        quicken(stream)

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return bool(self._lock.locked())

    async def write(self, *rpcs: rpc_pb2.RPC) -> int:
        """Write some RPCs, each a frame to the receiver, all one message to yamux and noise; how many bytes it took."""
        async with self._lock:
            raw = b"".join(map(self._frame, rpcs))
            await self._write(raw)
        return len(raw)

    async def _write(self, raw: bytes) -> None:
        await self.stream.write(raw)

    def _frame(self, rpc: rpc_pb2.RPC) -> bytes:
        if rpc.HasField("senderRecord"):
            if rpc.senderRecord == self._told:
                slim = rpc_pb2.RPC()  # a copy, because the queues of several neighbours may hold the same RPC
                slim.CopyFrom(rpc)
                slim.ClearField("senderRecord")
                rpc = slim
            else:
                self._told = rpc.senderRecord
        raw: bytes = rpc.SerializeToString()
        return bytes(encode_varint_prefixed(raw))

"""A cable between two nodes that can be pulled and put back: nothing crosses it meanwhile, and nobody is told."""

from __future__ import annotations

from contextlib import suppress

import trio


class Cable:
    """Forwards what comes in on a port of its own. Dial `address` instead of the node's."""

    def __init__(self, address: str) -> None:
        self.target = address
        self._way = address.split("/")
        self._whole = trio.Event()
        self._whole.set()
        self.dials = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.address = "/".join([*self._way[:4], str(listener.socket.getsockname()[1]), *self._way[5:]])
        async with listener, trio.open_nursery() as nursery:
            task_status.started()
            while True:
                near = await listener.accept()
                self.dials += 1
                nursery.start_soon(self._join, near)

    def pull(self) -> None:
        self._whole = trio.Event()

    def mend(self) -> None:
        self._whole.set()

    async def _join(self, near: trio.SocketStream) -> None:
        await self._whole.wait()
        far = await trio.open_tcp_stream("127.0.0.1", int(self._way[4]))
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self._carry, near, far)
            await self._carry(far, near)
            nursery.cancel_scope.cancel()

    async def _carry(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for part in source:
                await self._whole.wait()
                await sink.send_all(part)
        await self._whole.wait()
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await sink.send_eof()

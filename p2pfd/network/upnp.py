"""A port of the router, asked for by UPnP: many routers at home let a machine behind them open one for itself.

miniupnpc speaks it, in a thread. It comes with libp2p, whose own module asks for a port for ever.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import Any

import miniupnpc
import trio

from p2pfd.errors import EnvironmentProblem
from p2pfd.network.reach import reason_of

SEARCH_MS = 2000
LEASE_SECONDS = 7200
RENEW_SECONDS = 3000.0
CLOSE_SECONDS = 0.5
NAME = "p2pfd"
HOW = "open the port by hand and use --announce, or go through a relay: --via"

log = logging.getLogger("p2pfd.network")


class Gateway:
    """A router that hands out ports."""

    def __init__(self, device: Any, external: str) -> None:
        self._device = device
        self.external = external
        """The router's own address, as the internet sees it."""

    def open(self, port: int) -> None:
        """Have the router pass a TCP port of its own on to the same port here; EnvironmentProblem when it does not."""
        for lease in (LEASE_SECONDS, 0):  # some know no mapping that ends
            try:
                self._device.addportmapping(port, "TCP", self._device.lanaddr, port, NAME, "", lease)
                return
            except Exception as error:  # noqa: BLE001 - it raises plain ones, with what the router said
                why = error
        raise EnvironmentProblem(f"the router does not open port {port}: {reason_of(why)}", HOW) from why

    def close(self, port: int) -> None:
        """Have it stop that."""
        try:
            self._device.deleteportmapping(port, "TCP")
        except Exception as error:  # noqa: BLE001 - as above; the mapping ends by itself
            log.info("the router keeps port %d open for a while: %s", port, reason_of(error))


def find_gateway(host: str) -> Gateway:
    """The router of the network that an address of this machine is in; EnvironmentProblem when there is none."""
    options = {} if host in ("0.0.0.0", "::") else {"multicastif": host}  # noqa: S104 - compared, not bound
    device = miniupnpc.UPnP(discoverdelay=SEARCH_MS, **options)
    try:
        found = device.discover()
        if found:
            device.selectigd()
            external = str(device.externalipaddress())
    except Exception as error:  # whatever miniupnpc raises: a plain one, and for nobody one that says "Success"
        why = reason_of(error).replace("Success", "nothing answers to UPnP")
        raise EnvironmentProblem(f"no router here opens ports: {why}", HOW) from error
    if not found:
        raise EnvironmentProblem("no router here opens ports: nothing answers to UPnP", HOW)
    try:
        public = ipaddress.ip_address(external).is_global
    except ValueError:
        public = False
    if not public:
        raise EnvironmentProblem(f"the router is behind another one: its own address is {external!r}", HOW)
    return Gateway(device, external)


class Forwarded:
    """A port of the router that leads here."""

    def __init__(self, gateway: Gateway, port: int) -> None:
        self._gateway = gateway
        self._port = port

    @property
    def address(self) -> str:
        """Where others can dial it."""
        return f"/ip{6 if ':' in self._gateway.external else 4}/{self._gateway.external}/tcp/{self._port}"

    async def keep(self) -> None:
        """Ask for it again in time, until cancelled."""
        while True:
            await trio.sleep(RENEW_SECONDS)
            try:
                await trio.to_thread.run_sync(self._gateway.open, self._port)
            except EnvironmentProblem as error:
                log.warning("%s", error)

    async def close(self) -> None:
        """Give it back; a router that does not answer is not waited for, and closes it by itself later."""
        with trio.CancelScope(deadline=trio.current_time() + CLOSE_SECONDS, shield=True):
            # trio's stubs are older than the name.
            await trio.to_thread.run_sync(self._gateway.close, self._port, abandon_on_cancel=True)  # type: ignore[call-arg]


async def ask_router(listen: str, port: int) -> Forwarded | None:
    """A port of the router for the one that is listened on; None, with a warning, when there is none to be had."""
    try:
        gateway = await trio.to_thread.run_sync(find_gateway, listen.split("/")[2])
        await trio.to_thread.run_sync(gateway.open, port)
    except EnvironmentProblem as error:
        log.warning("going on without a port of the router: %s", error)
        return None
    return Forwarded(gateway, port)

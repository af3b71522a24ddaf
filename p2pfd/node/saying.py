"""What is said to one peer alone, and not to everyone in the task.

A message goes in the same sealed envelope as one that is published. Who is not connected is dialled where it says that
it can be: peers tell that by `Whereabouts`. What one peer is told comes in the order in which it was said, and counts
as said once the peer has taken it; who has no room, or does not answer, is tried a few more times.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import trio

from p2pfd.core.ids import PeerId
from p2pfd.errors import NetworkError
from p2pfd.network.api import Transport
from p2pfd.network.reach import Reach, reach_of
from p2pfd.network.statefile import StateFile
from p2pfd.node.telemetry import Emitter
from p2pfd.wire.limits import MAX_ENVELOPE, MAX_WHEREABOUTS
from p2pfd.wire.messages import Whereabouts

SERVICE = "say"
TAKEN, NO_ROOM = b"\1", b"\0"
MOST_PLACES = 4
MOST_KNOWN = 4096
"""Of so many peers it is remembered where they are; whoever told it longest ago is forgotten first."""
SETTLING = 1.0
"""Several come at once, when a mesh starts: so long they are waited for."""
TRIES = 4
FIRST_PAUSE = 1.0

Take = Callable[[PeerId, bytes], bool]
"""Takes what a peer has said; False when there is no room for it now."""


class Places:
    """Where peers say that they can be dialled. With a file, a node that starts again knows it still."""

    def __init__(self, transport: Transport, file: StateFile | None = None) -> None:
        self._transport = transport
        self._file = file
        self._known: OrderedDict[PeerId, tuple[str, ...]] = OrderedDict()
        self._news = trio.Event()
        value = None if file is None else file.load()
        if isinstance(value, dict):
            for peer, told in value.items():
                if isinstance(told, str) and len(told) <= MAX_WHEREABOUTS:
                    self.note(PeerId(peer), Whereabouts(told))
        self._news = trio.Event()

    def own(self) -> Whereabouts | None:
        """What this node says of itself; None when it can be dialled nowhere."""
        chosen: list[str] = []
        for address in self._transport.addresses[:MOST_PLACES]:
            if len(" ".join([*chosen, address])) <= MAX_WHEREABOUTS:
                chosen.append(address)
        return Whereabouts(" ".join(chosen)) if chosen else None

    def note(self, peer: PeerId, told: Whereabouts) -> bool:
        """Remember it; False when a peer speaks of somebody else than itself."""
        addresses = told.addresses.split(" ")
        if not all(address.endswith(f"/p2p/{peer}") for address in addresses):
            return False
        chosen = tuple(addresses[:MOST_PLACES])
        if self._known.get(peer) != chosen:
            self._news.set()
        self._known[peer] = chosen
        self._known.move_to_end(peer)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return True

    async def news(self) -> None:
        """Return when somebody is somewhere new, and has been for a moment; it is kept by then."""
        await self._news.wait()
        await trio.sleep(SETTLING)
        self._news = trio.Event()
        if self._file is not None:
            known = {peer: " ".join(addresses) for peer, addresses in self._known.items()}
            await trio.to_thread.run_sync(self._file.save, known, self._file.ticket())

    def of(self, peer: PeerId) -> list[str]:
        """Where to dial a peer. An address that means another machine here than there is left out."""
        nearest = min((_reach(address) for address in self._transport.addresses), default=Reach.MACHINE)
        return [address for address in self._known.get(peer, ()) if _reach(address) >= nearest]

    async def connect(self, peer: PeerId) -> None:
        """Have a connection with the peer; NetworkError when it cannot be had."""
        if peer in self._transport.peers():
            return
        failure = NetworkError(f"{peer} has not told where it can be dialled", "it does so when it comes into the task")
        for address in self.of(peer):
            try:
                await self._transport.connect(address)
            except NetworkError as error:
                failure = error
            else:
                return
        raise failure


class Saying:
    """One node's words to single peers, and theirs to it."""

    def __init__(self, transport: Transport, places: Places, take: Take, emit: Emitter) -> None:
        self._transport = transport
        self._places = places
        self._emit = emit
        self._turns: dict[PeerId, trio.Lock] = {}
        transport.serve(SERVICE, MAX_ENVELOPE, lambda peer, raw: TAKEN if take(peer, raw) else NO_ROOM)

    async def say(self, peer: PeerId, raw: bytes) -> bool:
        """Tell a peer, after what it was to be told before; whether it has taken it."""
        turn = self._turns.setdefault(peer, trio.Lock())
        async with turn:
            why = await self._try(peer, raw)
        if not turn.statistics().tasks_waiting and not turn.locked():
            self._turns.pop(peer, None)
        if why:
            self._emit("peer.untold", {"peer": peer, "why": why})
        return not why

    async def _try(self, peer: PeerId, raw: bytes) -> str:
        why = ""
        for attempt in range(TRIES):
            if attempt:
                await trio.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
            try:
                await self._places.connect(peer)
                if await self._transport.request(peer, SERVICE, raw, len(TAKEN)) == TAKEN:
                    return ""
                why = f"{peer} has no room for it"
            except NetworkError as error:
                why = str(error)
        return why


def _reach(address: str) -> Reach:
    found = reach_of(address)
    return Reach.WORLD if found is None else found  # a name, or of a network that is not the internet

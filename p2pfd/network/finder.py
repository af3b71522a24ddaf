"""Looks for peers: dials those it knows while it has too few, asks the others whom they know, and brings back the lost.

What strangers say is not believed, only tried: so many dials for each of them, and then no more for a while.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable

import trio

from p2pfd.core.ids import PeerId
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, NetworkError
from p2pfd.network.addressbook import AddressBook
from p2pfd.network.exchange import Exchange
from p2pfd.network.introductions import (
    ANSWER_BYTES,
    INTRODUCED,
    PROTOCOL,
    Introduction,
    read_answer,
    write_answer,
)
from p2pfd.network.links import Links
from p2pfd.network.reach import RECORD_BYTES, Reach, parse_address, reach_of, reach_of_host, relay_in
from p2pfd.network.recent import REMEMBERED, Recent
from p2pfd.network.settings import NetworkSettings, degrees

DIALLED = 3
"""Addresses of one peer that are tried at one time."""
HEAD_START = 1.0
"""Seconds until the next of a peer's addresses is dialled: a router that drops packets does not say so."""
HEARSAY = 64
LIES = 8
"""So many dials in vain on one peer's word, and it is not asked for `LIE_SECONDS`."""
LIE_SECONDS = 600.0
ASK_AGAIN = 60.0
ASK_SOON = 2.0
"""How soon who had no news, or no answer, is asked again at first: it may have been busy, or others came after us."""
PROVE_AGAIN = 1800.0
PROOFS = 4
LATELY = 3600.0
HELLO_SECONDS = 3.0
IDLE = 4
"""So many connected peers that listen to nothing of ours do not count: relays, and nodes of other tasks."""
AWAY = 2
"""So many neighbours are to be from outside the LAN: those who are quickly found must not become an island."""
NEAR = 2
"""So many are to be on the LAN, of those who are there: nobody pays a relay for what a cable at home can carry."""
RETURNING = 8
RETURN_SECONDS = 3600.0
LAN = PeerId("somebody on the LAN")

log = logging.getLogger("p2pfd.network")


class Finder:
    """One node's search for others."""

    def __init__(
        self, me: PeerId, links: Links, book: AddressBook, exchange: Exchange, record: Callable[[], bytes],
        nursery: trio.Nursery, settings: NetworkSettings, rng: Rng, shares: Callable[[PeerId], bool],
        nearer: Callable[[PeerId, list[str]], None],
    ) -> None:  # fmt: skip
        self._me = me
        self._links = links
        self._book = book
        self._exchange = exchange
        self._record = record
        self._nursery = nursery
        self._settings = settings
        self._rng = rng
        self._shares = shares
        self._nearer = nearer
        self._near: OrderedDict[PeerId, list[str]] = OrderedDict()
        """Who says on the LAN that it is there, and where."""
        self._target = degrees(settings.mesh_nodes).target
        self._hearsay: OrderedDict[PeerId, tuple[Introduction, PeerId]] = OrderedDict()
        self._asked = Recent(ASK_AGAIN)
        self._no_news: dict[PeerId, int] = {}
        self._resting = Recent(0.0)
        self._failures: OrderedDict[PeerId, int] = OrderedDict()
        self._liars = Recent(LIE_SECONDS)
        self._lies: OrderedDict[PeerId, int] = OrderedDict()
        self._greeted: set[PeerId] = set()
        self._proven = Recent(PROVE_AGAIN)
        self._proofs = trio.CapacityLimiter(PROOFS)
        self._returning: set[PeerId] = set()
        exchange.serve(PROTOCOL, RECORD_BYTES, self._introduce)

    # -- what others ask -------------------------------------------------------------------------------------------

    def _introduce(self, asker: PeerId, raw: bytes) -> bytes:
        host = self._links.host_of(asker)
        reach = None if host is None else reach_of_host(host)
        if raw and raw != self._book.record_of(asker):
            peer = self._book.signed(raw)  # what it raises resets the stream
            if peer != asker:
                raise DecodeError(f"{asker} comes with a record of {peer}")
        self._try_to_prove(asker, reach)
        connected = self._links.peers()
        entries: list[bytes | str] = [self._record()]
        if reach is not None:
            entries += self._book.introduce(reach, LATELY, connected, asker, self._rng, INTRODUCED)
        return write_answer(entries)

    def _try_to_prove(self, peer: PeerId, reach: Reach | None) -> None:
        """Find out whether others could dial somebody that has dialled us."""
        if reach is None or peer in self._proven or self._proofs.available_tokens == 0:
            return
        useful = [address for address in self._book.of(peer) if (reach_of(address) or Reach.MACHINE) >= reach]
        if useful:
            self._proven.add(peer)
            self._nursery.start_soon(self._prove, useful[:DIALLED])

    async def _prove(self, addresses: list[str]) -> None:
        async with self._proofs:
            for address in addresses:
                if await self._links.prove(address):
                    return

    # -- what we look for ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._greet()
            self._come_nearer()
            need, away, near = self._lacking()
            lacks = need + away + near > 0
            if lacks and await self._seek(need, away, near):
                continue
            pause = HELLO_SECONDS if any(map(self._is_new, self._links.peers())) else math.inf
            if lacks:
                pause = self._settings.redial_max_seconds * (1 + self._rng.unit()) / 2
            with trio.move_on_after(pause):
                await self._links.change()

    def _greet(self) -> None:
        """Whoever we have dialled is told who we are, and asked whom it knows."""
        ours = {PeerId(link.muxed_conn.peer_id.to_base58()) for link in self._links.connections() if _dialled(link)}
        for peer in ours - self._greeted:
            self._nursery.start_soon(self._ask, peer)
        self._greeted = ours

    def _lacking(self) -> tuple[int, int, int]:
        """How many more neighbours are wanted, and where somebody is on the LAN, how many from outside it and on it."""
        connected = self._links.peers()
        useful = [peer for peer in connected if self._shares(peer) or self._is_new(peer)]
        counted = len(useful) + max(0, len(connected) - len(useful) - IDLE)
        near = sum(peer in self._near for peer in useful)
        away = min(AWAY, self._target - 1) - (len(useful) - near) if near else 0
        there = sum(peer not in connected and self._is_fit(peer) for peer in self._near)
        return max(0, self._target - counted), max(0, away), max(0, min(NEAR - near, there))

    def _is_new(self, peer: PeerId) -> bool:
        """Whether a peer has hardly had the time to say what it listens to."""
        return trio.current_time() < self._links.since(peer) + HELLO_SECONDS

    def _come_nearer(self) -> None:
        """Whoever is on the LAN and is connected through a relay could do without."""
        for peer, addresses in self._near.items():
            # One of the two does it: what both make at one time, both end.
            if self._me < peer and self._links.is_relayed(peer):
                self._nearer(peer, addresses)

    async def _seek(self, need: int, away: int, near: int) -> bool:
        """Dial as many as are needed, so many of them not on the LAN, and on it; whether there was anything to try."""
        connected = self._links.peers()
        unfit = {self._me, *connected}
        able = [peer for peer in self._book.candidates(unfit, self._rng) if self._is_fit(peer)]
        told = dict.fromkeys([*self._hearsay, *self._near])  # who said that it is on the LAN may be there again
        heard = [peer for peer in told if peer not in unfit and peer not in self._book and self._is_fit(peer)]
        able += self._rng.sample(heard, len(heard))
        chosen = able[:need]
        away -= sum(peer not in self._near for peer in chosen)
        near -= sum(peer in self._near for peer in chosen)
        chosen += [peer for peer in able[need:] if peer not in self._near][: max(0, away)]
        chosen += [peer for peer in able[need:] if peer in self._near][: max(0, near)]
        if chosen:
            async with trio.open_nursery() as nursery:
                for peer in chosen:
                    nursery.start_soon(self._dial, peer)
            return True
        able = [peer for peer in connected if peer not in self._asked and peer not in self._liars]
        return bool(able) and await self._ask(self._rng.choice(able))

    def _is_fit(self, peer: PeerId) -> bool:
        return peer not in self._resting and peer not in self._returning and not self._links.is_refused(peer)

    async def _dial(self, peer: PeerId) -> None:
        told = self._hearsay.pop(peer, None) if peer not in self._book else None
        addresses = self._book.of(peer) if told is None else list(told[0].addresses)
        if await self._try(list(dict.fromkeys([*self._near.get(peer, ()), *addresses]))[:DIALLED]):
            self._failures.pop(peer, None)
            return
        if told is not None:
            self._blame(told[1])
        count = self._failures.pop(peer, 0) + 1
        self._failures[peer] = count
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)
        self._resting.add(peer, min(self._settings.redial_max_seconds * 2 ** min(count, 12), LATELY))

    async def _try(self, addresses: list[str]) -> bool:
        """Dial one after the other, and the next one as well when one lets us wait; whether any is answered."""
        answered = False

        async def dial(address: str, failed: trio.Event) -> None:
            nonlocal answered
            try:
                await self._links.connect(address)
            except NetworkError as error:
                log.debug("looking for peers: %s", error.what)
                failed.set()
            else:
                answered = True
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for address in addresses:
                failed = trio.Event()
                nursery.start_soon(dial, address, failed)
                with trio.move_on_after(HEAD_START):
                    await failed.wait()
        return answered

    def _blame(self, teller: PeerId) -> None:
        count = self._lies.pop(teller, 0) + 1
        if count >= LIES:
            log.info("%s has told of %d peers that do not answer, and is not asked for a while", teller, count)
            self._liars.add(teller)
            for peer in [peer for peer, (_, source) in self._hearsay.items() if source == teller]:
                del self._hearsay[peer]
            return
        self._lies[teller] = count
        if len(self._lies) > REMEMBERED:
            self._lies.popitem(last=False)

    async def _ask(self, teller: PeerId) -> bool:
        """Ask a peer whom it knows; whether there was news in the answer."""
        connected = self._links.peers()
        self._no_news = {peer: count for peer, count in self._no_news.items() if peer in connected}
        count = self._no_news[teller] = min(self._no_news.get(teller, 0) + 1, 8)
        self._asked.add(teller, min(ASK_AGAIN, ASK_SOON * 2 ** (count - 1)))
        host = self._links.host_of(teller)
        reach = None if host is None else reach_of_host(host)
        if reach is None:
            return False
        try:
            raw = await self._exchange.request(teller, PROTOCOL, self._record(), ANSWER_BYTES)
            told = read_answer(raw, reach)
        except NetworkError as error:
            log.debug("%s tells of nobody: %s", teller, error.what)
            return False
        except DecodeError as error:
            self._links.strike(teller, error.what)
            return False
        if not self._learn(teller, told):
            return False
        self._no_news.pop(teller, None)
        self._asked.add(teller)
        return True

    def overhear(self, addresses: list[str]) -> None:
        """Somebody on the LAN says that it is there. Who says so is not known, so all of them are believed as one."""
        _, peer = parse_address(addresses[0])
        near = tuple(address for address in addresses if address.endswith(f"/p2p/{peer}"))
        news = self._learn(LAN, [Introduction(peer, near, b"")])
        self._near.pop(peer, None)
        self._near[peer] = [address for address in near if relay_in(address) is None]
        if len(self._near) > REMEMBERED:
            self._near.popitem(last=False)
        if news or self._links.is_relayed(peer) or peer not in self._links.peers():
            self._links.stir()

    def _learn(self, teller: PeerId, told: list[Introduction]) -> bool:
        news = False
        for introduction in told:
            peer = introduction.peer
            if peer == teller and introduction.record:
                self._book.signed(introduction.record)
            elif peer not in (self._me, teller) and introduction.addresses and teller not in self._liars:
                fresh = peer not in self._book and peer not in self._hearsay and peer not in self._resting
                if fresh and peer not in self._links.peers():
                    self._hearsay[peer] = (introduction, teller)
                    news = True
        while len(self._hearsay) > HEARSAY:
            self._hearsay.popitem(last=False)
        return news

    # -- who is lost -----------------------------------------------------------------------------------------------

    def lost(self, peer: PeerId) -> None:
        """A connection has ended that we did not end."""
        if peer in self._book and peer not in self._returning and len(self._returning) < RETURNING:
            self._returning.add(peer)
            self._nursery.start_soon(self._bring_back, peer)

    async def _bring_back(self, peer: PeerId) -> None:
        try:
            await trio.sleep(self._settings.redial_first_seconds * self._rng.unit())
            if not self._links.is_refused(peer):
                await self._links.bring_back(peer, lambda: self._book.of(peer)[:DIALLED], RETURN_SECONDS)
        finally:
            self._returning.discard(peer)


def _dialled(link: object) -> bool:
    return bool(getattr(getattr(link, "muxed_conn", None), "is_initiator", False))

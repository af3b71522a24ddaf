"""``/p2pfd/req/reach/1``: peers tell one another how they see each other, and whether they can dial back.

The question is a list of up to four addresses of the asker, in canonical msgpack; the answer a map: ``host``, the IP
address that the asker comes from; ``now``, the answerer's clock in microseconds, or 0; and ``tried``, what was dialled,
each an address and why nobody answered there, which is empty when the asker did. Only the host that the asker comes
from is ever dialled, with a fresh handshake, so that nobody can make one peer dial another. An address of another host
is tried with its port at that host: it tells whether a router passes the port on. Nothing is dialled for who asks again
within five seconds, or while four others are dialled.

The library's AutoNAT takes its present connection to whoever asks for a successful dial.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import trio

from p2pfd.core import canonical
from p2pfd.core.ids import PeerId
from p2pfd.core.ticks import Clock
from p2pfd.errors import DecodeError, NetworkError
from p2pfd.network.links import Links
from p2pfd.network.reach import ADDRESS_CHARS, parse_address, relay_in, whole
from p2pfd.network.recent import Recent

PROTOCOL = "reach"
ASKED = 4
DIALLED = 2
WHY_CHARS = 200
QUESTION_BYTES = ASKED * (ADDRESS_CHARS + 8) + 8
ANSWER_BYTES = DIALLED * (ADDRESS_CHARS + 4 * WHY_CHARS + 16) + 512
AT_ONE_TIME = 4
AGAIN_SECONDS = 5.0
DIAL_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Tried:
    """An address that was dialled back, and why nobody answered there; empty when the right peer did."""

    address: str
    why: str


@dataclass(frozen=True, slots=True)
class View:
    """How one peer sees another: from which host it comes, what its own clock says, and where it could dial."""

    host: str
    now: int
    tried: tuple[Tried, ...]


def write_question(addresses: tuple[str, ...]) -> bytes:
    """The question on the wire."""
    direct = [address for address in addresses if relay_in(address) is None]
    return canonical.encode(direct[:ASKED])


def _read_question(raw: bytes, asker: PeerId) -> list[str]:
    value = canonical.decode(raw, limit=QUESTION_BYTES)
    if not isinstance(value, list) or len(value) > ASKED or not all(isinstance(each, str) for each in value):
        raise DecodeError("a question about being reached that is no list of addresses")
    found = [whole(str(each), asker) for each in value]
    return [address for address in found if address is not None and relay_in(address) is None]


def read_view(raw: bytes) -> View:
    """What a peer has answered; DecodeError when it is no answer."""
    value = canonical.decode(raw, limit=ANSWER_BYTES)
    if not isinstance(value, dict) or value.keys() != {"host", "now", "tried"}:
        raise DecodeError("an answer about being reached that is none")
    host, now, tried = value["host"], value["now"], value["tried"]
    if not isinstance(host, str) or not isinstance(now, int) or isinstance(now, bool) or not isinstance(tried, list):
        raise DecodeError("an answer about being reached with something else in it")
    found = []
    for entry in tried[:DIALLED]:
        if not isinstance(entry, list) or len(entry) != 2 or not all(isinstance(each, str) for each in entry):
            raise DecodeError("an answer about being reached with something else in it")
        found.append(Tried(str(entry[0]), str(entry[1])))
    try:
        return View(str(ipaddress.ip_address(host)), now, tuple(found))
    except ValueError as error:
        raise DecodeError("an answer about being reached that names no host") from error


class Callback:
    """Dials back whoever asks for it."""

    def __init__(self, links: Links, clock: Clock | None) -> None:
        self._links = links
        self._clock = clock
        self._lately = Recent(AGAIN_SECONDS)
        self._dialling = trio.CapacityLimiter(AT_ONE_TIME)

    async def answer(self, asker: PeerId, raw: bytes) -> bytes:
        """What the asker wants to know; an error, which resets its stream, when it asks for nonsense."""
        addresses = _read_question(raw, asker)
        host = self._links.host_of(asker)
        if host is None:
            raise NetworkError(f"{asker} is nowhere that one could dial")
        host = str(ipaddress.ip_address(host.partition("%")[0]))
        if asker in self._lately or self._dialling.available_tokens == 0:
            addresses = []
        else:
            self._lately.add(asker)
        tried: dict[str, str] = {}
        async with self._dialling, trio.open_nursery() as nursery:
            for address in list(dict.fromkeys(_at(host, each, asker) for each in addresses))[:DIALLED]:
                nursery.start_soon(self._dial, address, tried)
        now = 0 if self._clock is None else int(self._clock.now())
        told = [[address, why[:WHY_CHARS]] for address, why in sorted(tried.items())]
        return canonical.encode({"host": host, "now": now, "tried": told})

    async def _dial(self, address: str, tried: dict[str, str]) -> None:
        why = f"no answer within {DIAL_SECONDS:g} s"
        with trio.move_on_after(DIAL_SECONDS):
            why = await self._links.refusal(address)
        tried[address] = why


def _at(host: str, address: str, peer: PeerId) -> str:
    """The same port at the host that the peer is seen at."""
    port = parse_address(address)[0].value_for_protocol("tcp")
    return f"/{'ip6' if ':' in host else 'ip4'}/{host}/tcp/{port}/p2p/{peer}"

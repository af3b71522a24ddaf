"""``/p2pfd/req/peers/1``: peers tell one another whom they know.

The question is the asker's own signed peer record, or nothing. The answer is a list in canonical msgpack, of at most
sixteen peers beside the one that answers: bytes are a signed peer record, text is a multiaddr of somebody who gave
none. Only peers are told that have answered a dial of the teller's, and only addresses that mean the same where the
asker is: who asks over loopback is told all, who asks from a private range nothing on loopback, and the world only what
is public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pfd.core import canonical
from p2pfd.core.ids import PeerId
from p2pfd.errors import DecodeError, NetworkError
from p2pfd.network.reach import ADDRESS_CHARS, RECORD_BYTES, Reach, parse_address, reach_of, read_record, whole

PROTOCOL = "peers"
INTRODUCED = 16
ANSWER_BYTES = (INTRODUCED + 1) * (RECORD_BYTES + 8) + 8


@dataclass(frozen=True, slots=True)
class Introduction:
    """A peer, and where somebody says it can be dialled; with its signature under that, or without."""

    peer: PeerId
    addresses: tuple[str, ...]
    record: bytes


def write_answer(entries: Sequence[bytes | str]) -> bytes:
    """The answer on the wire."""
    return canonical.encode(list(entries))


def read_answer(raw: bytes, reach: Reach) -> list[Introduction]:
    """What a peer so far away has answered; DecodeError when it is no answer."""
    value = canonical.decode(raw, limit=ANSWER_BYTES)
    if not isinstance(value, list) or len(value) > INTRODUCED + 1:
        raise DecodeError("an answer about peers that is no list, or a long one")
    found = []
    for entry in value:
        if isinstance(entry, bytes):
            peer, addresses = read_record(entry)
            record = entry
        elif isinstance(entry, str) and len(entry) <= ADDRESS_CHARS:
            try:
                _, peer = parse_address(entry)
            except NetworkError as error:
                raise DecodeError(error.what) from error
            address = whole(entry, peer)
            addresses, record = () if address is None else (address,), b""
        else:
            raise DecodeError("an answer about peers with something else in it")
        near = tuple(address for address in addresses if (reach_of(address) or Reach.MACHINE) >= reach)
        found.append(Introduction(peer, near, record))
    return found

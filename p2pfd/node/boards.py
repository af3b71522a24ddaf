"""What strangers ask of notice boards: hang this up, what hangs there, and the invitation to this very task."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from p2pfd.errors import DecodeError, NetworkError, P2pfdError, PlanError, UsageError
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.node import keys
from p2pfd.node.board import (
    ANSWER_BYTES,
    GET,
    LEAST_PREFIX,
    LIST,
    LONGEST_PREFIX,
    PUT,
    WORD_CHARS,
    WORDS,
    Question,
    read_page,
)
from p2pfd.node.notices import Limits, Notice, Notices, Outcome, checked, place

PAGES = 16
"""So many pages are read of one board."""
_OUTCOME_BYTES = 32
_LIMITS = Limits(notices=4096, size=64 * 1024 * 1024, of_requester=256, of_task=16, days=3650)
_HERE = "/ip4/127.0.0.1/tcp/0"


@dataclass
class Reading:
    """What came of asking several boards."""

    notices: Notices
    damaged: int = 0
    """So many entries were no invitations, or were not to be hung up."""
    silent: list[P2pfdError] = field(default_factory=list)
    """Why boards did not answer."""

    def found(self, words: Sequence[str] = ()) -> list[Notice]:
        """The invitations, the one that was signed last first."""
        return sorted(self.notices.newest(words), key=lambda each: -each.manifest.issued)


@asynccontextmanager
async def _standing(network: NetworkSettings) -> AsyncIterator[Libp2pTransport]:
    """A peer for a moment, with keys of its own: a board learns nothing of who asks."""
    plain = dataclasses.replace(
        network, discover=False, mdns=False, upnp=False, relay=False, via=(), state_directory=""
    )
    async with open_transport(keys.fresh().peer_private, _HERE, plain) as transport:
        yield transport


async def hang(
    text: str, addresses: Sequence[str], network: NetworkSettings
) -> list[tuple[str, Outcome | None, P2pfdError | None]]:
    """Hang an invitation up on each of these boards: what became of it there, or why there was no answer."""
    raw = checked(text.encode("ascii", "replace"))[0].encode()
    told: list[tuple[str, Outcome | None, P2pfdError | None]] = []
    async with _standing(network) as transport:
        for address in addresses:
            try:
                peer = await transport.connect(address)
                said = (await transport.request(peer, PUT, raw, _OUTCOME_BYTES)).decode("ascii", "replace")
                known = {each.value for each in Outcome}
                told.append((address, Outcome(said) if said in known else Outcome.BAD, None))
            except NetworkError as error:
                told.append((address, None, error))
    return told


async def find(
    words: Sequence[str], addresses: Sequence[str], network: NetworkSettings, now: Callable[[], int], most: int
) -> Reading:
    """What hangs on these boards with all of the words in it: at most so many from each."""
    if len(words) > WORDS or not all(0 < len(word) <= WORD_CHARS for word in words):
        raise UsageError(f"{len(words)} words to look for", f"say at most {WORDS}, of {WORD_CHARS} characters")
    reading = Reading(Notices(_LIMITS, now))

    async def read(transport: Libp2pTransport, address: str) -> None:
        peer, before, got = await transport.connect(address), 0, 0
        for _ in range(PAGES):
            question = Question(tuple(words), before)
            following, texts = read_page(await transport.request(peer, LIST, question.write(), ANSWER_BYTES))
            got += _take(reading, texts, address)
            if not following or got >= most or (before and following >= before):
                break
            before = following

    await _of_each(addresses, network, reading, read)
    return reading


async def fetch(prefix: str, addresses: Sequence[str], network: NetworkSettings, now: Callable[[], int]) -> Reading:
    """The invitations to the tasks whose ids begin like this."""
    if not LEAST_PREFIX <= len(prefix) <= LONGEST_PREFIX or not set(prefix) <= set("0123456789abcdef"):
        raise UsageError(
            f"{prefix!r} is not the beginning of a task's id", f"write {LEAST_PREFIX} to {LONGEST_PREFIX} hex digits"
        )
    reading = Reading(Notices(_LIMITS, now))

    async def read(transport: Libp2pTransport, address: str) -> None:
        peer = await transport.connect(address)
        _, texts = read_page(await transport.request(peer, GET, prefix.encode(), ANSWER_BYTES))
        _take(reading, texts, address)

    await _of_each(addresses, network, reading, read)
    return reading


def _take(reading: Reading, texts: Sequence[bytes], address: str) -> int:
    outcomes = [reading.notices.put(text, place(address))[0] for text in texts]
    fine = sum(outcome in (Outcome.KEPT, Outcome.KNOWN, Outcome.OLDER) for outcome in outcomes)
    reading.damaged += len(outcomes) - fine
    return fine


async def _of_each(
    addresses: Sequence[str],
    network: NetworkSettings,
    reading: Reading,
    read: Callable[[Libp2pTransport, str], Awaitable[None]],
) -> None:
    """Ask each board; NetworkError where none answers."""
    if not addresses:
        raise PlanError("no board is named", "say where one is: --at ADDR")
    async with _standing(network) as transport:
        for address in addresses:
            try:
                await read(transport, address)
            except (NetworkError, DecodeError) as error:
                reading.silent.append(error)
    if len(reading.silent) == len(addresses):
        raise reading.silent[0]

"""A notice board for invitations, on any node: strangers hang up, look for and read what they may take part in.

Three requests between peers. ``board.put``: an invitation's text; the answer is what became of it. ``board.get``: the
beginning of a task's id; the answer is a list of texts. ``board.list``: words, a place to go on from, how many at most,
and the marks of what the asker has; the answer is where to go on, and a list of texts. Nothing in an answer is
believed: whoever reads checks each text as if it had come from anywhere. Boards ask one another for what they lack.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path

import trio

from p2pfd.core import canonical
from p2pfd.core.ids import PeerId
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, NetworkError
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.network.pace import Pace
from p2pfd.network.recent import Recent
from p2pfd.node.notices import MARK, OWN, TEXT_BYTES, Limits, Notice, Notices, Outcome, place
from p2pfd.node.shelf import Shelf

PUT, GET, LIST = "board.put", "board.get", "board.list"
PAGE = 16
PAGE_BYTES = 64 * 1024
ANSWER_BYTES = PAGE_BYTES + TEXT_BYTES + 1024
LEAST_PREFIX, LONGEST_PREFIX = 8, 64
"""Characters of a task's id."""
WORDS, WORD_CHARS = 8, 64
KNOWN = 1024
QUESTION_BYTES = KNOWN * MARK + WORDS * (4 * WORD_CHARS + 8) + 256
LOOK_SECONDS = 30.0
"""How often a board asks another one what is new."""
DEAF_SECONDS = 600.0
"""For so long a peer that serves no board is not asked for one again."""
PUTS_A_SECOND, PUTS_OF_PLACE, PUT_BURST = 4.0, 0.2, 60.0
"""How quickly invitations are looked at: of all, and of one place on the network; so many seconds' worth at once."""
READS_A_SECOND, READS_OF_PLACE = 40.0, 8.0
PLACES = 1024
BUSY = Outcome.BUSY.encode()

log = logging.getLogger("p2pfd.node")


@dataclass(frozen=True, slots=True)
class Question:
    """What `board.list` asks."""

    words: tuple[str, ...] = ()
    before: int = 0
    count: int = PAGE
    known: bytes = b""

    def write(self) -> bytes:
        """The question on the wire."""
        return canonical.encode([list(self.words), self.before, self.count, self.known])


def read_question(raw: bytes) -> Question:
    """A question from the wire; DecodeError for what is none."""
    match canonical.decode(raw, limit=QUESTION_BYTES):
        case [list(words), int(before), int(count), bytes(known)]:
            fit = len(words) <= WORDS and all(isinstance(word, str) and 0 < len(word) <= WORD_CHARS for word in words)
            small = 0 <= before < 2**62 and 0 < count <= PAGE and len(known) % MARK == 0
            if fit and small and not isinstance(before, bool) and not isinstance(count, bool):
                return Question(tuple(words), before, count, known)
    raise DecodeError("a question to a board that is none")


def write_page(following: int, notices: Sequence[Notice]) -> bytes:
    """An answer of several invitations, and from where to go on; 0 where these were the last."""
    return canonical.encode([following, [each.text.encode() for each in notices]])


def read_page(raw: bytes) -> tuple[int, list[bytes]]:
    """The texts in an answer, of which nothing is known yet; DecodeError for what is none, NetworkError if refused."""
    if raw == BUSY:
        raise NetworkError("the board is asked too much at present", "ask again in a moment, or ask another one")
    match canonical.decode(raw, limit=ANSWER_BYTES):
        case [int(following), list(texts)]:
            short = len(texts) <= PAGE and all(isinstance(each, bytes) and len(each) <= TEXT_BYTES for each in texts)
            if short and not isinstance(following, bool) and 0 <= following < 2**62:
                return following, texts
    raise DecodeError("an answer of a board that is none")


class Board:
    """One node's notice board."""

    def __init__(
        self, limits: Limits, now: Callable[[], int], rng: Rng, folder: Path | None = None, own: str = ""
    ) -> None:
        """With a folder, what hangs outlives the process. ``own`` is an invitation that hangs whatever comes."""
        self.notices = Notices(limits, now)
        self._shelf = None if folder is None else Shelf(folder)
        self._rng = rng
        self._own = own
        self._lock = trio.Lock()
        self._puts, self._reads = Pace(PUTS_A_SECOND, PUT_BURST / 4), Pace(READS_A_SECOND, 2.0)
        self._paces: OrderedDict[tuple[str, str], Pace] = OrderedDict()
        self._deaf = Recent(DEAF_SECONDS)

    async def serve(self, transport: Libp2pTransport) -> None:
        """Hang up what is on disk, and answer from here on."""
        if self._shelf is not None:
            await trio.to_thread.run_sync(self._shelf.load, self.notices)
        if self._own:
            await self._hang(self._own.encode(), OWN)

        def of(peer: PeerId) -> str:
            return place(neighbourhood(transport.host_of(peer)))

        transport.serve(PUT, TEXT_BYTES, partial(self._put, of))
        transport.serve(GET, LONGEST_PREFIX, partial(self._get, of))
        transport.serve(LIST, QUESTION_BYTES, partial(self._list, of))

    # -- what others ask -----------------------------------------------------------------------------------------------

    async def _put(self, of: Callable[[PeerId], str], peer: PeerId, raw: bytes) -> bytes:
        source = of(peer)
        if not self._pace(source, PUT, PUTS_OF_PLACE, PUT_BURST).take() or not self._puts.take():
            return BUSY
        return (await self._hang(raw, source)).encode()

    async def _hang(self, raw: bytes, source: str) -> Outcome:
        async with self._lock:
            outcome, notice, gone = self.notices.put(raw, source)
            if self._shelf is not None and notice is not None:
                await trio.to_thread.run_sync(self._shelf.keep, notice, gone)
            elif self._shelf is not None and gone:
                await trio.to_thread.run_sync(self._shelf.remove, gone)
        if notice is not None:
            log.info("hangs up %s, by %s", notice.manifest.task.id.hex()[:16], notice.manifest.requester)
        return outcome

    def _get(self, of: Callable[[PeerId], str], peer: PeerId, raw: bytes) -> bytes:
        prefix = raw.decode("ascii", "replace")
        if len(prefix) < LEAST_PREFIX or not set(prefix) <= set("0123456789abcdef"):
            raise DecodeError("the beginning of a task's id that is none")
        if not self._may_read(of(peer)):
            return BUSY
        return write_page(0, _fitting(self.notices.of(prefix), PAGE))

    def _list(self, of: Callable[[PeerId], str], peer: PeerId, raw: bytes) -> bytes:
        question = read_question(raw)
        if not self._may_read(of(peer)):
            return BUSY
        known = (question.known[at : at + MARK] for at in range(0, len(question.known), MARK))
        found = self.notices.newest(question.words, question.before, known)
        page = _fitting(found, question.count)
        return write_page(page[-1].number if len(page) < len(found) else 0, page)

    def _may_read(self, source: str) -> bool:
        return self._pace(source, LIST, READS_OF_PLACE, 4.0).take() and self._reads.take()

    def _pace(self, source: str, what: str, rate: float, burst: float) -> Pace:
        pace = self._paces.pop((source, what), None) or Pace(rate, burst)
        self._paces[source, what] = pace
        if len(self._paces) > PLACES:
            self._paces.popitem(last=False)
        return pace

    # -- what other boards have ----------------------------------------------------------------------------------------

    async def run(self, transport: Libp2pTransport) -> None:
        """Ask one of the connected peers after the other what is new, and take down what is over; until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS * (1 + self._rng.unit()) / 2)
            async with self._lock:
                gone = self.notices.expired()
                if self._shelf is not None and gone:
                    await trio.to_thread.run_sync(self._shelf.remove, gone)
            able = [peer for peer in transport.peers() if peer not in self._deaf]
            if able:
                await self.look(transport, self._rng.choice(able))

    async def look(self, transport: Libp2pTransport, peer: PeerId) -> int:
        """Ask a peer what hangs there that does not hang here, and hang up a page of it; how many those were."""
        known = b"".join(self.notices.marks()[-KNOWN:])
        try:
            raw = await transport.request(peer, LIST, Question(known=known).write(), ANSWER_BYTES)
            _, texts = read_page(raw)
        except NetworkError:
            self._deaf.add(peer)  # most have no board; whoever was only busy is asked again later
            return 0
        except DecodeError as error:
            transport.blame(peer, error.what)
            return 0
        source = place(neighbourhood(transport.host_of(peer)))
        outcomes = []
        for text in texts:
            outcomes.append(await self._hang(text, source))
            await trio.lowlevel.checkpoint()
        if Outcome.BAD in outcomes:
            self._deaf.add(peer)  # it looks at what hangs there less closely, or has other rules
        return outcomes.count(Outcome.KEPT)


def _fitting(notices: Sequence[Notice], count: int) -> list[Notice]:
    """As many of the first as an answer takes."""
    page: list[Notice] = []
    size = 0
    for notice in notices[:count]:
        size += len(notice.text)
        if page and size > PAGE_BYTES:
            break
        page.append(notice)
    return page


def neighbourhood(host: str | None) -> str:
    """Whom a host's word is taken together with: who has one address of a network often has all of it."""
    if host is None:
        return "elsewhere"
    address = ip_address(host.partition("%")[0])
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))

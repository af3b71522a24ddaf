"""Invitations that strangers hang up: each one checked, all of them bounded, and on disk where they are to last.

What a stranger can do here has an end in every direction: how long a text is, how many there are of one task, of one
requester and of one place on the network, and how long they hang. Where all is full, whoever has hung up the most
loses the oldest of it: a flood from one place takes away that place's own.
"""

from __future__ import annotations

import enum
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from p2pfd.core.ids import Account, TaskId
from p2pfd.core.manifest import Manifest
from p2pfd.errors import DecodeError, PlanError
from p2pfd.node.manifest import unseal

TEXT_BYTES = 16 * 1024
"""The longest text that is looked at here; an invitation has about a thousand characters."""
AHEAD_SECONDS = 3600
"""By so much the clock of whoever signed may be ahead."""
OWN = "own"
"""The source of what a node itself hangs up; nobody pushes that out."""
MARK = 8
"""So many bytes of an invitation's digest name it among boards."""
_DAY = 86_400


class Outcome(enum.StrEnum):
    """What became of an invitation that somebody wanted to hang up."""

    KEPT = "kept"
    KNOWN = "known"
    OLDER = "older"
    """The board has a later one of the same requester, to the same task."""
    EXPIRED = "expired"
    EARLY = "early"
    """It was signed in the future."""
    UNDATED = "undated"
    """It does not say when it was signed."""
    BAD = "bad"
    """It is none, or nobody signed it as it stands."""
    CROWDED = "crowded"
    """So many others hang there to the same task already."""
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a board holds."""

    notices: int = 1024
    size: int = 4 * 1024 * 1024
    """Bytes of all texts."""
    of_requester: int = 16
    of_task: int = 4
    """Invitations to one task by different requesters: only one of them opened it, and a board does not ask which."""
    days: int = 30
    """So long after it was signed an invitation hangs, unless it ends sooner."""


SMALL = Limits(notices=64, size=256 * 1024)
"""The board of a node that has a task of its own."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An invitation that hangs."""

    text: str
    manifest: Manifest
    source: str
    """From where on the network it came, by a name that `place` gives; or `OWN`."""
    number: int
    """Its place in the order in which they came."""
    haystack: str = field(repr=False)
    """What words are looked for in."""

    @property
    def key(self) -> tuple[TaskId, Account]:
        """Whose invitation to what; the later one replaces the earlier."""
        return self.manifest.task.id, self.manifest.requester

    @property
    def mark(self) -> bytes:
        """The short name of this very invitation."""
        return self.manifest.digest[:MARK]


def place(source: str) -> str:
    """A name for a place on the network: the same again after a restart, and fit for a file's name."""
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def checked(raw: bytes) -> tuple[str, Manifest]:
    """The text without its line ends, and what it says; PlanError for what is no invitation, before much is done."""
    if len(raw) > TEXT_BYTES:
        raise PlanError(f"an invitation of {len(raw)} bytes", f"boards take at most {TEXT_BYTES}")
    try:
        text = "".join(raw.decode("ascii").split())
    except UnicodeDecodeError as error:
        raise PlanError("this is no invitation: it is not plain ASCII", "copy it again, all lines of it") from error
    return text, unseal(text)


class Notices:
    """All that hang on one board, the last to come last."""

    def __init__(self, limits: Limits, now: Callable[[], int]) -> None:
        self._limits = limits
        self._now = now
        self._held: dict[tuple[TaskId, Account], Notice] = {}
        self._size = 0
        self._last = 0

    def __len__(self) -> int:
        return len(self._held)

    def put(self, raw: bytes, source: str) -> tuple[Outcome, Notice | None, list[Notice]]:
        """Hang one up: what became of it, the notice if it hangs now, and those that had to go for it."""
        try:
            text, manifest = checked(raw)
        except (PlanError, DecodeError):
            return Outcome.BAD, None, []
        outcome = self._judged(manifest)
        if outcome is not Outcome.KEPT:
            return outcome, None, []
        gone = self.expired()
        earlier = self._held.get((manifest.task.id, manifest.requester))
        if earlier is not None:
            gone.append(self._take(earlier))
            source = earlier.source if earlier.source == OWN else source
        elif sum(each.manifest.task.id == manifest.task.id for each in self._held.values()) >= self._limits.of_task:
            return Outcome.CROWDED, None, gone
        self._last += 1
        notice = Notice(text, manifest, source, self._last, _haystack(manifest))
        gone += self._make_room(notice)
        self._held[notice.key] = notice
        self._size += len(text)
        return Outcome.KEPT, notice, gone

    def _judged(self, manifest: Manifest) -> Outcome:
        now = self._now()
        if not manifest.issued:
            return Outcome.UNDATED
        if manifest.issued > now + AHEAD_SECONDS:
            return Outcome.EARLY
        if self._end(manifest) < now:
            return Outcome.EXPIRED
        held = self._held.get((manifest.task.id, manifest.requester))
        if held is None or held.manifest.issued < manifest.issued:
            return Outcome.KEPT
        return Outcome.KNOWN if held.manifest == manifest else Outcome.OLDER

    def _end(self, manifest: Manifest) -> int:
        end = manifest.issued + self._limits.days * _DAY
        return min(end, manifest.until) if manifest.until else end

    def _make_room(self, new: Notice) -> list[Notice]:
        gone = []
        mine = [each for each in self._held.values() if each.manifest.requester == new.manifest.requester]
        while len(mine) >= self._limits.of_requester:
            gone.append(self._take(mine.pop(0)))
        while len(self._held) >= self._limits.notices or self._size + len(new.text) > self._limits.size:
            counts = Counter(each.source for each in self._held.values() if each.source != OWN)
            if not counts:
                break  # all that hangs is this node's own
            if new.source != OWN:
                counts[new.source] += 1  # whoever hangs up one more is the first to make room for it
            most = max(counts.values())
            gone.append(self._take(next(each for each in self._held.values() if counts[each.source] == most)))
        return gone

    def _take(self, notice: Notice) -> Notice:
        del self._held[notice.key]
        self._size -= len(notice.text)
        return notice

    def expired(self) -> list[Notice]:
        """Take down those whose time is over."""
        now = self._now()
        return [self._take(each) for each in list(self._held.values()) if self._end(each.manifest) < now]

    def of(self, prefix: str) -> list[Notice]:
        """The invitations to tasks whose ids begin like this in hexadecimal, in the order in which they came."""
        return [each for each in self._held.values() if each.manifest.task.id.hex().startswith(prefix)]

    def newest(self, words: Sequence[str] = (), before: int = 0, known: Iterable[bytes] = ()) -> list[Notice]:
        """Those in which all words stand and that the asker has not got, the last to come first.

        ``before`` leaves out those that came then or later: with it one reads page by page.
        """
        wanted, held = [word.casefold() for word in words], frozenset(known)
        return [
            each
            for each in reversed(self._held.values())
            if (not before or each.number < before)
            and all(word in each.haystack for word in wanted)
            and (not held or each.mark not in held)
        ]

    def marks(self) -> list[bytes]:
        """The short names of all."""
        return [each.mark for each in self._held.values()]


def _haystack(manifest: Manifest) -> str:
    task = manifest.task
    parts = (task.name, task.adapter, task.data.name, task.chain.profile, manifest.note, manifest.requester)
    return "\n".join((*parts, task.id.hex())).casefold()

"""Who is bound to which labels, and who has shown them: commit–reveal book-keeping for the rounds that matter now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from p2pfd.core.canonical import Plain
from p2pfd.core.ids import Account, Digest, RoundId, TaskId
from p2pfd.core.labels import Opener, opened, unpack
from p2pfd.core.verdict import ACCEPT, Ignore, Reject, Verdict
from p2pfd.errors import DecodeError
from p2pfd.wire.messages import Commit, Reveal

LOOKAHEAD = 2
"""Peers that are a little ahead are heard; whoever is further ahead is ignored, so that memory stays bounded."""

_LATE = Ignore("late")
EARLY = Ignore("too early")
"""There is only one: compare by identity."""
_AGAIN = Ignore("heard before")
_UNKNOWN = Ignore("no commitment known")


@dataclass(slots=True)
class RoundBook:
    """One round's commitments, with the signed bytes as evidence, and the labels that were shown."""

    commitments: dict[Account, tuple[Digest, bytes]] = field(default_factory=dict)
    labels: dict[Account, bytes] = field(default_factory=dict)
    parked: dict[Account, tuple[bytes, bytes, bytes]] = field(default_factory=dict)
    """Labels that overtook their commitment (salt, labels, signed bytes): one a peer, looked at when it arrives."""
    students: dict[Account, Digest] = field(default_factory=dict)
    """With which student each began the round, of those who said so with the commitment that counts."""


class Ballot:
    """The books of the present round and the few after it."""

    __slots__ = ("_books", "_open", "classes", "current", "present", "samples", "task")

    def __init__(self, task: TaskId, samples: int, classes: int, opener: Opener = opened) -> None:
        """``opener`` may be one that remembers: where many nodes share a process, each of them hears the same."""
        self._open = opener
        self.task = task
        self.samples = samples
        self.classes = classes
        self.current = 0
        self.present = RoundBook()
        """The book of the current round, which is asked for more often than all others."""
        self._books: dict[int, RoundBook] = {0: self.present}

    def turn_to(self, rnd: RoundId) -> None:
        """This round is the present one now; older books are closed."""
        books = self._books
        for old in [known for known in books if known < rnd]:
            del books[old]
        present = books.get(rnd)
        if present is None:
            present = books[rnd] = RoundBook()
        self.current, self.present = rnd, present

    def book(self, rnd: int) -> RoundBook:
        """The book of a round."""
        if rnd == self.current:
            return self.present
        book = self._books.get(rnd)
        if book is None:
            book = self._books[rnd] = RoundBook()
        return book

    def committed(self, rnd: int) -> Iterable[Account]:
        """Who is known to be bound in a round; no book is opened to find out."""
        book = self._books.get(rnd)
        return () if book is None else book.commitments.keys()

    def hear(self, who: Account, said: Commit | Reveal, raw: bytes) -> Verdict:
        """What a peer says of a round, whichever of the two it is."""
        if isinstance(said, Commit):
            return self.hear_commit(who, said, raw)
        return self.hear_reveal(who, said.round, said.salt, said.labels, raw)

    def hear_commit(self, who: Account, said: Commit, raw: bytes) -> Verdict:
        """A peer says that it is bound. The first word counts; a second, different one is equivocation."""
        rnd, commitment = said.round, said.commitment
        ahead = rnd - self.current
        if ahead < 0:
            return _LATE
        if ahead > LOOKAHEAD:
            return EARLY
        book = self.book(rnd) if ahead else self.present
        held = book.commitments
        first = held.get(who)
        if first is None:
            held[who] = (commitment, raw)
            if said.student:
                book.students[who] = Digest(said.student)
            if book.parked:
                self._unpark(who, rnd)
            return ACCEPT
        if first[0] == commitment:
            if first[1]:
                return _AGAIN
            held[who] = (commitment, raw)  # the chain was faster; what the peer signed is worth keeping all the same
            if said.student:
                book.students[who] = Digest(said.student)
            return ACCEPT
        if not first[1]:
            return Ignore("not what the chain holds")
        return Reject("equivocation: two commitments for one round", (first[1], raw))

    def hear_reveal(self, who: Account, rnd: RoundId, salt: bytes, packed: bytes, raw: bytes) -> Verdict:
        """A peer shows its labels. Only what contradicts a commitment that it signed itself is held against it."""
        ahead = rnd - self.current
        if ahead < 0:
            return _LATE
        if ahead > LOOKAHEAD:
            return EARLY
        book = self.book(rnd) if ahead else self.present
        if who in book.labels:
            return _AGAIN
        held = book.commitments.get(who)
        if held is None:
            book.parked.setdefault(who, (salt, packed, raw))
            return _UNKNOWN
        shown = self._open(self.task, rnd, who, salt, packed, self.samples, self.classes)
        if shown.commitment != held[0]:
            if not held[1]:
                return Ignore("not what the chain holds")
            return Reject("labels that contradict the commitment", (held[1], raw))
        if shown.wrong:
            return Reject(f"labels that are none: {shown.wrong}", (raw,))
        book.labels[who] = shown.labels
        return ACCEPT

    def bound(self, who: Account, mine: Reveal) -> Digest:
        """What an account is bound to that will show this."""
        return self._open(self.task, mine.round, who, mine.salt, mine.labels, self.samples, self.classes).commitment

    def chain_commit(self, who: Account, rnd: RoundId, commitment: Digest) -> None:
        """The chain says that an account is bound: that is what counts."""
        if rnd >= self.current:
            held = self.book(rnd).commitments
            first = held.get(who)
            if first is None or first[0] != commitment:
                held[who] = (commitment, b"")
                self._unpark(who, rnd)

    def chain_reveal(self, who: Account, rnd: RoundId, packed: bytes) -> None:
        """The chain shows an account's labels. Labels that are none were paid nothing, and teach nothing."""
        if rnd >= self.current:
            book = self.book(rnd)
            try:
                book.labels[who] = unpack(packed, self.samples, self.classes)
            except DecodeError:
                book.labels.pop(who, None)

    def _unpark(self, who: Account, rnd: int) -> None:
        parked = self.book(rnd).parked.pop(who, None)
        if parked is not None:
            self.hear_reveal(who, RoundId(rnd), *parked)

    def agreed_student(self, workers: Collection[Account]) -> Digest | None:
        """The student with which more than half of these workers say that they began the present round.

        Whoever else introduces itself has no say: names cost nothing.
        """
        students = self.present.students
        if 2 * len(students) <= len(workers):
            return None
        tally = Counter(students[who] for who in workers if who in students)
        return next((student for student, count in tally.items() if 2 * count > len(workers)), None)

    def votes(self, rnd: RoundId, counted: Iterable[Account]) -> tuple[tuple[Account, bytes], ...]:
        """The labels of those who count, as far as they are known and are labels, in the order of the accounts."""
        shown = self.book(rnd).labels
        return tuple((who, shown[who]) for who in sorted(counted) if who in shown)

    def to_plain(self) -> Plain:
        """The books, for a snapshot."""
        return {
            "current": self.current,
            "books": [
                [
                    rnd,
                    [[who, commitment, raw] for who, (commitment, raw) in sorted(book.commitments.items())],
                    [[who, labels] for who, labels in sorted(book.labels.items())],
                    [[who, *parked] for who, parked in sorted(book.parked.items())],
                    [[who, student] for who, student in sorted(book.students.items())],
                ]
                for rnd, book in sorted(self._books.items())
            ],
        }

    def fill(self, value: Plain) -> None:
        """Take over what `to_plain` wrote; the caller has checked where it comes from."""
        if not isinstance(value, dict):
            raise DecodeError("the ballot of a snapshot is not a map")
        try:
            self.current = int(value["current"])
            self._books = {
                rnd: RoundBook(
                    {who: (Digest(bound), raw) for who, bound, raw in commitments},
                    dict(labels),
                    {who: (salt, packed, raw) for who, salt, packed, raw in parked},
                    {who: Digest(student) for who, student in students},
                )
                for rnd, commitments, labels, parked, students in value["books"]
            }
            self.present = self._books.setdefault(self.current, RoundBook())
        except (KeyError, TypeError, ValueError) as error:
            raise DecodeError("the ballot of a snapshot is damaged") from error

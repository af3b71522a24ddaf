"""Who takes part, and under which account: the roster, and what strangers said before they introduced themselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from p2pfd.core.canonical import Plain
from p2pfd.core.effects import SetTimer
from p2pfd.core.events import Message
from p2pfd.core.ids import Account, PeerId
from p2pfd.core.ticks import SECOND, Tick, after
from p2pfd.core.verdict import ACCEPT, Ignore, Verdict
from p2pfd.wire.messages import Commit, Hello, Offer, Reveal

MOST_STRANGERS = 64
MOST_MEMBERS = 1024
"""So many peers are known at most where a chain says who takes part: it has fewer seats."""
MOST_KEPT = 4
GREET = "greet"
"""The timer after which a node says hello again, for those who came."""
CROWD = 8
Said = tuple[Commit | Reveal | Offer, bytes]
"""A message, and the bytes that its sender signed."""
_KINDS: Mapping[str, Any] = MappingProxyType({"commit": Commit, "reveal": Reveal, "offer": Offer})
_FULL = Ignore("all seats are taken")


class Circle:
    """A bond of peer and account is for good: the first one that is heard counts."""

    __slots__ = ("_keeps", "_me", "_room", "accounts", "strangers")

    def __init__(
        self, members: Mapping[PeerId, Account], room: int, keeps: tuple[type[Message], ...] = (Commit, Reveal)
    ) -> None:
        """Those who are known in advance, this node as the last; there is room for so many in all.

        Of what strangers say, messages of the kinds in ``keeps`` are remembered.
        """
        self.accounts: dict[PeerId, Account] = dict(members)
        self._me = next(reversed(self.accounts), None)
        self._room = max(room, len(members))
        self._keeps = keeps
        self.strangers: dict[PeerId, list[Said]] = {}
        """What peers said before their hello was heard: so much, of so many, and no more."""

    def __len__(self) -> int:
        return len(self.accounts)

    def everyone(self) -> tuple[Account, ...]:
        """All accounts, in their order."""
        return tuple(sorted(self.accounts.values()))

    def hear(self, hello: Hello, workers: Collection[Account]) -> tuple[Verdict, bool]:
        """A hello whose signatures are checked: what to think of it, and whether it is a newcomer's.

        When the circle is full, a worker takes the place of somebody who is none.
        """
        known = self.accounts.get(hello.peer)
        if known == hello.account:
            return ACCEPT, False  # said again, for newcomers: it must get through to them
        if known is not None:
            return Ignore("this peer is bound to another account"), False
        if hello.account in self.accounts.values():
            return Ignore("this account is bound to another peer"), False
        if len(self.accounts) >= self._room and not (hello.account in workers and self._let_go(workers)):
            return _FULL, False
        self.accounts[hello.peer] = hello.account
        return ACCEPT, True

    def greeting(self, now: Tick) -> SetTimer:
        """When a newcomer is to hear who is here: those who come in a crowd all at once, and the later the more are
        here, since each of them greets. Without this a large mesh hears little but greetings while it comes together.
        """
        return SetTimer(GREET, after(now, max(1, len(self.accounts) // CROWD) * SECOND))

    def _let_go(self, workers: Collection[Account]) -> bool:
        idle = [peer for peer, account in self.accounts.items() if account not in workers and peer != self._me]
        if idle:
            del self.accounts[min(idle)]
        return bool(idle)

    def forget_before(self, rnd: int) -> None:
        """Drop what strangers said of earlier rounds: it makes room for others."""
        for stranger, kept in tuple(self.strangers.items()):
            kept[:] = [said for said in kept if said[0].round >= rnd]
            if not kept:
                del self.strangers[stranger]

    def keep(self, stranger: PeerId, message: Message, raw: bytes) -> None:
        """Remember what a stranger says, for the case that it introduces itself later."""
        if isinstance(message, self._keeps) and isinstance(message, (Commit, Reveal, Offer)):
            kept = self.strangers.get(stranger)
            if kept is None and len(self.strangers) < MOST_STRANGERS:
                kept = self.strangers[stranger] = []
            if kept is not None and len(kept) < MOST_KEPT:
                kept.append((message, raw))

    def recall(self, peer: PeerId) -> list[Said]:
        """What a peer said while it was a stranger; it is forgotten here."""
        return self.strangers.pop(peer, [])

    def to_plain(self) -> Plain:
        """The circle, for a snapshot."""
        return {
            "accounts": [[peer, account] for peer, account in sorted(self.accounts.items())],
            "strangers": [
                [peer, [[*_plain(message), raw] for message, raw in kept]]
                for peer, kept in sorted(self.strangers.items())
            ],
        }

    def fill(self, value: Mapping[str, Any]) -> None:
        """Take over what `to_plain` wrote; the caller minds what a damaged value raises."""
        self.accounts = dict(value["accounts"])
        self.strangers = {
            peer: [(_KINDS[kind](*said), raw) for kind, *said, raw in kept] for peer, kept in value["strangers"]
        }


def _plain(message: Commit | Reveal | Offer) -> list[Plain]:
    match message:
        case Commit():
            return ["commit", message.round, message.commitment, message.student]
        case Reveal():
            return ["reveal", message.round, message.salt, message.labels]
        case Offer():
            return ["offer", message.round, message.blob, message.size]

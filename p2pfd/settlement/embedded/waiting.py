"""Whoever follows the chain may ask to be answered when there is something new, instead of asking again and again.

``p2pfd_awaitBlock [number, {"address": [...], "patient": [...]}]`` is answered with the newest block's number: at once
when a block after that one has a log of these contracts whose first topic is not among the patient ones, a second after
the question when there is any newer block, and else when there is one, or after ten seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import trio

from p2pfd.core.boundedjson import loads
from p2pfd.settlement.embedded.ledger import Ledger
from p2pfd.settlement.embedded.store import Log

METHOD = "p2pfd_awaitBlock"
PATIENT_SECONDS, LONGEST_SECONDS = 1.0, 10.0
MOST_TOPICS, MOST_LOGS = 64, 1_000
_MARK = json.dumps(METHOD).encode()


@dataclass(eq=False)
class Waiter:
    """Somebody who waits, and for what."""

    known: int
    addresses: frozenset[bytes]
    patient: frozenset[tuple[bytes, ...]]
    urgent: trio.Event = field(default_factory=trio.Event)
    newer: trio.Event = field(default_factory=trio.Event)

    def tell(self, logs: Iterable[Log]) -> None:
        """There are new blocks, with these logs."""
        self.newer.set()
        if any(log.address in self.addresses and log.topics[:1] not in self.patient for log in logs):
            self.urgent.set()


class Waiting:
    """Holds questions back until there is something to say to them."""

    def __init__(self, ledger: Ledger, answer: Callable[[bytes], bytes]) -> None:
        self._ledger = ledger
        self._answer = answer
        self._seen = ledger.head.number
        self._waiters: set[Waiter] = set()

    def answer(self, body: bytes) -> bytes:
        """The chain's answer; if it made a block, those who wait for one hear of it."""
        out = self._answer(body)
        head = self._ledger.head.number
        if head > self._seen:
            logs = self._ledger.logs(self._seen + 1, head, MOST_LOGS)
            self._seen = head
            for waiter in self._waiters:
                waiter.tell(logs)
        return out

    async def hold(self, body: bytes) -> None:
        """Return when a request may be answered: all but one kind may at once."""
        waiter = _asked(body) if _MARK in body else None
        if waiter is None:
            return
        head = self._ledger.head.number
        if head > waiter.known:
            waiter.tell(self._ledger.logs(waiter.known + 1, head, MOST_LOGS))
        self._waiters.add(waiter)
        try:
            with trio.move_on_after(PATIENT_SECONDS):
                await waiter.urgent.wait()
            if not waiter.newer.is_set():
                with trio.move_on_after(LONGEST_SECONDS - PATIENT_SECONDS):
                    await waiter.newer.wait()
        finally:
            self._waiters.discard(waiter)


def _asked(body: bytes) -> Waiter | None:
    """What is waited for; None for anything that is no such question, which is answered like any other."""
    try:
        asked = loads(body)
        if asked["method"] != METHOD:
            return None
        number, wanted = asked["params"]
        topics = [(bytes.fromhex(topic.removeprefix("0x")),) for topic in wanted["patient"]]
        addresses = [bytes.fromhex(address.removeprefix("0x")) for address in wanted["address"]]
        if len(topics) > MOST_TOPICS or len(addresses) > MOST_TOPICS:
            return None
        return Waiter(int(number, 16), frozenset(addresses), frozenset(topics))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None

"""The market's logs as a chain tells them, read with care."""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.core.claims import ChainEvent
from p2pfd.settlement import answers
from p2pfd.settlement.api import Cursor
from p2pfd.settlement.contracts import event_of

MAX_TOPICS = 4


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and where it stands. The block's hash and the index name it even after a reorganisation."""

    cursor: Cursor
    block: bytes
    event: ChainEvent


def told_in(logs: object, first: int, last: int) -> list[Told]:
    """The events in an answer about these blocks, in their order; ChainError for an answer that is not about them."""
    found = [told for log in answers.listed(logs, "a list of logs") if (told := _told(log, first, last)) is not None]
    return sorted(found, key=lambda each: each.cursor)


def _told(value: object, first: int, last: int) -> Told | None:
    log = answers.record(value, "a log")
    topics = [answers.digest(topic, "a topic") for topic in answers.listed(log.get("topics"), "a log's topics")]
    number = answers.height(log.get("blockNumber"), "a log's block")
    if not first <= number <= last or len(topics) > MAX_TOPICS:
        raise answers.wrong(f"a log of the blocks {first} to {last}", log.get("blockNumber"))
    event = event_of(topics, answers.octets(log.get("data"), "a log's data"))
    if event is None or log.get("removed") is True:
        return None
    cursor = Cursor(number, answers.height(log.get("logIndex"), "a log's place"))
    return Told(cursor, answers.digest(log.get("blockHash"), "a block's hash"), event)

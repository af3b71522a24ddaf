"""Our contracts' logs as a chain tells them, read with care."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from p2pfd.core.ids import Account
from p2pfd.settlement import answers
from p2pfd.settlement.api import AnyEvent, Cursor
from p2pfd.settlement.kinds import Kind

MAX_TOPICS = 4


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and where it stands. The block's hash and the index name it even after a reorganisation."""

    cursor: Cursor
    block: bytes
    tx: bytes
    contract: Account
    event: AnyEvent


def told_in(logs: object, first: int, last: int, kinds: Mapping[Account, Kind]) -> list[Told]:
    """The contracts' events in these blocks, in their order; ChainError for an answer that is not about them."""
    read = [_told(log, first, last, kinds) for log in answers.listed(logs, "a list of logs")]
    found = [told for told in read if told is not None]
    return sorted(found, key=lambda each: each.cursor)


def _told(value: object, first: int, last: int, kinds: Mapping[Account, Kind]) -> Told | None:
    log = answers.record(value, "a log")
    topics = [answers.digest(topic, "a topic") for topic in answers.listed(log.get("topics"), "a log's topics")]
    number = answers.height(log.get("blockNumber"), "a log's block")
    if not first <= number <= last or len(topics) > MAX_TOPICS:
        raise answers.wrong(f"a log of the blocks {first} to {last}", log.get("blockNumber"))
    contract = answers.address(log.get("address"), "a log's contract")
    if contract not in kinds:
        raise answers.wrong("a log of a contract that was asked for", contract)
    event = kinds[contract].event_of(topics, answers.octets(log.get("data"), "a log's data"))
    if event is None or log.get("removed") is True:
        return None
    cursor = Cursor(number, answers.height(log.get("logIndex"), "a log's place"))
    tx = answers.digest(log.get("transactionHash"), "a log's transaction")
    return Told(cursor, answers.digest(log.get("blockHash"), "a block's hash"), tx, contract, event)

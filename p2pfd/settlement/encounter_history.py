"""All that ever happened in a contract of encounters, each end recomputed: from its logs, and the calls behind them.

The contract keeps a hash of what was agreed. Whoever ends an encounter says it in full, in the transaction's data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pfd.core import encounter_where as where_
from p2pfd.core.encounter_claims import EncounterTerms, Signature
from p2pfd.core.encounter_events import Defaulted, EncounterEvent, Settled, Voided
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.ids import Account, account
from p2pfd.errors import ChainError
from p2pfd.incentives.encounter_audit import End, SeatBook
from p2pfd.incentives.payouts import WHOLE
from p2pfd.settlement import answers
from p2pfd.settlement.encounters import interface, signer
from p2pfd.settlement.kinds import Contract
from p2pfd.settlement.logs import Told
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.trail import call_in
from p2pfd.settlement.watch import Watcher

_CALLS_A_REQUEST = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. An end has its terms, and by votes how they pay; the problem says what does not fit the rules."""

    block: int
    tx: bytes
    event: EncounterEvent
    terms: EncounterTerms | None = None
    end: End | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Closing:
    """What a call that ends an encounter says of it: the terms, the name if it has it, and where it stands."""

    terms: EncounterTerms
    name: bytes
    where: int


class Reader:
    """Reads a contract's history part by part; each part has what is new since the one before."""

    def __init__(self, rpc: Rpc, contract: Contract, papers: Papers, bond: int) -> None:
        self._rpc = rpc
        self._contract = contract
        self._papers = papers
        self._book = SeatBook(bond)
        self._read = -1

    async def more(self, until: int) -> tuple[Entry, ...]:
        """Every event up to a block that has not been read yet, in order."""
        if until <= self._read:
            return ()
        watcher = Watcher(self._rpc, self._contract, finality=0, interval=1.0)
        told = await watcher.told(self._read + 1, until, self._contract, None)
        ends = [each.tx for each in told if isinstance(each.event, (Settled, Defaulted, Voided))]
        calls = await _calls(self._rpc, self._contract, ends)
        entries = []
        for each in told:
            event: EncounterEvent = each.event  # type: ignore[assignment]  # of this contract
            self._book.see(each.cursor.block, event)
            if isinstance(event, (Settled, Defaulted, Voided)):
                entries.append(await _ended(self._rpc, self._papers, self._book, each, event, calls.get(each.tx)))
            else:
                entries.append(Entry(each.cursor.block, each.tx, event))
        self._read = until
        return tuple(entries)


async def history(rpc: Rpc, contract: Contract, papers: Papers, bond: int, until: int) -> tuple[Entry, ...]:
    """Every event up to a block, in order."""
    return await Reader(rpc, contract, papers, bond).more(until)


async def _ended(
    rpc: Rpc,
    papers: Papers,
    book: SeatBook,
    told: Told,
    event: Settled | Defaulted | Voided,
    call: tuple[Account, bytes] | None,
) -> Entry:
    block = told.cursor.block
    closing = None if call is None else closing_in(call[1], call[0], event.key, papers)
    if closing is None:
        return Entry(block, told.tx, event, problem="it was called by way of another contract, and cannot be read")
    terms = closing.terms
    if isinstance(event, Defaulted):
        damages = terms.prepayment * terms.share // WHOLE
        wrong = "" if event.damages == damages else f"the damages are {event.damages}, by the terms {damages}"
        return Entry(block, told.tx, event, terms, problem=wrong)
    if isinstance(event, Voided):
        return Entry(block, told.tx, event, terms)
    where = closing.where
    if not where_.drawn_by(where):
        drawing = where_.scheduled(where, block)
        held = answers.record(await rpc.call("eth_getBlockByNumber", hex(drawing), False), "a block")
        hashed = answers.digest(held.get("hash"), "a block's hash")
        where = book.drawn(terms, closing.name, where, drawing, hashed, papers.keccak)
    end = book.end(terms, where, event)
    paid = f"{end.told_learner} to the learner and {end.told_neighbor} to the neighbor"
    wrong = "" if end.right else f"{paid}, by the rules {end.learner} and {end.neighbor}"
    return Entry(block, told.tx, event, terms, end, wrong)


async def _calls(rpc: Rpc, contract: Contract, wanted: Sequence[bytes]) -> dict[bytes, tuple[Account, bytes]]:
    """Who made these transactions, and with which data, where they call the contract itself."""
    found = {}
    several = list(dict.fromkeys(wanted))
    for at in range(0, len(several), _CALLS_A_REQUEST):
        part = several[at : at + _CALLS_A_REQUEST]
        for tx, held in zip(
            part, await rpc.batch([("eth_getTransactionByHash", ["0x" + each.hex()]) for each in part]), strict=True
        ):
            call = call_in(held, contract)
            if call is not None:
                found[tx] = call
    return found


# -- calls read back ---------------------------------------------------------------------------------------------------


def closing_in(call: bytes, sender: Account, key: int, papers: Papers) -> Closing | None:
    """What this call says of the encounter of this key, if it is one that can end it."""
    function = interface().called(call)
    if function is None:
        return None
    try:
        said = function.read(call)
    except ChainError:
        return None
    if function.name == "settle_many":
        settles = (part for part in said[0] if interface().called(part) == interface()["settle"])
        parts = (closing_in(part, sender, key, papers) for part in settles)
        return next((part for part in parts if part is not None), None)
    found: Closing | None = None
    match function.name, said:
        case "settle", (packed, learner, name, where, after, votes):
            by = _liable(papers.digest(papers.result(name, after)), votes, sender)
            found = Closing(EncounterTerms.unpacked(packed, account(learner), by), name, where)
        case "draw", (packed, learner, neighbor, name, where):
            found = Closing(EncounterTerms.unpacked(packed, account(learner), account(neighbor)), name, where)
        case "reveal", (packed, learner, neighbor, _, where, *_):
            found = Closing(EncounterTerms.unpacked(packed, account(learner), account(neighbor)), b"", where)
        case "close", (packed, learner, neighbor, paper, where):
            found = Closing(EncounterTerms.unpacked(packed, account(learner), account(neighbor)), paper, where)
    return found if found is not None and found.terms.key == key else None


def _liable(digest: bytes, votes: Sequence[int], sender: Account) -> Account:
    """The neighbor: who signed the result behind the votes, or who sent it."""
    if len(votes) % 3 != 2:  # three numbers a vote, and two for a signature
        return sender
    return signer(digest, Signature(votes[-2], votes[-1])) or sender

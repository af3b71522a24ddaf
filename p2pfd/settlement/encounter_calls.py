"""Calls of encounters read back: what was opened, and which answer was given, stand in no event. No IO."""

from __future__ import annotations

from p2pfd.core.encounter_claims import EncounterTerms
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.ids import Account, Digest, account
from p2pfd.errors import ChainError
from p2pfd.settlement.api import Opening
from p2pfd.settlement.encounters import interface

_ADDRESS_BITS = 160


def opening_in(call: bytes, sender: Account, key: int, papers: Papers) -> Opening | None:
    """The encounter of this key, if this call by that sender opened it."""
    found: list[tuple[int, Account, Account, bytes]] = []
    function = interface().called(call)
    match None if function is None else (function.name, function.read(call)):
        case "open", (packed, neighbor, details, *_):
            found = [(packed, sender, account(neighbor), details)]
        case "open_many", (parts,):
            for packed, learner, neighbor, details, *_ in parts:
                if not (learner | neighbor) >> _ADDRESS_BITS:
                    found.append((packed, _account(learner), _account(neighbor), details.to_bytes(32, "big")))
    for packed, learner, neighbor, details in found:
        terms = EncounterTerms.unpacked(packed, learner, neighbor)
        if terms.key == key:
            return Opening(terms, papers.encounter(terms, details))
    return None


def answer_in(call: bytes, key: int) -> Digest | None:
    """The hash after that this call reported or settled, if it was for the encounter of this key."""
    function = interface().called(call)
    match None if function is None else (function.name, function.read(call)):
        case "settle_many", (calls,):
            settles = (each for each in calls if interface().called(each) == interface()["settle"])
            answers = (answer_in(each, key) for each in settles)
            return next((answer for answer in answers if answer is not None), None)
        case "settle" | "report", (packed, learner, _, _, after, _):
            who = account(learner)  # the key hangs on the learner alone
            return Digest(after) if EncounterTerms.unpacked(packed, who, who).key == key else None
    return None


def _account(number: int) -> Account:
    return Account(f"0x{number:040x}")


def untold(what: str, key: int) -> ChainError:
    """The error where no call is found that did it."""
    return ChainError(
        f"no call to the contract {what} the encounter {key:x}",
        "is it this chain's? What is called by way of another contract cannot be read",
    )

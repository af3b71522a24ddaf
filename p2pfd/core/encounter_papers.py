"""What participants of encounters sign: EIP-712 structs, field for field as `contracts/vyper/papers.vy` hashes them.

The hash (keccak-256) is passed in, because nothing here knows a library for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from p2pfd.core.encounter_claims import CheckIn, EncounterTerms
from p2pfd.core.ids import Account

Hash = Callable[[bytes], bytes]

_CHECK_IN = "CheckIn(bytes32 task,bytes32 before,uint32 tolerance,bytes32 learnerSalt,bytes32 neighborSalt)"
_ENCOUNTER = "Encounter(address learner,address neighbor,uint256 terms,CheckIn checkIn)" + _CHECK_IN
_RESULT = "Result(bytes32 encounter,bytes32 after)"
_BALLOT = "Ballot(Result result,bytes32 commitments)" + _RESULT
_COMMITMENT = "Commitment(Result result,bytes32 commitment)" + _RESULT
_DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
NAME, VERSION = "p2pfd encounters", "1"


def word(number: int) -> bytes:
    """A number as the 32 bytes in which everything is hashed."""
    return number.to_bytes(32, "big")


class Papers:
    """The structs' hashes for one contract on one chain."""

    def __init__(self, keccak: Hash, chain_id: int, contract: Account) -> None:
        self.keccak = keccak
        self._type = {
            text.split("(")[0]: keccak(text.encode()) for text in (_CHECK_IN, _ENCOUNTER, _RESULT, _BALLOT, _COMMITMENT)
        }
        self._domain = keccak(
            keccak(_DOMAIN.encode())
            + keccak(NAME.encode())
            + keccak(VERSION.encode())
            + word(chain_id)
            + word(int(contract, 16))
        )

    def details(self, check_in: CheckIn) -> bytes:
        """The hash by which the contract knows a check-in."""
        return self.keccak(
            self._type["CheckIn"]
            + check_in.task
            + check_in.before
            + word(check_in.tolerance)
            + check_in.learner_salt
            + check_in.neighbor_salt
        )

    def encounter(self, terms: EncounterTerms, details: bytes) -> bytes:
        """The hash that names an encounter."""
        fields = (int(terms.learner, 16), int(terms.neighbor, 16), terms.packed())
        return self.keccak(self._type["Encounter"] + b"".join(map(word, fields)) + details)

    def result(self, encounter: bytes, after: bytes) -> bytes:
        """The hash of what the neighbor is liable for."""
        return self.keccak(self._type["Result"] + encounter + after)

    def commitment(self, result: bytes, seat: int, opening: int) -> bytes:
        """What binds a seat to the vote in the lowest bit of its opening."""
        return self.keccak(result + word(seat) + word(opening))

    def bound(self, result: bytes, commitment: bytes) -> bytes:
        """The hash of what a validator signs to be bound."""
        return self.keccak(self._type["Commitment"] + result + commitment)

    def bound_result(self, result: bytes, bound: Sequence[bytes]) -> bytes:
        """By what a lane knows a reported result: with the commitments, zero for each that is not there."""
        return self.keccak(result + word(64) + word(len(bound)) + b"".join(bound))

    def ballot(self, result: bytes, commitments: Sequence[bytes]) -> bytes:
        """The hash of what every member of a committee signs on the fast path."""
        together = bytes(32)
        for commitment in commitments:
            together = self.keccak(together + commitment)
        return self.keccak(self._type["Ballot"] + result + together)

    def digest(self, struct: bytes) -> bytes:
        """The 32 bytes that are signed for a struct's hash."""
        return self.keccak(b"\x19\x01" + self._domain + struct)

"""Functions and events of a compiled contract: bytes to send, and bytes that came back.

Built on eth_abi alone, so that nothing that runs often goes through web3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError

from p2pfd.errors import ChainError
from p2pfd.settlement.artifacts import Artifact
from p2pfd.settlement.keccak import keccak

_SELECTOR_BYTES = 4
_ERROR = keccak(b"Error(string)")[:4]
_PANIC = keccak(b"Panic(uint256)")[:4]


def _type(entry: Mapping[str, Any]) -> str:
    """The canonical type of an ABI entry, tuples spelled out."""
    name = str(entry["type"])
    if name.startswith("tuple"):
        return "(" + ",".join(_type(part) for part in entry["components"]) + ")" + name[len("tuple") :]
    return name


@dataclass(frozen=True, slots=True)
class Function:
    """One function: what its calls and answers look like."""

    name: str
    selector: bytes
    takes: tuple[str, ...]
    gives: tuple[str, ...]

    def call(self, *arguments: object) -> bytes:
        """The data of a call."""
        try:
            return self.selector + bytes(encode(self.takes, arguments))
        except (EncodingError, OverflowError, TypeError) as error:
            raise ChainError(f"{self.name} cannot be called with these values", str(error)[:200]) from error

    def read(self, call: bytes) -> tuple[Any, ...]:
        """The arguments of a call; ChainError for bytes that are none."""
        try:
            return tuple(decode(self.takes, call[len(self.selector) :]))
        except (DecodingError, OverflowError) as error:
            raise ChainError(
                f"a call of {self.name} that does not fit it", "is this the contract's address?"
            ) from error

    def answer(self, raw: bytes) -> tuple[Any, ...]:
        """The values of an answer."""
        try:
            return tuple(decode(self.gives, raw))
        except (DecodingError, OverflowError) as error:
            raise ChainError(
                f"{self.name} was answered with {len(raw)} bytes that do not fit it", "is this the contract's address?"
            ) from error


@dataclass(frozen=True, slots=True)
class EventShape:
    """One event: its first topic, and which of its fields stand in topics."""

    name: str
    topic: bytes
    indexed: tuple[tuple[str, str], ...]
    plain: tuple[tuple[str, str], ...]

    def values(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """The fields by name."""
        try:
            found = {
                name: decode([kind], topic)[0] for (name, kind), topic in zip(self.indexed, topics[1:], strict=True)
            }
            parts = decode([kind for _, kind in self.plain], data)
        except (DecodingError, OverflowError, ValueError) as error:
            raise ChainError(f"a log of {self.name} does not fit it", "is this the contract's address?") from error
        return found | {name: value for (name, _), value in zip(self.plain, parts, strict=True)}


@dataclass(frozen=True, slots=True)
class Interface:
    """All functions of a contract by name, and all events by their first topic."""

    functions: Mapping[str, Function]
    events: Mapping[bytes, EventShape]

    @classmethod
    def of(cls, artifact: Artifact) -> Interface:
        """The interface of a compiled contract."""
        functions, events = {}, {}
        for entry in artifact.abi:
            takes = [_type(part) for part in entry.get("inputs", ())]
            signature = f"{entry.get('name')}({','.join(takes)})".encode()
            if entry["type"] == "function":
                gives = tuple(_type(part) for part in entry["outputs"])
                functions[entry["name"]] = Function(entry["name"], keccak(signature)[:4], tuple(takes), gives)
            elif entry["type"] == "event":
                fields = [(part["name"], _type(part), part["indexed"]) for part in entry["inputs"]]
                topic = keccak(signature)
                indexed = tuple((name, kind) for name, kind, keyed in fields if keyed)
                plain = tuple((name, kind) for name, kind, keyed in fields if not keyed)
                events[topic] = EventShape(entry["name"], topic, indexed, plain)
        return cls(functions, events)

    def __getitem__(self, name: str) -> Function:
        return self.functions[name]

    def called(self, call: bytes) -> Function | None:
        """The function that a call is of; None where it is none of this contract's."""
        return next((each for each in self.functions.values() if each.selector == call[:_SELECTOR_BYTES]), None)


def reason(output: bytes) -> str:
    """Why a call reverted, from what it returned."""
    try:
        if output[:4] == _ERROR:
            return str(decode(["string"], output[4:])[0])
        if output[:4] == _PANIC:
            return f"arithmetic: panic {decode(['uint256'], output[4:])[0]}"
    except (DecodingError, OverflowError, UnicodeDecodeError):
        pass
    return "reverted without a reason"

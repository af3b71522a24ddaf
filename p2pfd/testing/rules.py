"""What a public network's nodes insist on before they pass a transaction on, and how their blocks look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import rlp
from eth_account import Account as Signer

GWEI = 10**9
_TYPE_2 = 2
_FIELDS = 12


@dataclass(frozen=True, slots=True)
class Rules:
    """A network's rules. `block` replaces fields of every block that is shown."""

    least_tip: int = 0
    raise_percent: int = 10
    most_bytes: int = 128 * 1024
    finalized: bool = True
    """Whether the tag is answered."""
    block: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


AMOY_RULES = Rules(
    least_tip=25 * GWEI,
    finalized=False,
    # Proof of authority: validators and a seal where other chains have 32 bytes at most, and no randomness.
    block=MappingProxyType({"extraData": "0x" + "d7" * 200, "mixHash": "0x" + "00" * 32}),
)


class TransactionPool:
    """The offers that a node has seen, by sender and nonce."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._seen: dict[tuple[str, int], tuple[int, int, bytes]] = {}

    def problem(self, raw: object) -> str:
        """What the rules say against a transaction, in a node's words; empty where they have nothing."""
        try:
            sent = bytes.fromhex(str(raw)[2:])
            if len(sent) > self._rules.most_bytes:
                return f"oversized data: transaction size {len(sent)}, limit {self._rules.most_bytes}"
            parts = rlp.decode(sent[1:]) if sent[:1] == bytes([_TYPE_2]) else []
            if len(parts) != _FIELDS:
                return "transaction type not supported"
            nonce, tip, fee = (int.from_bytes(part, "big") for part in parts[1:4])
            sender = str(Signer.recover_transaction(sent))
        except Exception as error:  # noqa: BLE001 - whatever a decoder says, the node's answer is the same
            return f"invalid transaction: {type(error).__name__}"
        if tip < self._rules.least_tip:
            return f"transaction underpriced: gas tip cap {tip}, minimum needed {self._rules.least_tip}"
        before = self._seen.get((sender, nonce))
        if before is not None and before[2] != sent:
            needed = 100 + self._rules.raise_percent
            if tip * 100 < before[0] * needed or fee * 100 < before[1] * needed:
                return "replacement transaction underpriced"
        if before is None or before[2] != sent:
            self._seen[sender, nonce] = (tip, fee, sent)
        return ""

"""What a transaction offers for its gas (EIP-1559), and how much more when the chain lets it wait."""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.settlement import answers
from p2pfd.settlement.rpc import Rpc, RpcRefusal

GWEI = 10**9
_HEADROOM = 2
"""The base fee grows by an eighth a block at most: twice the present one lasts six full blocks."""
_RAISE = (9, 8)
"""Chains want at least a tenth more for a replacement."""
_LEAST_RAISE = (11, 10)


@dataclass(frozen=True, slots=True)
class Offer:
    """The most to pay for a unit of gas, and how much of that goes to whoever makes the block. In wei."""

    tip: int
    fee: int


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """What to offer. `floor` is the smallest tip that the chain's nodes pass on, `most` what is never gone beyond."""

    floor: int = 0
    most: int = 0
    """Zero: the chain takes no fees, and nothing is offered."""

    async def quote(self, rpc: Rpc) -> Offer:
        """What gets a transaction into one of the next blocks."""
        if self.most == 0:
            return Offer(0, 0)
        head, wish = await rpc.several([("eth_getBlockByNumber", ["latest", False]), ("eth_maxPriorityFeePerGas", [])])
        if isinstance(head, RpcRefusal):
            raise head
        base = answers.number(answers.record(head, "the newest block").get("baseFeePerGas", "0x0"), "a base fee")
        wanted = 0 if isinstance(wish, RpcRefusal) else answers.number(wish, "a tip")
        tip = min(max(self.floor, wanted), self.most)
        return Offer(tip, min(_HEADROOM * base + tip, self.most))

    def raised(self, last: Offer, now: Offer) -> Offer | None:
        """An offer that replaces the last one; None where that would go beyond `most`."""
        if self.most == 0:
            return None
        tip, fee = (_up(value) for value in (last.tip, last.fee))
        fee = min(max(fee, now.fee), self.most)
        tip = min(max(tip, now.tip), fee)
        enough = all(new * _LEAST_RAISE[1] >= old * _LEAST_RAISE[0] for new, old in ((tip, last.tip), (fee, last.fee)))
        return Offer(tip, fee) if enough and fee > last.fee else None


FREE = FeePolicy()
LOCAL = FeePolicy(most=10_000 * GWEI)
"""A throw-away chain with fees: their size is of no matter."""


def _up(value: int) -> int:
    return value * _RAISE[0] // _RAISE[1] + 1

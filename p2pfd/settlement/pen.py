"""One account's key at work: which nonce comes next, signed bytes, and handing them to the chain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import trio

from p2pfd.core.ids import Account
from p2pfd.settlement import answers
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.fees import Offer
from p2pfd.settlement.habits import Habits
from p2pfd.settlement.keccak import keccak
from p2pfd.settlement.outbox import Attempt, Intent, Outbox, Wish
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from p2pfd.settlement.wallet import sign_transaction


class Pen:
    """An account on one chain, with its part of the outbox."""

    def __init__(
        self, rpc: Rpc, key: AccountKey, chain_id: int, outbox: Outbox, habits: Habits, genesis: bytes
    ) -> None:
        self.rpc = rpc
        self.outbox = outbox
        self.habits = habits
        self.scope = f"{chain_id}/{genesis.hex()[:16]}/{key.account}"
        self.lock = trio.Lock()
        """Held by whoever gives a nonce to something."""
        self.head = 0
        """The newest block ever seen: a lower bound of where the chain is."""
        self.stood = outbox.last_block(self.scope)
        """The highest block in which one of its transactions was ever seen."""
        self.introducing: int | None = None
        """The intent that is being sent for the first time: it may yet be forgotten, so nobody else may send it."""
        self._key = key
        self._chain_id = chain_id
        self._nonce: int | None = None
        self._cast_at: dict[bytes, float] = {}
        self._offered_at: dict[bytes, int] = {}

    @property
    def account(self) -> Account:
        """Whose it is."""
        return self._key.account

    # -- nonces --------------------------------------------------------------------------------------------------------

    async def next(self) -> int:
        """The nonce that comes next: the chain is asked once, and never believed to be behind what is on disk."""
        if self._nonce is None:
            asked: list[tuple[str, Sequence[object]]] = [("eth_getTransactionCount", [self.account, "pending"])]
            count, head = await self.rpc.batch([*asked, ("eth_blockNumber", [])])
            self.saw(answers.height(head))
            there = answers.height(count, "a number of transactions")
            self._nonce = max(there, self.outbox.last_nonce(self.scope) + 1)
        return self._nonce

    def used(self, nonce: int) -> None:
        """This nonce was given away."""
        self._nonce = nonce + 1

    def ask_again(self) -> None:
        """Somebody else sends with this key too, or something was taken back: ask the chain for the next nonce."""
        self._nonce = None

    def saw(self, head: int) -> None:
        """The chain has come this far."""
        self.head = max(self.head, head)

    def since(self) -> int:
        """A block that no attempt which is signed now can be in, after any reorganisation that is not final."""
        return max(0, self.head - 2 * self.habits.finality)

    # -- transactions --------------------------------------------------------------------------------------------------

    async def quote(self) -> Offer:
        """What to offer now."""
        return await self.habits.fees.quote(self.rpc)

    def signed(self, wish: Wish, nonce: int, offer: Offer) -> Attempt:
        """A transaction."""
        raw = sign_transaction(
            self._key.private,
            chain_id=self._chain_id,
            nonce=nonce,
            tip=offer.tip,
            fee=offer.fee,
            gas=wish.gas,
            target=wish.target,
            data=wish.data,
        )
        return Attempt(keccak(raw), raw, nonce, offer.tip, offer.fee)

    async def cast(self, attempt: Attempt) -> RpcRefusal | None:
        """Send these bytes; what the chain has against it, if it has."""
        self._cast_at[attempt.tx] = trio.current_time()
        self._offered_at.setdefault(attempt.tx, self.head)
        try:
            await self.rpc.call("eth_sendRawTransaction", "0x" + attempt.raw.hex())
        except RpcRefusal as refusal:
            return refusal
        return None

    def idle(self, attempt: Attempt) -> float:
        """Seconds since it was last sent; without end where this process never did."""
        return trio.current_time() - self._cast_at.get(attempt.tx, -math.inf)

    def waited(self, attempt: Attempt) -> int:
        """Blocks since this process first sent it, or first saw that it had not been included."""
        return self.head - self._offered_at.setdefault(attempt.tx, self.head)

    def drop(self, intent: Intent) -> None:
        """Remember nothing more of it."""
        for attempt in intent.attempts:
            self._cast_at.pop(attempt.tx, None)
            self._offered_at.pop(attempt.tx, None)

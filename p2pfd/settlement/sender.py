"""One account's transactions: each intent is carried out once, whatever happens to the process, the line or the chain.

The rule that keeps payments from doubling: an intent keeps its nonce, and a chain includes one transaction a nonce. It
gets another nonce only after the chain's own blocks, as final as the profile asks, have shown that the old one went to
a stranger. The rule that keeps them from being lost: what is on disk is sent again until it is final.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import trio

from p2pfd.core.ids import Account
from p2pfd.errors import ChainError
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import ChainAwayError, TxRef
from p2pfd.settlement.fees import Offer
from p2pfd.settlement.habits import INSTANT, Habits
from p2pfd.settlement.outbox import Fate, Intent, Outbox, Wish
from p2pfd.settlement.pen import Pen
from p2pfd.settlement.pursuit import Pursuit
from p2pfd.settlement.refusals import Meaning, meaning
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from p2pfd.settlement.verdict import hash_of, of_stranger

_SIGNINGS = 4
_COIN = 10**18


class Sender:
    """One account's transactions. Any number of tasks may send at once; they leave in the order of their nonces."""

    def __init__(
        self,
        rpc: Rpc,
        key: AccountKey,
        chain_id: int,
        *,
        outbox: Outbox | None = None,
        habits: Habits = INSTANT,
        genesis: bytes = b"",
    ) -> None:
        """Without an outbox nothing outlives the process. The genesis block tells two chains with one id apart."""
        self._habits = habits
        self._outbox = outbox if outbox is not None else Outbox(None)
        self._pen = Pen(rpc, key, chain_id, self._outbox, habits, genesis)
        self._pursuit = Pursuit(self._pen)
        self._looking: trio.Event | None = None
        self._work = trio.Event()
        self._work.set()
        self.permits = trio.Lock()
        """Held by whoever signs a permit of this account until it is sent: each names the token's next number."""
        self.trouble: ChainError | None = None
        """What went wrong last in the background; it is tried again."""

    # -- sending -------------------------------------------------------------------------------------------------------

    async def send(
        self, to: Account | None, data: bytes, gas: int, *, intent: str | None = None, claim: bytes = b""
    ) -> TxRef:
        """Have it happen once: a call, or a deployment where ``to`` is None. The same intent again is the same one.

        When this returns, it is on disk and is sent until it is final. ChainError when it was not sent and will not be.
        """
        wish = Wish(intent if intent is not None else f"anonymous/{uuid4().hex}", to, data, gas, claim)
        async with self._pen.lock:
            held = self._outbox.find(self._pen.scope, wish.name)
            return _same(held, wish) if held is not None else await self._begun(wish)

    async def _begun(self, wish: Wish) -> TxRef:
        pen = self._pen
        nonce, offer = await pen.next(), await pen.quote()
        for attempt in range(_SIGNINGS):
            fresh = self._outbox.add(pen.scope, wish, pen.since(), pen.signed(wish, nonce, offer))
            pen.used(nonce)
            self._work.set()
            verdict = await self._introduced(fresh)
            if verdict is None:
                break
            self._outbox.forget(fresh)
            pen.ask_again()
            better = None
            if meaning(verdict) is Meaning.CHEAP and attempt + 1 < _SIGNINGS:
                better = self._habits.fees.raised(offer, await pen.quote())
            if better is None:
                raise self._poor(wish, offer) if meaning(verdict) is Meaning.POOR else verdict
            offer = better
        return _ref(fresh)

    def _poor(self, wish: Wish, offer: Offer) -> ChainError:
        return ChainError(
            f"the account {self._pen.account} has not the {wish.gas * offer.fee / _COIN:.6f} of the chain's coin that "
            "this may take in gas",
            "send it some: it is tried again",
        )

    async def _introduced(self, fresh: Intent) -> RpcRefusal | None:
        """Send an intent for the first time; the refusal where the chain certainly does not have it."""
        if self._outbox.count(self._pen.scope) > self._habits.window:
            return None
        self._pen.introducing = fresh.seq
        try:
            refusal = await self._pen.cast(fresh.attempts[0])
        except ChainError:
            return None  # nobody knows whether it arrived: it is on disk, and is sent again
        finally:
            self._pen.introducing = None
        if refusal is None:
            return None
        match meaning(refusal):
            case Meaning.PAST | Meaning.EARLY:
                self._pen.ask_again()  # somebody else sends with this key too
                return None
            case Meaning.HELD | Meaning.BUSY:
                return None
            case _:
                return None if refusal.repeated else refusal

    def known(self, intent: str, to: Account | None, claim: bytes) -> TxRef | None:
        """The reference of an intent that is there; ChainError when its name was given to another claim."""
        held = self._outbox.find(self._pen.scope, intent)
        return None if held is None else _same(held, Wish(intent, to, b"", 0, claim))

    # -- what becomes of it --------------------------------------------------------------------------------------------

    async def final(self, ref: TxRef) -> Fate | None:
        """Wait for what became of a transaction, or of what replaced it; None where nobody knows it."""
        tx = hash_of(ref)
        deadline = trio.current_time() + self._habits.longest_seconds
        answered = trio.current_time()
        while True:
            held = self._outbox.of_transaction(self._pen.scope, tx)
            if held is None:
                return await of_stranger(self._pen.rpc, ref, self._habits)
            if held.fate is not None:
                return held.fate
            try:
                await self.look()
                answered = trio.current_time()
            except ChainError:
                if trio.current_time() - answered >= self._habits.outage_seconds:
                    raise
            held = self._outbox.of_transaction(self._pen.scope, tx)
            if held is not None and held.fate is not None:
                return held.fate
            if trio.current_time() >= deadline:
                raise ChainAwayError(
                    f"{ref} is not final after {self._habits.longest_seconds:g} s",
                    "it is still being sent; does the account have coins for gas?",
                )
            await trio.sleep(self._habits.look_seconds)

    async def over(self, selector: bytes) -> int:
        """Wait until everything that was sent and calls this function is final.

        The block from which on the chain's state shows all of it. ChainError when that takes too long.
        """
        deadline = trio.current_time() + self._habits.longest_seconds
        while True:
            todo = self._outbox.unfinished(self._pen.scope)
            if not any(each.wish.data.startswith(selector) for each in todo):
                return self._pen.stood
            if trio.current_time() >= deadline:
                raise ChainAwayError(
                    f"what was sent before is not final after {self._habits.longest_seconds:g} s",
                    "does the account have coins for gas?",
                )
            await self.look()
            await trio.sleep(self._habits.look_seconds)

    async def finished(self) -> None:
        """Wait until everything that was ever sent here has a final end."""
        while self._outbox.count(self._pen.scope):
            with suppress(ChainError):  # it is looked for again
                await self.look()
            await trio.sleep(self._habits.look_seconds)

    async def run(self) -> None:
        """Go on with what is unfinished, for ever: also with what an earlier process left behind."""
        pause = 0.0  # what an earlier process left has waited long enough; what is new is first looked at by its sender
        while True:
            await self._work.wait()
            await trio.sleep(pause)
            pause = max(self._habits.look_seconds, self._habits.resend_seconds / 2)
            if not self._outbox.count(self._pen.scope):
                self._work = trio.Event()
                continue
            try:
                await self.look()
            except ChainError as error:
                self.trouble = error

    async def look(self) -> None:
        """See what became of everything unfinished, and do for it what can be done. Several callers share one look."""
        if self._looking is not None:
            await self._looking.wait()
            return
        self._looking = trio.Event()
        try:
            await self._pursuit.look()
        finally:
            self._looking.set()
            self._looking = None


def _ref(held: Intent) -> TxRef:
    return TxRef("0x" + held.attempts[0].tx.hex())


def _same(held: Intent, wish: Wish) -> TxRef:
    """The reference of an intent that was there before; ChainError when its name was given to something else."""
    before, now = held.wish, wish
    if before.claim or now.claim or held.fate is not None:
        before, now = (replace(each, data=b"", gas=0) for each in (before, now))
    if before != now:
        raise ChainError(f"the intent {wish.name!r} is another claim's", "give every claim a name of its own")
    return _ref(held)

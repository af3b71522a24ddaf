"""One account's transactions: each intent is carried out once, whatever happens to the process, the line or the chain.

The rule that keeps payments from doubling: an intent keeps its nonce, and a chain includes one transaction a nonce. It
gets another nonce only after the chain's own blocks, as final as the profile asks, have shown that the old one went to
a stranger. The rule that keeps them from being lost: what is on disk is sent again until it is final.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import trio
from eth_account import Account as Signer
from eth_utils import keccak, to_checksum_address

from p2pfd.core.ids import Account
from p2pfd.errors import ChainError
from p2pfd.settlement import answers
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import ChainAwayError, TxRef
from p2pfd.settlement.fees import Offer
from p2pfd.settlement.habits import INSTANT, Habits
from p2pfd.settlement.history import absent
from p2pfd.settlement.outbox import Attempt, Fate, Intent, Outbox, Wish
from p2pfd.settlement.refusals import Meaning, meaning
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from p2pfd.settlement.verdict import call_of, fate, hash_of, of_stranger

FILLER_GAS = 21_000
_FILLER = "filler/"
_SIGNINGS = 4
_QUESTIONS = 40
"""As many receipts are asked for in one exchange."""


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
        self._rpc = rpc
        self._key = key
        self._chain_id = chain_id
        self._outbox = outbox if outbox is not None else Outbox(None)
        self._habits = habits
        self._scope = f"{chain_id}/{genesis.hex()[:16]}/{key.account}"
        self._nonce: int | None = None
        self._lock = trio.Lock()
        self._looking: trio.Event | None = None
        self._work = trio.Event()
        self._work.set()
        self._head = 0
        """The newest block ever seen: a lower bound of where the chain is."""
        self._cast_at: dict[bytes, float] = {}
        self._first_seen_at: dict[bytes, int] = {}
        self._gap_since: int | None = None
        self._standing: set[int] = set()
        """What stood in a block at the last look, or is over."""
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
        async with self._lock:
            held = self._outbox.find(self._scope, wish.name)
            if held is not None:
                return _same(held, wish)
            nonce = await self._next()
            offer = await self._habits.fees.quote(self._rpc)
            for attempt in range(_SIGNINGS):
                fresh = self._outbox.add(self._scope, wish, self._since(), self._signed(wish, nonce, offer))
                self._nonce = nonce + 1
                self._work.set()
                verdict = await self._introduced(fresh)
                if verdict is None:
                    break
                self._outbox.forget(fresh)
                self._nonce = None
                better = None
                if meaning(verdict) is Meaning.CHEAP and attempt + 1 < _SIGNINGS:
                    better = self._habits.fees.raised(offer, await self._habits.fees.quote(self._rpc))
                if better is None:
                    raise verdict
                offer = better
        return TxRef("0x" + fresh.attempts[0].tx.hex())

    def known(self, intent: str, to: Account | None, claim: bytes) -> TxRef | None:
        """The reference of an intent that is there; ChainError when its name was given to another claim."""
        held = self._outbox.find(self._scope, intent)
        return None if held is None else _same(held, Wish(intent, to, b"", 0, claim))

    async def included(self, selector: bytes) -> None:
        """Wait until everything that was sent and calls this function stands in a block, final or not."""
        while True:
            calls = [each for each in self._outbox.unfinished(self._scope) if each.wish.data.startswith(selector)]
            if all(each.seq in self._standing for each in calls):
                return
            await self.look()
            if not all(each.seq in self._standing for each in calls):
                await trio.sleep(self._habits.look_seconds)

    async def _introduced(self, fresh: Intent) -> RpcRefusal | None:
        """Send an intent for the first time; the refusal where the chain certainly does not have it."""
        if len(self._outbox.unfinished(self._scope)) > self._habits.window:
            return None
        try:
            refusal = await self._cast(fresh.attempts[0])
        except ChainError:
            return None  # nobody knows whether it arrived: it is on disk, and is sent again
        if refusal is None:
            return None
        if meaning(refusal) in (Meaning.HELD, Meaning.PAST, Meaning.EARLY, Meaning.BUSY):
            if meaning(refusal) in (Meaning.PAST, Meaning.EARLY):
                self._nonce = None
            return None
        return None if refusal.repeated else refusal

    async def _next(self) -> int:
        """The nonce that comes next: the chain is asked once, and never believed to be behind what is on disk."""
        if self._nonce is None:
            asked: list[tuple[str, Sequence[object]]] = [
                ("eth_getTransactionCount", [self._key.account, "pending"]),
                ("eth_blockNumber", []),
            ]
            count, head = await self._rpc.batch(asked)
            self._saw(answers.height(head))
            there = answers.height(count, "a number of transactions")
            self._nonce = max(there, self._outbox.last_nonce(self._scope) + 1)
        return self._nonce

    async def _cast(self, attempt: Attempt) -> RpcRefusal | None:
        """Send these bytes; what the chain has against it, if it has."""
        self._cast_at[attempt.tx] = trio.current_time()
        self._first_seen_at.setdefault(attempt.tx, self._head)
        try:
            await self._rpc.call("eth_sendRawTransaction", "0x" + attempt.raw.hex())
        except RpcRefusal as refusal:
            return refusal
        return None

    def _signed(self, wish: Wish, nonce: int, offer: Offer) -> Attempt:
        transaction = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "to": "" if wish.target is None else to_checksum_address(wish.target),
            "value": 0,
            "data": wish.data,
            "gas": wish.gas,
            "maxFeePerGas": offer.fee,
            "maxPriorityFeePerGas": offer.tip,
        }
        raw = bytes(Signer.sign_transaction(transaction, self._key.private).raw_transaction)
        return Attempt(bytes(keccak(raw)), raw, nonce, offer.tip, offer.fee)

    def _since(self) -> int:
        """A block that no attempt which is signed now can be in, after any reorganisation that is not final."""
        return max(0, self._head - 2 * self._habits.finality)

    def _saw(self, head: int) -> None:
        self._head = max(self._head, head)

    # -- what becomes of it --------------------------------------------------------------------------------------------

    async def final(self, ref: TxRef) -> Fate | None:
        """Wait for what became of a transaction, or of what replaced it; None where nobody knows it."""
        tx = hash_of(ref)
        deadline = trio.current_time() + self._habits.longest_seconds
        answered = trio.current_time()
        while True:
            held = self._outbox.of_transaction(self._scope, tx)
            if held is None:
                return await of_stranger(self._rpc, ref, self._habits)
            if held.fate is not None:
                return held.fate
            try:
                await self.look()
                answered = trio.current_time()
            except ChainError:
                if trio.current_time() - answered >= self._habits.outage_seconds:
                    raise
            held = self._outbox.of_transaction(self._scope, tx)
            if held is not None and held.fate is not None:
                return held.fate
            if trio.current_time() >= deadline:
                raise ChainAwayError(
                    f"{ref} is not final after {self._habits.longest_seconds:g} s",
                    "it is still being sent; does the account have coins for gas?",
                )
            await trio.sleep(self._habits.look_seconds)

    def unfinished(self) -> int:
        """How many intents have no final end yet."""
        return len(self._outbox.unfinished(self._scope))

    async def run(self) -> None:
        """Go on with what is unfinished, for ever: also with what an earlier process left behind."""
        while True:
            await self._work.wait()
            if not self._outbox.unfinished(self._scope):
                self._work = trio.Event()
                continue
            try:
                await self.look()
            except ChainError as error:
                self.trouble = error
            await trio.sleep(max(self._habits.look_seconds, self._habits.resend_seconds / 2))

    async def look(self) -> None:
        """See what became of everything unfinished, and do for it what can be done. Several callers share one look."""
        if self._looking is not None:
            await self._looking.wait()
            return
        self._looking = trio.Event()
        try:
            await self._look()
        finally:
            self._looking.set()
            self._looking = None

    async def _look(self) -> None:
        todo = self._outbox.unfinished(self._scope)[: self._habits.window]
        if not todo:
            return
        head, receipts = await self._receipts(todo)
        self._standing = set(receipts)
        included = [(intent, receipts[intent.seq]) for intent in todo if intent.seq in receipts]
        await self._conclude(included, head)
        waiting = [intent for intent in todo if intent.seq not in receipts]
        if waiting:
            await self._push(waiting, head, {intent.nonce for intent in todo})

    async def _receipts(self, todo: Sequence[Intent]) -> tuple[int, dict[int, Mapping[str, Any]]]:
        """The chain's head, and the receipts that there are, by intent."""
        owner = [(intent, attempt) for intent in todo for attempt in intent.attempts]
        found: dict[int, Mapping[str, Any]] = {}
        head = math.inf
        for at in range(0, len(owner), _QUESTIONS):
            part = owner[at : at + _QUESTIONS]
            asked: list[tuple[str, Sequence[object]]] = [("eth_blockNumber", [])]
            asked += [("eth_getTransactionReceipt", ["0x" + attempt.tx.hex()]) for _, attempt in part]
            said, *told = await self._rpc.batch(asked)
            head = min(head, answers.height(said))
            for (intent, attempt), receipt in zip(part, told, strict=True):
                if receipt is None:
                    continue
                read = answers.record(receipt, "a receipt")
                if answers.digest(read.get("transactionHash"), "a receipt's transaction") != attempt.tx:
                    raise answers.wrong("the receipt that was asked for", read.get("transactionHash"))
                found[intent.seq] = read
        self._saw(int(head))
        return int(head), found

    async def _conclude(self, included: Sequence[tuple[Intent, Mapping[str, Any]]], head: int) -> None:
        """Those that are deep enough, in a block that is still the chain's, are over."""
        deep = []
        for intent, receipt in included:
            block = answers.height(receipt.get("blockNumber"))
            if head - block >= self._habits.finality:
                deep.append((intent, receipt, block))
        standing = deep
        if self._habits.finality > 0:
            asked = [("eth_getBlockByNumber", [hex(number), False]) for number in sorted({each[2] for each in deep})]
            blocks = [found for found in await self._rpc.batch(asked) if found is not None] if asked else []
            hashes = {answers.digest(answers.record(each, "a block").get("hash"), "a block's hash") for each in blocks}
            standing = [
                each for each in deep if answers.digest(each[1].get("blockHash"), "a receipt's block") in hashes
            ]
        fates = []
        for intent, receipt, _ in standing:
            wish = intent.wish
            call = call_of(self._key.account, wish.target, wish.data, wish.gas)
            fates.append((intent, await fate(self._rpc, receipt, call)))
        self._over(fates)

    def _over(self, fates: Sequence[tuple[Intent, Fate]]) -> None:
        if not fates:
            return
        self._outbox.finish(fates)
        for intent, _ in fates:
            for attempt in intent.attempts:
                self._cast_at.pop(attempt.tx, None)
                self._first_seen_at.pop(attempt.tx, None)

    # -- what is not included ------------------------------------------------------------------------------------------

    async def _push(self, waiting: Sequence[Intent], head: int, ours: set[int]) -> None:
        """Send again what may have been lost, offer more for what is stuck, and move what a stranger displaced."""
        said = await self._rpc.call("eth_getTransactionCount", self._key.account, "latest")
        count = answers.height(said, "a number of transactions")
        for intent in waiting:
            if intent.nonce < count:
                await self._displaced(intent)
                continue
            last = intent.attempts[-1]
            offered_at = self._first_seen_at.setdefault(last.tx, head)
            if intent.nonce == count and head - offered_at >= self._habits.stuck_blocks:
                await self._raise(intent)
            elif trio.current_time() - self._cast_at.get(last.tx, -math.inf) >= self._habits.resend_seconds:
                await self._again(intent, last)
        await self._fill(min(ours), count, head)

    async def _again(self, intent: Intent, last: Attempt) -> None:
        """The same bytes once more: "already known" is an answer, and so is a nonce that is too low."""
        refusal = await self._cast(last)
        if refusal is not None and meaning(refusal) is Meaning.CHEAP:
            await self._raise(intent)

    async def _raise(self, intent: Intent) -> None:
        """The same nonce with a better offer; as it is, where there is none."""
        last = intent.attempts[-1]
        offer = self._habits.fees.raised(Offer(last.tip, last.fee), await self._habits.fees.quote(self._rpc))
        if offer is None:
            await self._cast(last)
            return
        attempt = self._signed(intent.wish, intent.nonce, offer)
        self._outbox.add_attempt(intent, attempt)
        await self._cast(attempt)

    async def _displaced(self, intent: Intent) -> None:
        """The nonce is used. Unless the final blocks prove that it was a stranger, the receipt is merely withheld."""
        finality = self._habits.finality
        if finality == 0:
            asked: list[tuple[str, Sequence[object]]] = [("eth_getTransactionCount", [self._key.account, "latest"])]
            said, newest = await self._rpc.batch([*asked, ("eth_blockNumber", [])])
            until = answers.height(newest)
        else:
            until = self._head - finality
            if until <= intent.since:
                return
            said = await self._rpc.call("eth_getTransactionCount", self._key.account, hex(until))
        if answers.height(said, "a number of transactions") <= intent.nonce:
            return
        if not await absent(self._rpc, {attempt.tx for attempt in intent.attempts}, intent.since, until):
            return
        if intent.wish.name.startswith(_FILLER):
            reason = "another transaction took its place"
            self._over([(intent, Fate(intent.attempts[-1].tx, until, False, 0, reason))])
            return
        async with self._lock:
            self._nonce = None
            nonce = await self._next()
            moved = self._signed(intent.wish, nonce, await self._habits.fees.quote(self._rpc))
            self._outbox.move(intent, self._since(), moved)
            self._nonce = nonce + 1
            await self._cast(moved)

    async def _fill(self, lowest: int, count: int, head: int) -> None:
        """Nonces that nobody uses hold up all that come after them: use them for nothing."""
        if count >= lowest:
            self._gap_since = None
            return
        if self._gap_since is None:
            self._gap_since = head
        if head - self._gap_since < self._habits.stuck_blocks and self._habits.finality > 0:
            return
        offer = await self._habits.fees.quote(self._rpc)
        async with self._lock:
            for nonce in range(count, min(lowest, count + self._habits.window)):
                wish = Wish(f"{_FILLER}{nonce}", self._key.account, b"", FILLER_GAS)
                if self._outbox.find(self._scope, wish.name) is not None:
                    continue
                filler = self._outbox.add(self._scope, wish, self._since(), self._signed(wish, nonce, offer))
                await self._cast(filler.attempts[0])
        self._gap_since = None


def _same(held: Intent, wish: Wish) -> TxRef:
    """The reference of an intent that was there before; ChainError when its name was given to something else."""
    before, now = held.wish, wish
    if before.claim or now.claim or held.fate is not None:
        before, now = (replace(each, data=b"", gas=0) for each in (before, now))
    if before != now:
        raise ChainError(f"the intent {wish.name!r} is another claim's", "give every claim a name of its own")
    return TxRef("0x" + held.attempts[0].tx.hex())

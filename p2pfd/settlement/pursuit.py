"""Everything that an account has sent, pursued until it is final: seen, sent again, offered more for, moved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from p2pfd.settlement import answers
from p2pfd.settlement.fees import Offer
from p2pfd.settlement.history import absent, spent
from p2pfd.settlement.outbox import Fate, Intent, Wish
from p2pfd.settlement.pen import Pen
from p2pfd.settlement.refusals import Meaning, meaning
from p2pfd.settlement.rpc import RpcRefusal
from p2pfd.settlement.verdict import call_of, fate

FILLER_GAS = 21_000
_FILLER = "filler/"
_QUESTIONS = 40
"""As many receipts are asked for in one exchange."""
_Call = tuple[str, Sequence[object]]


class Pursuit:
    """Looks after what has no final end yet."""

    def __init__(self, pen: Pen) -> None:
        self._pen = pen
        self._rpc = pen.rpc
        self._outbox = pen.outbox
        self._finality = pen.habits.finality
        self._gap_since: int | None = None

    async def look(self) -> None:
        """See what became of everything unfinished, and do for it what can be done."""
        pen = self._pen
        todo = self._outbox.unfinished(pen.scope, pen.habits.window)
        todo = [intent for intent in todo if intent.seq != pen.introducing]
        if not todo:
            return
        head, receipts = await self._receipts(todo)
        included = [(intent, receipts[intent.seq]) for intent in todo if intent.seq in receipts]
        for intent, receipt in included:
            pen.stood = max(pen.stood, answers.height(receipt.get("blockNumber")))
            pen.drop(intent)  # should the chain undo it, it is sent again at once, and its waiting begins anew
        await self._conclude(included, head)
        waiting = [intent for intent in todo if intent.seq not in receipts]
        if waiting:
            await self._push(waiting, todo[0].nonce)

    async def _receipts(self, todo: Sequence[Intent]) -> tuple[int, dict[int, Mapping[str, Any]]]:
        """The chain's head, and the receipts that there are, by intent."""
        owner = [(intent, attempt) for intent in todo for attempt in intent.attempts]
        found: dict[int, Mapping[str, Any]] = {}
        head = math.inf
        for at in range(0, len(owner), _QUESTIONS):
            part = owner[at : at + _QUESTIONS]
            asked: list[_Call] = [("eth_blockNumber", [])]
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
        self._pen.saw(int(head))
        return int(head), found

    async def _conclude(self, included: Sequence[tuple[Intent, Mapping[str, Any]]], head: int) -> None:
        """Those that are deep enough, in a block that is still the chain's, are over."""
        deep = []
        for intent, receipt in included:
            block = answers.height(receipt.get("blockNumber"))
            if head - block >= self._finality:
                deep.append((intent, receipt, block))
        standing = deep
        if self._finality > 0:
            asked: list[_Call] = [
                ("eth_getBlockByNumber", [hex(number), False]) for number in sorted({each[2] for each in deep})
            ]
            blocks = [found for found in await self._rpc.batch(asked) if found is not None] if asked else []
            hashes = {answers.digest(answers.record(each, "a block").get("hash"), "a block's hash") for each in blocks}
            standing = [
                each for each in deep if answers.digest(each[1].get("blockHash"), "a receipt's block") in hashes
            ]
        fates = []
        for intent, receipt, _ in standing:
            wish = intent.wish
            call = call_of(self._pen.account, wish.target, wish.data, wish.gas)
            fates.append((intent, await fate(self._rpc, receipt, call)))
        self._over(fates)

    def _over(self, fates: Sequence[tuple[Intent, Fate]]) -> None:
        if fates:
            self._outbox.finish(fates)

    # -- what is not included ------------------------------------------------------------------------------------------

    async def _push(self, waiting: Sequence[Intent], lowest: int) -> None:
        """Send again what may have been lost, offer more for what is stuck, and move what a stranger displaced."""
        habits = self._pen.habits
        said = await self._rpc.call("eth_getTransactionCount", self._pen.account, "latest")
        count = answers.height(said, "a number of transactions")
        for intent in waiting:
            last = intent.attempts[-1]
            stuck = self._pen.waited(last) >= habits.stuck_blocks
            if intent.nonce < count:
                await self._displaced(intent)
            elif intent.nonce == count and stuck:
                await self._raise(intent, behind=len(waiting) > 1)
            elif self._pen.idle(last) >= habits.resend_seconds:
                await self._again(intent)
        await self._fill(lowest, count)

    async def _again(self, intent: Intent) -> None:
        """The same bytes once more: "already known" is an answer, and so is a nonce that is too low."""
        refusal = await self._pen.cast(intent.attempts[-1])
        if refusal is not None and meaning(refusal) is Meaning.CHEAP:
            await self._raise(intent)

    async def _raise(self, intent: Intent, *, behind: bool = False) -> None:
        """The same nonce with a better offer; the best one so far, where there is none, or no coins for it."""
        last, fees = intent.attempts[-1], self._pen.habits.fees
        if fees.most:
            said = await self._rpc.call("eth_getBalance", self._pen.account, "latest")
            fees = replace(fees, most=min(fees.most, answers.number(said, "an account's coins") // intent.wish.gas))
        offer = fees.raised(Offer(last.tip, last.fee), await self._pen.quote())
        if offer is None:
            within = [attempt for attempt in intent.attempts if attempt.fee <= fees.most]
            if behind and not within:
                await self._use([intent.nonce])  # it gets another nonce, behind the others, when that is final
            else:
                await self._pen.cast(within[-1] if within else intent.attempts[0])
            return
        attempt = self._pen.signed(intent.wish, intent.nonce, offer)
        self._outbox.add_attempt(intent, attempt)
        await self._pen.cast(attempt)

    async def _displaced(self, intent: Intent) -> None:
        """The nonce is used. Unless the final blocks prove that it was a stranger, the receipt is merely withheld."""
        # Each answer is waited for before the next question: an endpoint may answer a batch in any order.
        until = answers.height(await self._rpc.call("eth_blockNumber")) - self._finality
        if until < intent.since:
            return
        asked: list[_Call] = [("eth_getTransactionCount", [self._pen.account, hex(until)])]
        (said,) = await self._rpc.several(asked)
        if isinstance(said, RpcRefusal):
            return  # an endpoint that lacks this block, or keeps no state but the newest: at the next look
        if answers.height(said, "a number of transactions") <= intent.nonce:
            return
        if not await absent(self._rpc, {attempt.tx for attempt in intent.attempts}, intent.since, until):
            return
        if self._finality == 0 and not await spent(self._rpc, self._pen.account, intent.nonce, until):
            return  # it is most likely carried out already, in a block that comes at once
        if intent.wish.name.startswith(_FILLER):
            reason = "another transaction took its place"
            self._pen.drop(intent)
            self._over([(intent, Fate(intent.attempts[-1].tx, until, False, 0, reason))])
            return
        async with self._pen.lock:
            self._pen.ask_again()
            nonce = await self._pen.next()
            moved = self._pen.signed(intent.wish, nonce, await self._pen.quote())
            self._outbox.move(intent, self._pen.since(), moved)
            self._pen.used(nonce)
        await self._pen.cast(moved)

    async def _fill(self, lowest: int, count: int) -> None:
        """Nonces that nobody uses hold up all that come after them: use them for nothing."""
        pen = self._pen
        if count >= lowest:
            self._gap_since = None
            return
        if self._gap_since is None:
            self._gap_since = pen.head
        if pen.head - self._gap_since < pen.habits.stuck_blocks and self._finality > 0:
            return
        await self._use(range(count, min(lowest, count + pen.habits.window)))
        self._gap_since = None

    async def _use(self, nonces: Iterable[int]) -> None:
        """Use these nonces for nothing."""
        pen = self._pen
        offer = await pen.quote()
        async with pen.lock:
            for nonce in nonces:
                wish = Wish(f"{_FILLER}{nonce}", pen.account, b"", FILLER_GAS)
                if self._outbox.find(pen.scope, wish.name) is None:
                    filler = self._outbox.add(pen.scope, wish, pen.since(), pen.signed(wish, nonce, offer))
                    await pen.cast(filler.attempts[0])

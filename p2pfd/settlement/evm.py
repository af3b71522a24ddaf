"""A chain of the EVM kind, seen by one account: claims become signed transactions, logs become events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, TypeVar

import trio
from eth_abi import encode

from p2pfd.core.claims import Balances, Deposit, Included, MarketTerms, Receipt, Reverted, Unknown
from p2pfd.core.ids import Account, Amount, TaskId, account
from p2pfd.core.modes import ModeClaim
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError
from p2pfd.settlement import answers, contracts
from p2pfd.settlement.abi import Function, reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import AnyClaim, Capabilities, ChainAwayError, ChainTime, Cursor, TaskState, TxRef
from p2pfd.settlement.domain import separator
from p2pfd.settlement.keccak import keccak
from p2pfd.settlement.kinds import Contract, market_at
from p2pfd.settlement.modes import Ledger, terms_of
from p2pfd.settlement.recall import Recall
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from p2pfd.settlement.sender import Sender
from p2pfd.settlement.wallet import sign_hash
from p2pfd.settlement.watch import Feed, Watcher

PERMIT_SECONDS = 3600
_UNUSED, _GATHER, _CLOSED = 0, 1, 5
"""Three of the phases in which a task can be, as the contracts number them."""
_BEHIND = 20
"""So often an endpoint that is behind is asked again."""
_LITTLE_GAS, _SPARE_GAS, _REFUSED_GAS = 1_000_000, 100_000, 250_000
_PERMIT = keccak(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
C = TypeVar("C", bound=AnyClaim)
View = tuple[Account, Function, Sequence[object]]
"""A contract, one of its views, and what it is asked."""


class EvmDesk(Generic[C]):
    """`p2pfd.settlement.api.Desk` over JSON-RPC: what all our contracts have in common."""

    def __init__(
        self,
        rpc: Rpc,
        watcher: Watcher,
        spec: ChainSpec,
        caps: Capabilities,
        key: AccountKey,
        sender: Sender | None = None,
        contract: Contract | None = None,
        recall: Recall | None = None,
    ) -> None:
        """The chain's on-chain label market, unless another contract is given."""
        self._rpc = rpc
        self._watcher = watcher
        self._spec = spec
        self._caps = caps
        self._key = key
        self._sender = sender if sender is not None else Sender(rpc, key, spec.chain_id)
        self.contract = contract if contract is not None else market_at(spec.market)
        """What it is, and where it stands."""
        self._recall = recall if recall is not None else Recall(watcher, self.contract)
        self._domain: bytes | None = None
        """Under which the token's permits are signed, once it was worked out."""
        self._ended = -1
        """The highest block in which something of this account is known to be final."""

    @property
    def caps(self) -> Capabilities:
        """What this chain is like."""
        return self._caps

    async def submit(self, claim: C) -> TxRef:
        """Send a claim; ChainError only when it could not be sent at all."""
        return await self._submit(claim, None)

    async def submit_once(self, intent: str, claim: C) -> TxRef:
        """Send a claim under a name. The same name again is the same claim: it is not sent twice, after a crash either.

        ChainError when the name was given to another claim, or when it could not be sent at all.
        """
        return await self._submit(claim, intent)

    async def _submit(self, claim: C, intent: str | None) -> TxRef:
        kind, at, meant = self.contract.kind, self.contract.address, keccak(repr(claim).encode())
        kind.check(claim)
        known = None if intent is None else self._sender.known(intent, at, meant)
        if known is not None:
            return known
        call = await self._call(claim)
        gas = await self._limit(claim, call)
        if not isinstance(claim, Deposit):
            return await self._sender.send(at, call, gas, intent=intent, claim=meant)
        async with self._sender.permits:
            known = None if intent is None else self._sender.known(intent, at, meant)
            if known is not None:
                return known
            shown_at = await self._sender.over(kind.interface()["deposit_with_permit"].selector)
            call = await self._deposit(claim, shown_at)
            return await self._sender.send(at, call, gas, intent=intent, claim=meant)

    async def _call(self, claim: AnyClaim) -> bytes:
        """The call that carries a claim, with what the task's events say where it needs that."""
        kind, seen = self.contract.kind, Ledger()
        if kind.recalls(claim):
            seen = await self._recall.of(claim.task, self._ended)  # type: ignore[union-attr]  # such claims are of a task
        return kind.call_of(claim, seen)

    async def gas(self, claim: C) -> int:
        """About how much gas a claim takes if it is sent now; ChainError, with the reason, when it would be refused."""
        self.contract.kind.check(claim)
        data = await self._call(claim)
        if isinstance(claim, Deposit):
            data = await self._deposit(claim)
        try:
            return await self._estimate(data)
        except RpcRefusal as refusal:
            why = reason(refusal.data) if refusal.data else refusal.message
            raise ChainError(f"the chain would refuse: {why}") from refusal

    async def _estimate(self, data: bytes) -> int:
        call = {"from": self._key.account, "to": self.contract.address, "data": "0x" + data.hex()}
        return answers.height(await self._rpc.call("eth_estimateGas", call), "an estimate of gas")

    async def _limit(self, claim: C, call: bytes) -> int:
        """A call's gas limit. A chain takes none that the account could not pay for, however little the call then uses:

        where much may be used, it is what is used now and half as much again; and little where the call would fail now,
        so that it neither costs much nor holds up what comes after it.
        """
        most = self.contract.kind.gas_for(claim)
        if most <= _LITTLE_GAS or not self._caps.live:
            return most
        try:
            return min(most, await self._estimate(call) * 3 // 2 + _SPARE_GAS)
        except RpcRefusal as refusal:
            if refusal.data or "revert" in refusal.message.lower():
                return min(most, _REFUSED_GAS)
            return most  # an endpoint that does not say

    async def final(self, ref: TxRef) -> Receipt:
        """Wait until the claim's fate is final: Included, Reverted or Unknown."""
        fate = await self._sender.final(ref)
        if fate is None:
            return Unknown(ref, "the chain does not know this transaction")
        self._ended = max(self._ended, fate.block)
        told = "0x" + fate.tx.hex()
        return Included(told, fate.block, fate.cost) if fate.success else Reverted(told, fate.reason)

    def events(self, since: Cursor, task: TaskId | None = None) -> AsyncIterator[tuple[Cursor, Any]]:
        """What the contract tells after a place in history, of one task or of all, in order, for ever."""
        self.contract.kind.check_task(task)
        return Feed(self._watcher, since, self.contract, task)

    async def now(self) -> ChainTime:
        """The chain's time: its newest block's."""
        head = answers.record(await self._rpc.call("eth_getBlockByNumber", "latest", False), "the newest block")
        number = answers.height(head.get("number"))
        return ChainTime(number, answers.height(head.get("timestamp"), "a block's time"))

    async def account(self, who: Account) -> Balances:
        """Where an account's tokens are."""
        (in_wallet,), (free, locked, unbonding) = await self._ask(
            (self._spec.token, contracts.token()["balanceOf"], (who,)), self._view("balances", who)
        )
        return Balances(Amount(in_wallet), Amount(free), Amount(locked), Amount(unbonding))

    def _view(self, name: str, *arguments: object) -> View:
        """A question to this contract."""
        return self.contract.address, self.contract.kind.interface()[name], arguments

    async def _ask(self, *views: View) -> list[tuple[Any, ...]]:
        """What views say, all asked at once."""
        raw = await self._rpc.batch([_ask(to, function.call(*arguments)) for to, function, arguments in views])
        return [_told(function, answer) for (_, function, _), answer in zip(views, raw, strict=True)]

    async def _deposit(self, claim: Deposit, shown_at: int = 0) -> bytes:
        """A deposit with the approval as a signature, so that one transaction does both.

        The signature names a number that every deposit raises. It is read when all earlier ones are final, from a state
        that shows them: after a reorganisation, or from an endpoint that is behind, it would be an old one.
        """
        nonces = contracts.token()["nonces"]
        for _ in range(_BEHIND):
            head = answers.record(await self._rpc.call("eth_getBlockByNumber", "latest", False), "the newest block")
            number = answers.height(head.get("number"))
            at = "latest" if self._caps.finality == 0 else hex(number)
            (nonce,) = await self._rpc.several([_ask(self._spec.token, nonces.call(self._key.account), at)])
            if self._domain is None:
                self._domain = await separator(self._rpc, self._spec.token, self._spec.chain_id)
            if number >= shown_at and not isinstance(nonce, RpcRefusal) and self._domain is not None:
                break
            await trio.sleep(self._caps.block_seconds)
        else:
            raise ChainAwayError("the chain's endpoint is behind the chain", "try again, or use another endpoint")
        deadline = answers.height(head.get("timestamp"), "a block's time") + PERMIT_SECONDS
        permit = encode(
            ["bytes32", "address", "address", "uint256", "uint256", "uint256"],
            [_PERMIT, self._key.account, self.contract.address, claim.amount, _told(nonces, nonce)[0], deadline],
        )
        digest = keccak(b"\x19\x01" + self._domain + keccak(permit))
        parity, r, s = sign_hash(self._key.private, digest)
        call = self.contract.kind.interface()["deposit_with_permit"]
        return call.call(claim.amount, deadline, 27 + parity, r.to_bytes(32, "big"), s.to_bytes(32, "big"))


class EvmSettlement(EvmDesk[ModeClaim]):
    """`p2pfd.settlement.api.Settlement` over JSON-RPC: the label market of any mode."""

    async def terms(self, task: TaskId) -> MarketTerms | None:
        """The terms that the chain holds a task to; None where there is no such task. Read them before enrolling."""
        ((told,),) = await self._ask(self._view("terms", task))
        mode = self.contract.kind.name
        return contracts.terms_of(task, told) if mode == "onchain" else terms_of(mode, task, told)

    async def ready(self, who: Account) -> int:
        """The second from which on what unbonds can be withdrawn."""
        ((ready,),) = await self._ask(self._view("ready", who))
        return int(ready)

    async def task_state(self, task: TaskId) -> TaskState | None:
        """How far a task is, and who opened it; None where there is no such task."""
        ((told,),) = await self._ask(self._view("tasks", task))
        requester, phase, rnd, deadline, _, taken, *_ = told
        if phase == _UNUSED:
            return None
        return TaskState(account(requester), phase == _GATHER, phase == _CLOSED, rnd, deadline, taken.bit_count())


def _ask(to: Account, data: bytes, at: str = "latest") -> tuple[str, list[object]]:
    return "eth_call", [{"to": to, "data": "0x" + data.hex()}, at]


def _told(function: Function, answer: object) -> tuple[Any, ...]:
    return function.answer(answers.octets(answer, f"the answer of {function.name}"))

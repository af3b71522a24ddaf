"""A chain of the EVM kind, seen by one account: claims become signed transactions, logs become events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import trio
from eth_abi import encode
from eth_account import Account as Signer
from eth_utils import keccak

from p2pfd.core.claims import Balances, ChainEvent, Claim, Deposit, Included, MarketTerms, Receipt, Reverted, Unknown
from p2pfd.core.ids import Account, Amount, TaskId
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError
from p2pfd.settlement import answers, contracts
from p2pfd.settlement.abi import Function, reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import Capabilities, ChainAwayError, Cursor, TxRef
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from p2pfd.settlement.sender import Sender
from p2pfd.settlement.watch import Feed, Watcher

PERMIT_SECONDS = 3600
_BEHIND = 20
"""So often an endpoint that is behind is asked again."""
_PERMIT = bytes(keccak(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"))


class EvmSettlement:
    """`p2pfd.settlement.api.Settlement` over JSON-RPC."""

    def __init__(
        self,
        rpc: Rpc,
        watcher: Watcher,
        spec: ChainSpec,
        caps: Capabilities,
        key: AccountKey,
        sender: Sender | None = None,
    ) -> None:
        self._rpc = rpc
        self._watcher = watcher
        self._spec = spec
        self._caps = caps
        self._key = key
        self._sender = sender if sender is not None else Sender(rpc, key, spec.chain_id)
        self._permits = trio.Lock()

    @property
    def caps(self) -> Capabilities:
        """What this chain is like."""
        return self._caps

    async def submit(self, claim: Claim) -> TxRef:
        """Send a claim; ChainError only when it could not be sent at all."""
        return await self._submit(claim, None)

    async def submit_once(self, intent: str, claim: Claim) -> TxRef:
        """Send a claim under a name. The same name again is the same claim: it is not sent twice, after a crash either.

        ChainError when the name was given to another claim, or when it could not be sent at all.
        """
        return await self._submit(claim, intent)

    async def _submit(self, claim: Claim, intent: str | None) -> TxRef:
        contracts.check(claim)
        market, gas, meant = self._spec.market, contracts.gas_for(claim), bytes(keccak(repr(claim).encode()))
        if not isinstance(claim, Deposit):
            return await self._sender.send(market, contracts.call_of(claim), gas, intent=intent, claim=meant)
        async with self._permits:  # a permit names the token's next nonce of this account
            known = None if intent is None else self._sender.known(intent, market, meant)
            if known is not None:
                return known
            shown_at = await self._sender.over(contracts.market()["deposit_with_permit"].selector)
            call = await self._deposit(claim, shown_at)
            return await self._sender.send(market, call, gas, intent=intent, claim=meant)

    async def gas(self, claim: Claim) -> int:
        """About how much gas a claim takes if it is sent now; ChainError, with the reason, when it would be refused."""
        data = await self._deposit(claim) if isinstance(claim, Deposit) else contracts.call_of(claim)
        call = {"from": self._key.account, "to": self._spec.market, "data": "0x" + data.hex()}
        try:
            return answers.height(await self._rpc.call("eth_estimateGas", call), "an estimate of gas")
        except RpcRefusal as refusal:
            why = reason(refusal.data) if refusal.data else refusal.message
            raise ChainError(f"the chain would refuse: {why}") from refusal

    async def final(self, ref: TxRef) -> Receipt:
        """Wait until the claim's fate is final: Included, Reverted or Unknown."""
        fate = await self._sender.final(ref)
        if fate is None:
            return Unknown(ref, "the chain does not know this transaction")
        told = "0x" + fate.tx.hex()
        return Included(told, fate.block, fate.cost) if fate.success else Reverted(told, fate.reason)

    def events(self, since: Cursor, task: TaskId) -> AsyncIterator[tuple[Cursor, ChainEvent]]:
        """A task's events after a place in history, in order, for ever."""
        return Feed(self._watcher, since, task)

    async def account(self, who: Account) -> Balances:
        """Where an account's tokens are."""
        of_token, of_market = contracts.token()["balanceOf"], contracts.market()["balances"]
        wallet, inside = await self._rpc.batch(
            [
                _ask(self._spec.token, of_token.call(who)),
                _ask(self._spec.market, of_market.call(who)),
            ]
        )
        (in_wallet,) = _told(of_token, wallet)
        free, locked, unbonding = _told(of_market, inside)
        return Balances(Amount(in_wallet), Amount(free), Amount(locked), Amount(unbonding))

    async def terms(self, task: TaskId) -> MarketTerms | None:
        """The terms that the chain holds a task to; None where there is no such task. Read them before enrolling."""
        of = contracts.market()["terms"]
        (raw,) = await self._rpc.batch([_ask(self._spec.market, of.call(task))])
        return contracts.terms_of(task, _told(of, raw)[0])

    async def _deposit(self, claim: Deposit, shown_at: int = 0) -> bytes:
        """A deposit with the approval as a signature, so that one transaction does both.

        The signature names a number that every deposit raises. It is read when all earlier ones are final, from a state
        that shows them: after a reorganisation, or from an endpoint that is behind, it would be an old one.
        """
        nonces, domain = contracts.token()["nonces"], contracts.token()["DOMAIN_SEPARATOR"]
        for _ in range(_BEHIND):
            head = answers.record(await self._rpc.call("eth_getBlockByNumber", "latest", False), "the newest block")
            number = answers.height(head.get("number"))
            at = "latest" if self._caps.finality == 0 else hex(number)
            asked = [_ask(self._spec.token, each, at) for each in (nonces.call(self._key.account), domain.call())]
            nonce, separator = await self._rpc.several(asked)
            if number >= shown_at and not isinstance(nonce, RpcRefusal) and not isinstance(separator, RpcRefusal):
                break
            await trio.sleep(self._caps.block_seconds)
        else:
            raise ChainAwayError("the chain's endpoint is behind the chain", "try again, or use another endpoint")
        deadline = answers.height(head.get("timestamp"), "a block's time") + PERMIT_SECONDS
        permit = encode(
            ["bytes32", "address", "address", "uint256", "uint256", "uint256"],
            [_PERMIT, self._key.account, self._spec.market, claim.amount, _told(nonces, nonce)[0], deadline],
        )
        digest = bytes(keccak(b"\x19\x01" + _told(domain, separator)[0] + bytes(keccak(permit))))
        signed = Signer.unsafe_sign_hash(digest, self._key.private)
        call = contracts.market()["deposit_with_permit"]
        return call.call(claim.amount, deadline, signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"))


def _ask(to: Account, data: bytes, at: str = "latest") -> tuple[str, list[object]]:
    return "eth_call", [{"to": to, "data": "0x" + data.hex()}, at]


def _told(function: Function, answer: object) -> tuple[Any, ...]:
    return function.answer(answers.octets(answer, f"the answer of {function.name}"))

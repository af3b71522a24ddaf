"""Signed transactions of one account, in the order of their nonces, each sent until the chain has it."""

from __future__ import annotations

import trio
from eth_account import Account as Signer
from eth_utils import keccak, to_checksum_address

from p2pfd.core.ids import Account
from p2pfd.errors import ChainError
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import TxRef
from p2pfd.settlement.rpc import Rpc, RpcRefusal

_ATTEMPTS = 5


class Sender:
    """One account's transactions. Any number of tasks may send at once; they leave one after another."""

    def __init__(self, rpc: Rpc, key: AccountKey, chain_id: int) -> None:
        self._rpc = rpc
        self._key = key
        self._chain_id = chain_id
        self._nonce: int | None = None
        self._lock = trio.Lock()

    async def send(self, to: Account | None, data: bytes, gas: int) -> TxRef:
        """Have the chain take a call, or a deployment where ``to`` is None; ChainError when it could not be sent."""
        async with self._lock:
            for _ in range(_ATTEMPTS):
                nonce = await self._next()
                raw = self._signed(nonce, to, data, gas)
                ref = "0x" + bytes(keccak(raw)).hex()
                if await self._taken(raw, ref):
                    self._nonce = nonce + 1
                    return TxRef(ref)
                self._nonce = None  # someone else sends with this key too: ask the chain again
        raise ChainError(
            f"the nonces of {self._key.account} keep changing", "let only one process use an account at a time"
        )

    async def _next(self) -> int:
        if self._nonce is None:
            answer = await self._rpc.call("eth_getTransactionCount", self._key.account, "pending")
            self._nonce = int(answer, 16)
        return self._nonce

    async def _taken(self, raw: bytes, ref: str) -> bool:
        """Whether the chain has these bytes now; False when their nonce is not the account's next."""
        try:
            await self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcRefusal as refusal:
            said = refusal.message.lower()
            if "already known" in said or "already imported" in said:
                return True  # an answer was lost, and the request was sent again
            if "nonce too" not in said:
                self._nonce = None
                raise
            return await self._rpc.call("eth_getTransactionByHash", ref) is not None
        except BaseException:
            self._nonce = None  # whether it arrived is not known
            raise
        return True

    def _signed(self, nonce: int, to: Account | None, data: bytes, gas: int) -> bytes:
        transaction = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "to": "" if to is None else to_checksum_address(to),
            "value": 0,
            "data": data,
            "gas": gas,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
        }
        return bytes(Signer.sign_transaction(transaction, self._key.private).raw_transaction)

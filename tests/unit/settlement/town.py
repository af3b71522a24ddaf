"""A chain in this process with a pool of transactions, fees, blocks that come and go, and a line that can be cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rlp
import trio
from eth_account import Account as Signer
from eth_utils import keccak

from p2pfd.core.ids import Account, account
from p2pfd.settlement.api import ChainAwayError
from p2pfd.settlement.fees import GWEI
from p2pfd.settlement.rpc import Rpc, RpcRefusal

FAILS = b"fail"
"""A call with this data is included, and fails."""
_ERROR = bytes(keccak(b"Error(string)"))[:4]


@dataclass(frozen=True)
class Tx:
    hash: str
    sender: Account
    nonce: int
    tip: int
    fee: int
    gas: int
    data: bytes
    raw: bytes


def read(raw: bytes) -> Tx:
    parts = rlp.decode(raw[1:])
    nonce, tip, fee, gas = (int.from_bytes(part, "big") for part in parts[1:5])
    sender = account(str(Signer.recover_transaction(raw)).lower())
    return Tx("0x" + bytes(keccak(raw)).hex(), sender, nonce, tip, fee, gas, bytes(parts[7]), raw)


@dataclass(frozen=True)
class Block:
    number: int
    parent: str
    txs: tuple[Tx, ...]
    salt: int

    @property
    def hash(self) -> str:
        return (
            "0x"
            + bytes(keccak(repr((self.number, self.parent, [tx.hash for tx in self.txs], self.salt)).encode())).hex()
        )


class Town(Rpc):
    """The chain, and an endpoint of it."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.blocks = [Block(0, "0x" + "00" * 32, (), 0)]
        self.pool: dict[tuple[Account, int], Tx] = {}
        self.sent: list[bytes] = []
        self.asked: list[str] = []
        self.base = 10 * GWEI
        self.cut = False
        self.deaf = False
        """Transactions do not arrive."""
        self.lose_answers = 0
        self.hide_receipts = False
        self.behind = 0
        self.ahead = False
        """The newest state that it shows is that of all blocks, also of those that it does not show yet."""
        self.forgetful = False
        """It keeps no state but the newest."""
        self.coins: int | None = None
        """What every account has; None for all that anybody could need."""
        self.refuse = ""
        """Say this to every transaction."""
        self._salt = 0

    def mine(self, count: int = 1) -> None:
        for _ in range(count):
            chosen: list[Tx] = []
            for key in sorted(self.pool):
                tx = self.pool[key]
                due = self.count(tx.sender) + sum(each.sender == tx.sender for each in chosen)
                if tx.nonce == due and tx.fee >= self.base:
                    chosen.append(tx)
            for tx in chosen:
                del self.pool[tx.sender, tx.nonce]
            self._salt += 1
            self.blocks.append(Block(len(self.blocks), self.blocks[-1].hash, tuple(chosen), self._salt))

    def reorganise(self, depth: int) -> None:
        """Empty blocks instead of the last ones. What stood in those is nowhere any more."""
        del self.blocks[-depth:]
        for _ in range(depth):
            self._salt += 1
            self.blocks.append(Block(len(self.blocks), self.blocks[-1].hash, (), self._salt))

    def history(self, until: int | None = None) -> list[Tx]:
        blocks = self.blocks if until is None else self.blocks[: until + 1]
        return [tx for block in blocks for tx in block.txs]

    def count(self, who: Account, until: int | None = None) -> int:
        return sum(tx.sender == who for tx in self.history(until))

    async def several(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        await trio.lowlevel.checkpoint()
        if self.cut or (self.deaf and any(method == "eth_sendRawTransaction" for method, _ in calls)):
            raise ChainAwayError("no chain answers")
        self.asked += [method for method, _ in calls]
        out = [self._answer(method, list(params)) for method, params in calls]
        if self.lose_answers and any(method == "eth_sendRawTransaction" for method, _ in calls):
            self.lose_answers -= 1
            raise ChainAwayError("the answer was lost")
        return out

    def _answer(self, method: str, params: list[Any]) -> Any:
        seen = self.blocks[: max(1, len(self.blocks) - self.behind)]
        match method:
            case "eth_blockNumber":
                return hex(len(seen) - 1)
            case "eth_maxPriorityFeePerGas":
                return hex(GWEI)
            case "eth_getTransactionCount" if params[1] == "pending":
                count = self.count(params[0])
                while (params[0], count) in self.pool:
                    count += 1
                return hex(count)
            case "eth_getTransactionCount":
                newest = params[1] == "latest" or int(params[1], 16) == len(seen) - 1
                if self.forgetful and not newest:
                    return RpcRefusal(method, -32000, "only the newest state is kept", b"")
                until = len(seen) - 1 if newest else int(params[1], 16)
                return hex(self.count(params[0], None if newest and self.ahead else until))
            case "eth_getBlockByNumber":
                number = len(seen) - 1 if params[0] == "latest" else int(params[0], 16)
                return self._shown(seen[number], whole=params[1]) if number < len(seen) else None
            case "eth_getTransactionReceipt":
                return None if self.hide_receipts else self._receipt(seen, params[0])
            case "eth_sendRawTransaction":
                return self._taken(bytes.fromhex(params[0][2:]))
            case "eth_getBalance":
                return hex(10**30 if self.coins is None else self.coins)
            case "eth_call":
                data = _ERROR + (32).to_bytes(32, "big") + (3).to_bytes(32, "big") + b"bad".ljust(32, b"\0")
                return RpcRefusal(method, 3, "execution reverted", data)
        raise AssertionError(method)

    def _shown(self, block: Block, whole: bool) -> dict[str, Any]:
        named = [{"hash": tx.hash, "from": tx.sender, "nonce": hex(tx.nonce)} for tx in block.txs]
        return {
            "number": hex(block.number),
            "hash": block.hash,
            "parentHash": block.parent,
            "transactions": named if whole else [each["hash"] for each in named],
            "baseFeePerGas": hex(self.base),
        }

    def _receipt(self, seen: Sequence[Block], wanted: str) -> dict[str, Any] | None:
        for block in seen:
            for tx in block.txs:
                if tx.hash == wanted:
                    return {
                        "transactionHash": tx.hash,
                        "blockNumber": hex(block.number),
                        "blockHash": block.hash,
                        "status": hex(tx.data != FAILS),
                        "gasUsed": hex(21_000),
                        "contractAddress": None,
                    }
        return None

    def _taken(self, raw: bytes) -> Any:
        def no(words: str) -> RpcRefusal:
            return RpcRefusal("eth_sendRawTransaction", -32000, words, b"")

        self.sent.append(raw)
        tx = read(raw)
        if self.refuse:
            return no(self.refuse)
        if tx.nonce < self.count(tx.sender):
            return no(f"nonce too low: next nonce {self.count(tx.sender)}, tx nonce {tx.nonce}")
        if self.coins is not None and tx.gas * tx.fee > self.coins:
            return no("Insufficient funds for gas * price + value")
        held = self.pool.get((tx.sender, tx.nonce))
        if held is not None and held.raw == raw:
            return no("already known")
        if held is not None and (tx.tip * 10 < held.tip * 11 or tx.fee * 10 < held.fee * 11):
            return no("replacement transaction underpriced")
        self.pool[tx.sender, tx.nonce] = tx
        return tx.hash

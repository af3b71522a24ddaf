"""JSON-RPC: the methods of a public node that wallets and libraries use, and answers to every request, however odd."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from p2pfd.core.boundedjson import loads
from p2pfd.errors import StorageError
from p2pfd.settlement.abi import reason
from p2pfd.settlement.embedded.ledger import GAS_LIMIT, Ledger, Outcome, TransactionRefused
from p2pfd.settlement.embedded.store import Block, Log

MAX_BATCH = 100
MAX_LOGS = 20_000
CLIENT = "p2pfd-embedded/1"
PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
REFUSED, TOO_MANY, REVERTED = -32000, -32005, 3

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}\Z")
_BYTES = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")
_NEWEST = ("latest", "pending", "safe", "finalized")
_ZERO_HASH = "0x" + "00" * 32
_NO_BLOOM = "0x" + "00" * 256
_GAS_HEADROOM = (64, 63)
_GAS_STIPEND = 2_500
T = TypeVar("T")


class RpcError(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    def as_json(self) -> dict[str, Any]:
        """The error member of an answer."""
        out: dict[str, Any] = {"code": self.code, "message": self.message}
        return out if self.data is None else out | {"data": self.data}


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()


# -- reading parameters ------------------------------------------------------------------------------------------------


def _param(params: Sequence[Any], at: int, read: Callable[[Any], T], default: T | None = None) -> T:
    if at >= len(params) or params[at] is None:
        if default is None:
            raise RpcError(INVALID_PARAMS, f"parameter {at} is missing")
        return default
    return read(params[at])


def _quantity(value: Any) -> int:
    if not isinstance(value, str) or not _QUANTITY.match(value):
        raise RpcError(INVALID_PARAMS, f"not a quantity: {json.dumps(value)[:80]}")
    return int(value, 16)


def _data(value: Any) -> bytes:
    if not isinstance(value, str) or not _BYTES.match(value):
        raise RpcError(INVALID_PARAMS, f"not hexadecimal bytes: {json.dumps(value)[:80]}")
    return bytes.fromhex(value[2:])


def _sized(size: int) -> Callable[[Any], bytes]:
    def read(value: Any) -> bytes:
        raw = _data(value)
        if len(raw) != size:
            raise RpcError(INVALID_PARAMS, f"{len(raw)} bytes where {size} belong")
        return raw

    return read


_address, _hash = _sized(20), _sized(32)


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RpcError(INVALID_PARAMS, "not an object")
    return value


class Methods:
    """The methods of one chain, by name."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._table: dict[str, Callable[[Sequence[Any]], Any]] = {
            "web3_clientVersion": lambda _: CLIENT,
            "net_version": lambda _: str(ledger.chain_id),
            "eth_chainId": lambda _: hex(ledger.chain_id),
            "eth_blockNumber": lambda _: hex(ledger.head.number),
            "p2pfd_awaitBlock": lambda _: hex(ledger.head.number),
            "eth_gasPrice": lambda _: "0x0",
            "eth_maxPriorityFeePerGas": lambda _: "0x0",
            "eth_accounts": lambda _: [],
            "eth_syncing": lambda _: False,
            "eth_feeHistory": self._fee_history,
            "eth_getBalance": self._balance,
            "eth_getTransactionCount": self._nonce,
            "eth_getCode": self._code,
            "eth_getStorageAt": self._storage,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_sendRawTransaction": self._send,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getTransactionByHash": self._transaction,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getLogs": self._logs,
            "evm_increaseTime": self._skip,
        }

    def answer(self, body: bytes) -> bytes:
        """The answer to a request's body, or to a batch of them."""
        try:
            asked = loads(body)
        except ValueError as error:
            return _dumped(_error(None, RpcError(PARSE_ERROR, f"the request is not JSON: {str(error)[:100]}")))
        if not isinstance(asked, list):
            return _dumped(self._one(asked))
        if not 0 < len(asked) <= MAX_BATCH:
            return _dumped(_error(None, RpcError(INVALID_REQUEST, f"a batch holds 1 to {MAX_BATCH} requests")))
        return _dumped([self._one(request) for request in asked])

    def _one(self, request: Any) -> dict[str, Any]:
        if not isinstance(request, dict):
            return _error(None, RpcError(INVALID_REQUEST, "a request is an object"))
        name, params, ident = request.get("method"), request.get("params", []), request.get("id")
        if not isinstance(ident, (str, int, float, type(None))):
            ident = None
        try:
            if not isinstance(name, str) or not isinstance(params, list):
                raise RpcError(INVALID_REQUEST, "a request has a method and a list of params")
            method = self._table.get(name)
            if method is None:
                raise RpcError(UNKNOWN_METHOD, f"no method {name[:80]}")
            return {"jsonrpc": "2.0", "id": ident, "result": method(params)}
        except RpcError as error:
            return _error(ident, error)
        except TransactionRefused as error:
            return _error(ident, RpcError(REFUSED, error.what))
        except StorageError:
            raise  # what is not on disk must not be answered: the chain stops
        except Exception as error:  # noqa: BLE001 - a caller's odd request must not stop the chain for others
            traceback.print_exc()
            return _error(ident, RpcError(INTERNAL, f"internal error: {type(error).__name__}"))

    # -- the present state --

    def _at_head(self, params: Sequence[Any], at: int) -> None:
        """Only the newest state is kept."""
        tag = _param(params, at, lambda value: value, "latest")
        if tag not in _NEWEST and _quantity(tag) != self._ledger.head.number:
            raise RpcError(REFUSED, f"only the newest state is kept, not that of block {tag}")

    def _balance(self, params: Sequence[Any]) -> str:
        self._at_head(params, 1)
        return hex(self._ledger.balance(_param(params, 0, _address)))

    def _nonce(self, params: Sequence[Any]) -> str:
        self._at_head(params, 1)
        return hex(self._ledger.nonce(_param(params, 0, _address)))

    def _code(self, params: Sequence[Any]) -> str:
        self._at_head(params, 1)
        return _hex(self._ledger.code(_param(params, 0, _address)))

    def _storage(self, params: Sequence[Any]) -> str:
        self._at_head(params, 2)
        return _hex(self._ledger.storage(_param(params, 0, _address), _param(params, 1, _quantity)).to_bytes(32, "big"))

    def _fee_history(self, params: Sequence[Any]) -> dict[str, Any]:
        count = max(1, min(_param(params, 0, lambda v: v if isinstance(v, int) else _quantity(v)), 1024))
        count = min(count, self._ledger.head.number + 1)
        wanted: list[Any] = _param(params, 2, lambda v: v if isinstance(v, list) else [], [])
        return {
            "oldestBlock": hex(self._ledger.head.number + 1 - count),
            "baseFeePerGas": ["0x0"] * (count + 1),
            "gasUsedRatio": [0.0] * count,
            "reward": [["0x0"] * len(wanted[:100])] * count,
        }

    # -- execution --

    def _executed(self, params: Sequence[Any], gas: int | None = None) -> Outcome:
        self._at_head(params, 1)
        call = _param(params, 0, _object)
        target = call.get("to")
        data = call.get("input", call.get("data"))
        limit = gas if gas is not None else _param([call.get("gas")], 0, _quantity, GAS_LIMIT)
        return self._ledger.call(
            sender=_param([call.get("from")], 0, _address, bytes(20)),
            to=None if target is None else _address(target),
            data=_param([data], 0, _data, b""),
            value=_param([call.get("value")], 0, _quantity, 0),
            gas=limit,
        )

    def _call(self, params: Sequence[Any]) -> str:
        outcome = self._executed(params)
        if not outcome.success:
            raise RpcError(REVERTED, f"execution reverted: {reason(outcome.output)}", _hex(outcome.output))
        return _hex(outcome.output)

    def _estimate(self, params: Sequence[Any]) -> str:
        outcome = self._executed(params, GAS_LIMIT)
        if not outcome.success:
            raise RpcError(REVERTED, f"execution reverted: {reason(outcome.output)}", _hex(outcome.output))
        # A call deeper down gets all but a 64th of what is left: more is needed than is used.
        estimate = outcome.gas_used * _GAS_HEADROOM[0] // _GAS_HEADROOM[1] + _GAS_STIPEND
        while estimate < GAS_LIMIT and not self._executed(params, estimate).success:
            estimate += estimate // 2
        return hex(min(estimate, GAS_LIMIT))

    def _send(self, params: Sequence[Any]) -> str:
        block = self._ledger.send(_param(params, 0, _data))
        return _hex(block.tx_hash or b"")

    def _skip(self, params: Sequence[Any]) -> str:
        seconds = _param(params, 0, lambda v: v if isinstance(v, int) else _quantity(v))
        if not 0 <= seconds <= 10**9:
            raise RpcError(INVALID_PARAMS, "skip 0 to 10**9 seconds")
        self._ledger.skip(seconds)
        return hex(seconds)

    # -- history --

    def _numbered(self, tag: Any) -> int:
        if tag in _NEWEST:
            return self._ledger.head.number
        return 0 if tag == "earliest" else _quantity(tag)

    def _block_by_number(self, params: Sequence[Any]) -> dict[str, Any] | None:
        return self._block(self._ledger.block(_param(params, 0, self._numbered)), params)

    def _block_by_hash(self, params: Sequence[Any]) -> dict[str, Any] | None:
        return self._block(self._ledger.block_by_hash(_param(params, 0, _hash)), params)

    def _block(self, block: Block | None, params: Sequence[Any]) -> dict[str, Any] | None:
        if block is None:
            return None
        whole = _param(params, 1, bool, False)
        held: list[Any] = []
        if block.tx_hash is not None:
            held = [self._described(block) if whole else _hex(block.tx_hash)]
        return {
            "number": hex(block.number),
            "hash": _hex(block.hash),
            "parentHash": _hex(block.parent),
            "timestamp": hex(block.timestamp),
            "stateRoot": _hex(block.digest),
            "gasLimit": hex(GAS_LIMIT),
            "gasUsed": hex(block.gas_used),
            "baseFeePerGas": "0x0",
            "transactions": held,
            "miner": "0x" + "00" * 20,
            "difficulty": "0x0",
            "totalDifficulty": "0x0",
            "extraData": "0x",
            "size": hex(len(block.raw or b"")),
            "nonce": "0x" + "00" * 8,
            "mixHash": _ZERO_HASH,
            "logsBloom": _NO_BLOOM,
            "transactionsRoot": _ZERO_HASH,
            "receiptsRoot": _ZERO_HASH,
            "sha3Uncles": _ZERO_HASH,
            "uncles": [],
        }

    def _transaction(self, params: Sequence[Any]) -> dict[str, Any] | None:
        block = self._ledger.block_of(_param(params, 0, _hash))
        return None if block is None else self._described(block)

    def _described(self, block: Block) -> dict[str, Any]:
        transaction = self._ledger.transaction(block.raw or b"")
        return {
            "hash": _hex(block.tx_hash or b""),
            "blockHash": _hex(block.hash),
            "blockNumber": hex(block.number),
            "transactionIndex": "0x0",
            "from": _hex(block.sender or b""),
            "to": None if block.target is None else _hex(block.target),
            "nonce": hex(transaction.nonce),
            "gas": hex(transaction.gas),
            "gasPrice": hex(transaction.max_fee_per_gas),
            "value": hex(transaction.value),
            "input": _hex(bytes(transaction.data)),
            "type": hex(getattr(transaction, "type_id", 0) or 0),
            "chainId": hex(self._ledger.chain_id),
            "v": hex(transaction.y_parity),
            "r": hex(transaction.r),
            "s": hex(transaction.s),
        }

    def _receipt(self, params: Sequence[Any]) -> dict[str, Any] | None:
        block = self._ledger.block_of(_param(params, 0, _hash))
        if block is None:
            return None
        logs = [self._log(log, block) for log in self._ledger.logs(block.number, block.number, MAX_LOGS)]
        receipt = {
            "transactionHash": _hex(block.tx_hash or b""),
            "transactionIndex": "0x0",
            "blockHash": _hex(block.hash),
            "blockNumber": hex(block.number),
            "from": _hex(block.sender or b""),
            "to": None if block.target is None else _hex(block.target),
            "contractAddress": None if block.created is None else _hex(block.created),
            "gasUsed": hex(block.gas_used),
            "cumulativeGasUsed": hex(block.gas_used),
            "effectiveGasPrice": "0x0",
            "status": "0x1" if block.success else "0x0",
            "logs": logs,
            "logsBloom": _NO_BLOOM,
            "type": "0x2",
        }
        return receipt if block.success else receipt | {"revertReason": _hex(block.output)}

    def _log(self, log: Log, block: Block) -> dict[str, Any]:
        return {
            "address": _hex(log.address),
            "topics": [_hex(topic) for topic in log.topics],
            "data": _hex(log.data),
            "blockNumber": hex(log.block),
            "blockHash": _hex(block.hash),
            "transactionHash": _hex(block.tx_hash or b""),
            "transactionIndex": "0x0",
            "logIndex": hex(log.position),
            "removed": False,
        }

    def _logs(self, params: Sequence[Any]) -> list[dict[str, Any]]:
        wanted = _param(params, 0, _object)
        if "blockHash" in wanted:
            block = self._ledger.block_by_hash(_hash(wanted["blockHash"]))
            if block is None:
                raise RpcError(REFUSED, "unknown block")
            first = last = block.number
        else:
            first = self._numbered(wanted.get("fromBlock") or "latest")
            last = min(self._numbered(wanted.get("toBlock") or "latest"), self._ledger.head.number)
        addresses = _choices(wanted.get("address"), _address)
        topics = wanted.get("topics") or []
        if not isinstance(topics, list) or len(topics) > 4:
            raise RpcError(INVALID_PARAMS, "topics is a list of at most four")
        places = [_choices(topic, _hash) for topic in topics]
        found = self._ledger.logs(first, last, MAX_LOGS + 1) if first <= last else []
        if len(found) > MAX_LOGS:
            raise RpcError(TOO_MANY, f"more than {MAX_LOGS} logs: ask for fewer blocks")
        out, block = [], None
        for log in found:
            if addresses is not None and log.address not in addresses:
                continue
            if not _fits(log.topics, places):
                continue
            if block is None or block.number != log.block:
                block = self._ledger.block(log.block)
            assert block is not None
            out.append(self._log(log, block))
        return out


def _choices(value: Any, read: Callable[[Any], bytes]) -> frozenset[bytes] | None:
    """One value or any of several; None where all will do."""
    if value is None:
        return None
    if isinstance(value, list):
        return frozenset(read(member) for member in value)
    return frozenset((read(value),))


def _fits(topics: Sequence[bytes], places: Sequence[frozenset[bytes] | None]) -> bool:
    if len(places) > len(topics):
        return False
    return all(place is None or topic in place for topic, place in zip(topics, places, strict=False))


def _error(ident: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": ident, "error": error.as_json()}


def _dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

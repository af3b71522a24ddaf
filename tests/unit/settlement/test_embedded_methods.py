"""JSON-RPC of the embedded chain: what libraries expect, and an answer to everything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from p2pfd.core.boundedjson import MAX_DEPTH, loads
from p2pfd.core.claims import Deposit
from p2pfd.core.ids import Amount
from p2pfd.settlement import contracts
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.embedded import methods as module
from p2pfd.settlement.embedded.methods import MAX_BATCH, Methods
from tests.contracts.chain import BOSS, CHAIN_ID, Contracts, key

KEYS = [key(1), key(2)]


@pytest.fixture(scope="module")
def chain() -> Contracts:
    chain = Contracts(dict.fromkeys(KEYS, 1_000))
    for each in KEYS:
        chain.carry_out(each, Deposit(Amount(10)))
    chain.carry_out(KEYS[0], Deposit(Amount(0)))
    return chain


@pytest.fixture(scope="module")
def methods(chain: Contracts) -> Methods:
    return Methods(chain.ledger)


def ask(methods: Methods, method: str, *params: object) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = json.loads(methods.answer(json.dumps(request).encode()))
    assert answer["jsonrpc"] == "2.0"
    assert answer["id"] == 1
    return answer


class InProcess(JSONBaseProvider):
    """web3 talking to the methods themselves."""

    def __init__(self, methods: Methods) -> None:
        super().__init__()
        self._methods = methods

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        answer: RPCResponse = json.loads(self._methods.answer(self.encode_rpc_request(method, params)))
        return answer


def test_web3_reads_everything(chain: Contracts, methods: Methods) -> None:
    web3 = Web3(InProcess(methods))
    head = web3.eth.get_block("latest", full_transactions=True)
    assert head["number"] == web3.eth.block_number == chain.ledger.head.number
    assert head["parentHash"] == web3.eth.get_block(head["number"] - 1)["hash"]
    assert web3.eth.get_block(head["hash"])["number"] == head["number"]
    assert web3.eth.get_block("earliest")["number"] == 0
    assert web3.eth.chain_id == CHAIN_ID
    transaction = head["transactions"][0]
    assert isinstance(transaction, dict) or hasattr(transaction, "keys")
    found = web3.eth.get_transaction(transaction["hash"])  # type: ignore[index]
    assert found["from"].lower() == KEYS[0].account
    receipt = web3.eth.get_transaction_receipt(found["hash"])
    assert (receipt["status"], receipt["gasUsed"]) == (0, chain.ledger.head.gas_used)
    assert web3.eth.get_transaction_count(Web3.to_checksum_address(KEYS[0].account)) == 3
    assert web3.eth.get_balance(Web3.to_checksum_address(KEYS[0].account)) == 0
    assert len(web3.eth.get_code(Web3.to_checksum_address(chain.market))) > 10_000
    token = web3.eth.contract(Web3.to_checksum_address(chain.token), abi=list(artifact("Token").abi))
    assert token.functions.balanceOf(Web3.to_checksum_address(chain.market)).call() == 20
    assert token.functions.symbol().call() == "PFD"
    sent = token.events.Transfer().get_logs(from_block=0)
    assert [event["args"]["value"] for event in sent][-2:] == [10, 10]


def test_web3_sends_and_estimates(methods: Methods) -> None:
    chain = Contracts({KEYS[0]: 1_000})
    web3 = Web3(InProcess(Methods(chain.ledger)))
    token = web3.eth.contract(Web3.to_checksum_address(chain.token), abi=list(artifact("Token").abi))
    to = Web3.to_checksum_address(KEYS[1].account)
    sender = web3.eth.account.from_key(KEYS[0].private)
    call = token.functions.transfer(to, 5)
    nonce = web3.eth.get_transaction_count(sender.address)
    built = call.build_transaction({"from": sender.address, "nonce": nonce})
    raw = sender.sign_transaction(built).raw_transaction
    receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(raw))
    assert receipt["status"] == 1
    assert receipt["gasUsed"] <= built["gas"] < 2 * receipt["gasUsed"]
    assert chain.wallet(KEYS[1].account) == 5


def test_a_refused_call_says_why(chain: Contracts, methods: Methods) -> None:
    call = {"to": chain.market, "data": "0x" + contracts.call_of(Deposit(Amount(0))).hex()}
    error = ask(methods, "eth_call", call, "latest")["error"]
    assert error["code"] == 3
    assert "staking: nothing to deposit" in error["message"]
    assert ask(methods, "eth_estimateGas", call)["error"] == error
    receipt = ask(methods, "eth_getTransactionReceipt", "0x" + (chain.ledger.head.tx_hash or b"").hex())["result"]
    assert bytes.fromhex(receipt["revertReason"][2:]).endswith(b"staking: nothing to deposit".ljust(32, b"\0"))


def test_logs_are_found_by_place_address_and_topic(chain: Contracts, methods: Methods) -> None:
    deposited = next(topic for topic, event in contracts.market().events.items() if event.name == "Deposited")
    owner = "0x" + bytes.fromhex(KEYS[1].account[2:]).rjust(32, b"\0").hex()
    topic = "0x" + deposited.hex()

    def found(**wanted: object) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = ask(methods, "eth_getLogs", wanted)["result"]
        return result

    everywhere = found(fromBlock="earliest")
    assert [int(log["blockNumber"], 16) for log in everywhere] == sorted(
        int(log["blockNumber"], 16) for log in everywhere
    )
    assert len(found(fromBlock="0x0", address=chain.market)) == 2
    assert len(found(fromBlock="0x0", address=[chain.market, chain.token], topics=[[topic]])) == 2
    (mine,) = found(fromBlock="0x0", topics=[topic, owner])
    assert found(blockHash=mine["blockHash"], topics=[None, owner], address=chain.market) == [mine]
    assert found(fromBlock=mine["blockNumber"], toBlock=mine["blockNumber"], address=chain.market) == [mine]
    assert found(fromBlock="0x5", toBlock="0x4") == []
    assert found(fromBlock="0xffffff") == []
    assert found(fromBlock="0x0", topics=[topic, owner, owner]) == []
    assert ask(methods, "eth_getLogs", {"blockHash": "0x" + "11" * 32})["error"]["message"] == "unknown block"


def test_too_many_logs_are_refused(monkeypatch: pytest.MonkeyPatch, methods: Methods) -> None:
    monkeypatch.setattr(module, "MAX_LOGS", 3)
    assert ask(methods, "eth_getLogs", {"fromBlock": "0x0"})["error"]["code"] == -32005


def test_only_the_newest_state_is_kept(methods: Methods) -> None:
    assert "only the newest" in ask(methods, "eth_getBalance", BOSS.account, "0x1")["error"]["message"]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("eth_nothing", [], -32601),
        ("eth_getBalance", [], -32602),
        ("eth_getBalance", ["0x12"], -32602),
        ("eth_getBalance", [7], -32602),
        ("eth_getBlockByNumber", ["0xzz"], -32602),
        ("eth_getBlockByHash", ["0x12"], -32602),
        ("eth_call", ["x"], -32602),
        ("eth_call", [{"to": "0x1"}], -32602),
        ("eth_getLogs", [{"topics": "x"}], -32602),
        ("eth_getLogs", [{"topics": [["0x1"]]}], -32602),
        ("eth_sendRawTransaction", ["0x"], -32000),
        ("eth_sendRawTransaction", ["0x0"], -32602),
        ("evm_increaseTime", [-1], -32602),
    ],
)
def test_wrong_parameters_are_named(methods: Methods, method: str, params: list[object], code: int) -> None:
    error = ask(methods, method, *params)["error"]
    assert error["code"] == code
    assert error["message"]


def test_what_is_not_there_is_null(methods: Methods) -> None:
    nothing = "0x" + "11" * 32
    for method in ("eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_getBlockByHash"):
        assert ask(methods, method, nothing)["result"] is None
    assert ask(methods, "eth_getBlockByNumber", "0xfffff")["result"] is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[" * (MAX_DEPTH + 1), -32700),
        (b"{" * 5_000, -32700),
        (b"[]", -32600),
        (b"7", -32600),
        (b'{"method": 7}', -32600),
        (b'{"method": "eth_chainId", "params": {}}', -32600),
    ],
)
def test_bodies_that_are_no_request(methods: Methods, body: bytes, code: int) -> None:
    assert json.loads(methods.answer(body))["error"]["code"] == code


def test_a_batch_is_answered_in_order_up_to_its_limit(methods: Methods) -> None:
    one = {"id": 5, "method": "eth_chainId"}
    out = json.loads(methods.answer(json.dumps([one, 3, {"id": "x", "method": "nothing"}]).encode()))
    assert [entry["id"] for entry in out] == [5, None, "x"]
    assert (out[0]["result"], out[1]["error"]["code"], out[2]["error"]["code"]) == (hex(CHAIN_ID), -32600, -32601)
    too_many = json.loads(methods.answer(json.dumps([one] * (MAX_BATCH + 1)).encode()))
    assert too_many["error"]["code"] == -32600


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0x", "0x1", "latest"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "web3_clientVersion",
        "eth_chainId",
        "eth_call",
        "eth_getLogs",
        "eth_getBalance",
        "eth_feeHistory",
        "eth_getStorageAt",
        "eth_getCode",
        "eth_getBlockByNumber",
        "eth_getBlockByHash",
        "eth_estimateGas",
        "eth_sendRawTransaction",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_getTransactionByHash",
    ]
)
FIELDS = ("from", "to", "data", "input", "value", "gas", "fromBlock", "toBlock", "topics", "address")
CALLS = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON))


@given(name=NAMES, params=JSON | st.lists(JSON | CALLS, max_size=3), ident=JSON)
def test_any_request_gets_a_proper_answer(methods: Methods, name: str, params: object, ident: object) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": ident, "method": name, "params": params}).encode()
    answer = json.loads(methods.answer(body))
    assert ("result" in answer) != ("error" in answer)
    if "error" in answer:
        assert answer["error"]["code"] != -32603, f"{name} {params} was not foreseen"


@given(st.lists(JSON, max_size=40))
def test_bounded_reading_reads_what_is_not_deep(values: list[object]) -> None:
    raw = json.dumps([*values, '["\\"[[{', [[]] * 100]).encode()
    assert json.dumps(loads(raw)) == json.dumps(json.loads(raw))


@given(st.text(max_size=5), st.integers(1, 3), st.integers(0, 300))
def test_depth_is_what_counts(text: str, width: int, depth: int) -> None:
    deep = b"[" * depth + json.dumps([text, "[" * 99] * width).encode() + b"]" * depth
    if depth + 1 <= MAX_DEPTH:
        assert loads(deep) == json.loads(deep)
    else:
        with pytest.raises(ValueError, match="nested deeper"):
            loads(deep)

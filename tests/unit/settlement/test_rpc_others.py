"""Endpoints that ask for less; and where one of several is away, the others are used, if they are of the same chain."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from p2pfd.settlement.api import ChainAwayError
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from tests.unit.cli.lying import Refused, lying

pytestmark = pytest.mark.network


@pytest.fixture
def three():
    with ExitStack() as stack:
        yield [stack.enter_context(lying()) for _ in range(3)]


def after(times, error):
    """Refuses so often, and answers then."""
    left = [times]

    def lie(method, params, truth):
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return "0x7"

    return lie


@pytest.mark.parametrize(
    "error",
    [
        Refused("Too Many Requests", code=429),
        Refused("limit exceeded", code=-32005),
        Refused("daily request count exceeded", code=-32005, data={"rate": {"backoff_seconds": 0.01}}),
        Refused("project ID request rate exceeded", code=-32005, data={"rate": {"backoff_seconds": "soon"}}),
    ],
    ids=["429", "-32005", "with a wish", "with a strange wish"],
)
async def test_who_asks_too_often_is_patient(three, error):
    rpc = Rpc(three[0].begin(after(2, error)), patience=10)
    assert await rpc.call("eth_blockNumber") == "0x7"
    assert three[0].asked == ["eth_blockNumber"] * 3
    await rpc.aclose()


async def test_an_answer_that_would_be_too_long_is_no_limit(three):
    rpc = Rpc(three[0].begin(after(9, Refused("query returned more than 10000 results", code=-32005))), patience=10)
    with pytest.raises(RpcRefusal, match="10000 results"):
        await rpc.call("eth_getLogs", {})
    assert len(three[0].asked) == 1
    await rpc.aclose()


async def is_it(rpc):
    return await rpc.call("eth_chainId") == "0x1"


async def test_another_endpoint_of_the_same_chain_is_used_and_one_of_another_chain_is_not(three):
    one, other_chain, two = three
    one.begin(lambda method, params, truth: "0x1" if method == "eth_chainId" else "0xa")
    other_chain.begin(lambda method, params, truth: "0x2")
    two.begin(lambda method, params, truth: "0x1" if method == "eth_chainId" else "0xb")
    rpc = Rpc(one.url, patience=0.2)
    rpc.fall_back_on(["http://127.0.0.1:9", other_chain.url, two.url], is_it)
    assert await rpc.call("eth_blockNumber") == "0xa"
    one.lie = after(1000, Refused("slow down", code=429))
    assert await rpc.call("eth_blockNumber") == "0xb"
    assert rpc.url == two.url
    assert other_chain.asked == ["eth_chainId"]
    two.lie = after(1000, Refused("slow down", code=429))
    one.begin(lambda method, params, truth: "0x1" if method == "eth_chainId" else "0xc")
    assert await rpc.call("eth_blockNumber") == "0xc"
    assert other_chain.asked == ["eth_chainId"]
    await rpc.aclose()


async def test_when_none_of_them_answers_that_is_said(three):
    rpc = Rpc(three[0].begin(after(1000, Refused("slow down", code=429))), patience=0.1)
    rpc.fall_back_on(["http://127.0.0.1:9"], is_it)
    with pytest.raises(ChainAwayError, match="status 429"):
        await rpc.call("eth_blockNumber")
    await rpc.aclose()


async def test_who_named_one_endpoint_is_asked_nowhere_else(three):
    rpc = Rpc(three[0].begin(after(1000, Refused("slow down", code=429))), patience=0.1)
    with pytest.raises(ChainAwayError):
        await rpc.call("eth_blockNumber")
    assert three[1].asked == []
    await rpc.aclose()

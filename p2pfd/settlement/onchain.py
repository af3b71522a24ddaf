"""Is what stands at an address the contract that this release was built with, and to what was it set up?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from p2pfd.core.ids import Account, account
from p2pfd.core.spec import ChainSpec
from p2pfd.settlement import answers, contracts
from p2pfd.settlement.abi import Function
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.rpc import Rpc


@dataclass(frozen=True, slots=True)
class Standing:
    """What was found at a contract's address; `problem` is empty where all is as it should be."""

    contract: str
    address: Account
    code_bytes: int
    problem: str
    settings: dict[str, object]


async def inspect(rpc: Rpc, chain: ChainSpec) -> tuple[Standing, ...]:
    """The chain's token and market. Code is compared byte by byte, the constants that a deployment sets left out."""
    token = await _stands(rpc, "Token", chain.token)
    market = await _stands(rpc, "LabelMarket", chain.market)
    if not token.problem:
        of = contracts.token()
        supply, decimals = await _ask(rpc, chain.token, (of["totalSupply"], of["decimals"]))
        token.settings.update(supply=supply, decimals=decimals)
    if market.problem:
        return token, market
    of = contracts.market()
    other, delay, held = await _ask(rpc, chain.market, (of["token"], of["unbond_seconds"], of["held"]))
    market.settings.update(token=account(other), unbond_seconds=delay, held=held)
    if account(other) != chain.token:
        problem = f"its money is the token {other}, not {chain.token}"
        market = Standing(market.contract, market.address, market.code_bytes, problem, market.settings)
    return token, market


async def _stands(rpc: Rpc, name: str, address: Account) -> Standing:
    code = answers.octets(await rpc.call("eth_getCode", address, "latest"), "a contract's code")
    built = artifact(name)
    if not code:
        problem = "there is no contract"
    elif len(code) < built.runtime_bytes or code[: built.runtime_bytes] not in built.bytecode:
        problem = f"another contract, or one of another release: not the {name} of this one"
    else:
        problem = ""
    return Standing(name, address, len(code), problem, {})


async def _ask(rpc: Rpc, to: Account, functions: Sequence[Function]) -> list[Any]:
    calls = [("eth_call", [{"to": to, "data": "0x" + function.call().hex()}, "latest"]) for function in functions]
    told = [answers.octets(raw, "the answer of a call") for raw in await rpc.batch(calls)]
    return [function.answer(raw)[0] for function, raw in zip(functions, told, strict=True)]

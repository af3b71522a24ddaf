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
from p2pfd.settlement.kinds import ONCHAIN, kind_of
from p2pfd.settlement.rpc import Rpc

_SETTINGS = ("token", "unbond_seconds", "longest", "bond", "threshold", "court", "held")
_PLACES = ("token", "court")


@dataclass(frozen=True, slots=True)
class Standing:
    """What was found at a contract's address; `problem` is empty where all is as it should be."""

    contract: str
    address: Account
    code_bytes: int
    problem: str
    settings: dict[str, object]


async def inspect(rpc: Rpc, chain: ChainSpec) -> tuple[Standing, ...]:
    """The chain's token and market. Code is compared byte by byte, the constants that a deployment sets left out.

    The market may be of any mode, or a contract of encounters: its code says which.
    """
    codes = [
        answers.octets(code, "a contract's code")
        for code in await rpc.batch([("eth_getCode", [address, "latest"]) for address in (chain.token, chain.market)])
    ]
    kind = kind_of(codes[1]) or ONCHAIN
    token = _stands("Token", chain.token, codes[0])
    market = _stands(kind.artifact, chain.market, codes[1])
    if not token.problem:
        of = contracts.token()
        supply, decimals = await _ask(rpc, chain.token, (of["totalSupply"], of["decimals"]))
        token.settings.update(supply=supply, decimals=decimals)
    if market.problem:
        return token, market
    told = [name for name in _SETTINGS if name in kind.interface().functions]
    values = await _ask(rpc, chain.market, [kind.interface()[name] for name in told])
    market.settings.update(
        (name, account(value) if name in _PLACES else value) for name, value in zip(told, values, strict=True)
    )
    other = market.settings["token"]
    if other != chain.token:
        problem = f"its money is the token {other}, not {chain.token}"
        market = Standing(market.contract, market.address, market.code_bytes, problem, market.settings)
    return token, market


def _stands(name: str, address: Account, code: bytes) -> Standing:
    if not code:
        problem = "there is no contract"
    elif not artifact(name).made(code):
        problem = f"another contract, or one of another release: not the {name} of this one"
    else:
        problem = ""
    return Standing(name, address, len(code), problem, {})


async def _ask(rpc: Rpc, to: Account, functions: Sequence[Function]) -> list[Any]:
    calls = [("eth_call", [{"to": to, "data": "0x" + function.call().hex()}, "latest"]) for function in functions]
    told = [answers.octets(raw, "the answer of a call") for raw in await rpc.batch(calls)]
    return [function.answer(raw)[0] for function, raw in zip(functions, told, strict=True)]

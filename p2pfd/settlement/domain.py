"""Under which domain a token's permits are signed: worked out here, so that no endpoint can have another one signed.

A domain says which token on which chain a signature is for. An endpoint that could choose it would get a permit for
any token of the account, on any chain. So its word is only asked for the token's name and version, and those are put
together with the task's own chain and token; what comes out must be what the token says of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi import encode

from p2pfd.core.ids import Account
from p2pfd.errors import ChainError, DecodeError
from p2pfd.settlement import answers, contracts
from p2pfd.settlement.abi import Function
from p2pfd.settlement.keccak import keccak
from p2pfd.settlement.rpc import Rpc, RpcRefusal

_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_VERSIONS = ("1", "2")
"""What tokens call themselves that do not tell their version."""
_MOST = 4096


async def separator(rpc: Rpc, token: Account, chain_id: int) -> bytes | None:
    """The domain of this token on this chain; None where the endpoint does not show the token (it may be behind).

    ChainError where the token signs under another one.
    """
    of = contracts.token()
    asked = [of["DOMAIN_SEPARATOR"], of["name"], of["eip712Domain"]]
    calls: list[tuple[str, Sequence[object]]] = [
        ("eth_call", [{"to": token, "data": "0x" + each.call().hex()}, "latest"]) for each in asked
    ]
    told = [_told(each, raw) for each, raw in zip(asked, await rpc.several(calls), strict=True)]
    if told[0] is None:
        return None
    shown: bytes = told[0][0]
    names = [(told[1][0], version) for version in _VERSIONS] if told[1] is not None else []
    if told[2] is not None:
        names.insert(0, (told[2][1], told[2][2]))
    for name, version in names:
        worked_out = domain(name, version, chain_id, token)
        if worked_out == shown:
            return worked_out
    raise ChainError(
        f"{rpc.url} shows a permit of {token} that is not of this token on chain {chain_id}",
        "the endpoint lies, or the token is one that p2pfd cannot use: name another endpoint, --chain-url URL",
    )


def domain(name: str, version: str, chain_id: int, token: Account) -> bytes:
    """The separator of EIP-712."""
    parts = [_TYPE, keccak(name.encode()), keccak(version.encode()), chain_id, token]
    return keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], parts))


def _told(function: Function, answer: object) -> tuple[Any, ...] | None:
    if isinstance(answer, RpcRefusal):
        return None
    raw = answers.octets(answer, f"the answer of {function.name}")
    try:
        return function.answer(raw) if 0 < len(raw) <= _MOST else None
    except (ChainError, DecodeError):
        return None  # a token that has no such function, and one that takes whatever it is called

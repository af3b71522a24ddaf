"""Put our contracts on a chain, and hand out test tokens: what a local mesh does before its nodes start."""

from __future__ import annotations

from collections.abc import Mapping

from eth_abi import encode

from p2pfd.core.ids import Account, account
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError
from p2pfd.settlement import contracts
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import TxRef
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.sender import Sender

DEPLOY_GAS = 8_000_000
TRANSFER_GAS = 100_000


async def deploy(
    rpc: Rpc, key: AccountKey, supply: int, unbond_seconds: int, *, profile: str = "embedded"
) -> ChainSpec:
    """A new token, whose whole supply is the key's, and a new market for it."""
    chain_id = int(await rpc.call("eth_chainId"), 16)
    sender = Sender(rpc, key, chain_id)
    token = await _created(rpc, sender, artifact("Token").bytecode + encode(["uint256"], [supply]))
    arguments = encode(["address", "uint256"], [token, unbond_seconds])
    market = await _created(rpc, sender, artifact("LabelMarket").bytecode + arguments)
    return ChainSpec(profile=profile, chain_id=chain_id, token=token, market=market)


async def transfer(rpc: Rpc, key: AccountKey, chain: ChainSpec, amounts: Mapping[Account, int]) -> None:
    """Send tokens from the key's wallet to these accounts."""
    sender = Sender(rpc, key, chain.chain_id)
    move = contracts.token()["transfer"]
    sent = [await sender.send(chain.token, move.call(who, amount), TRANSFER_GAS) for who, amount in amounts.items()]
    for ref in sent:
        await _receipt(rpc, ref)


async def _created(rpc: Rpc, sender: Sender, code: bytes) -> Account:
    receipt = await _receipt(rpc, await sender.send(None, code, DEPLOY_GAS))
    return account(receipt["contractAddress"])


async def _receipt(rpc: Rpc, ref: TxRef) -> dict[str, str]:
    receipt: dict[str, str] | None = await rpc.call("eth_getTransactionReceipt", ref)
    if receipt is None:
        raise ChainError(f"the chain lost the transaction {ref}", "is something else writing to it?")
    if int(receipt["status"], 16) != 1:
        raise ChainError(f"the chain refused it: {reason(bytes.fromhex(receipt.get('revertReason', '0x')[2:]))}")
    return receipt

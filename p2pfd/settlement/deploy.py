"""Put our contracts on a chain, and hand out test tokens: what a local mesh does before its nodes start."""

from __future__ import annotations

from collections.abc import Mapping

from eth_abi import encode

from p2pfd.core.ids import Account
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError
from p2pfd.settlement import answers, contracts
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import TxRef
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.deployments import RECIPES, Setting
from p2pfd.settlement.habits import INSTANT, Habits
from p2pfd.settlement.kinds import Contract, Kind
from p2pfd.settlement.outbox import Fate
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.sender import Sender

DEPLOY_GAS = 8_000_000
TRANSFER_GAS = 100_000


async def deploy(
    rpc: Rpc, key: AccountKey, supply: int, unbond_seconds: int, *, profile: str = "embedded", habits: Habits = INSTANT
) -> ChainSpec:
    """A new token, whose whole supply is the key's, and a new market for it."""
    chain_id = answers.height(await rpc.call("eth_chainId"), "a chain's id")
    sender = Sender(rpc, key, chain_id, habits=habits)
    token = await _created(sender, artifact("Token").bytecode + encode(["uint256"], [supply]))
    arguments = encode(["address", "uint256"], [token, unbond_seconds])
    market = await _created(sender, artifact("LabelMarket").bytecode + arguments)
    return ChainSpec(profile=profile, chain_id=chain_id, token=token, market=market)


async def deploy_also(
    rpc: Rpc, key: AccountKey, chain: ChainSpec, kind: Kind, settings: Mapping[str, int], *, habits: Habits = INSTANT
) -> Contract:
    """One more of our contracts for the chain's token, after all that it needs beside that."""
    sender = Sender(rpc, key, chain.chain_id, habits=habits)

    async def stands(name: str) -> Account:
        recipe = next(recipe for recipe in RECIPES if recipe.contract == name)
        kinds, values = list[str](), list[object]()
        for argument in recipe.arguments:
            if isinstance(argument, Setting):
                kinds.append("uint256")
                values.append(settings[argument.name])
            else:
                kinds.append("address")
                values.append(chain.token if argument == "Token" else await stands(argument))
        return await _created(sender, artifact(name).bytecode + encode(kinds, values))

    return Contract(await stands(kind.artifact), kind)


async def transfer(
    rpc: Rpc, key: AccountKey, chain: ChainSpec, amounts: Mapping[Account, int], *, habits: Habits = INSTANT
) -> None:
    """Send tokens from the key's wallet to these accounts."""
    sender = Sender(rpc, key, chain.chain_id, habits=habits)
    move = contracts.token()["transfer"]
    sent = [await sender.send(chain.token, move.call(who, amount), TRANSFER_GAS) for who, amount in amounts.items()]
    for ref in sent:
        await _done(sender, ref)


async def _created(sender: Sender, code: bytes) -> Account:
    fate = await _done(sender, await sender.send(None, code, DEPLOY_GAS))
    assert fate.created is not None, "a deployment creates"
    return fate.created


async def _done(sender: Sender, ref: TxRef) -> Fate:
    fate = await sender.final(ref)
    if fate is None:
        raise ChainError(f"the chain lost the transaction {ref}", "is something else writing to it?")
    if not fate.success:
        raise ChainError(f"the chain refused it: {fate.reason}", "does the account have what the call needs?")
    return fate

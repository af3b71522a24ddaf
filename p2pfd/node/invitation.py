"""What an invitation comes to, found out before anything is signed: is the chain the one, is the task there, whose is
it, what does it take, and does the account have that."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from p2pfd.core.claims import Balances
from p2pfd.core.ids import Account
from p2pfd.core.manifest import Manifest
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError, PlanError
from p2pfd.node import keys
from p2pfd.node.terms import check_rules, check_terms
from p2pfd.settlement.api import Capabilities, TaskState
from p2pfd.settlement.onchain import inspect
from p2pfd.settlement.outlay import Outlay, outlay_of
from p2pfd.settlement.profiles import Chain, open_chain, profile_of

PATIENCE = 5.0
"""How long one of several endpoints may fail to answer, in seconds."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """An invitation, looked at by one account."""

    url: str
    caps: Capabilities
    account: Account
    outlay: Outlay
    held: Balances
    coins: int
    """What the account has for gas, in the coin's smallest unit."""
    price: int
    """The most that would be offered for a unit of gas."""
    state: TaskState | None
    """How far the task is; None where nodes meet, and nobody opens anything."""
    now: int

    @property
    def missing_tokens(self) -> int:
        """What the wallet lacks to begin."""
        return max(0, self.outlay.tokens - self.held.wallet)

    @property
    def missing_coins(self) -> int:
        """What it lacks for gas."""
        return max(0, self.outlay.reserve * self.price - self.coins)


async def find_chain(spec: ChainSpec, urls: Sequence[str]) -> str:
    """The first of these addresses at which this very chain answers; ChainError says what each of them did instead."""
    if not urls:
        raise PlanError(f"the task settles on chain {spec.chain_id}", "say where that answers: --chain-url URL")
    refused = []
    known = profile_of(spec)
    hasty = dataclasses.replace(known, patience=min(known.patience, PATIENCE)) if len(urls) > 1 else known
    for url in urls:
        try:
            async with open_chain(spec, url, profile=hasty):
                return url
        except ChainError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    raise ChainError(
        f"chain {spec.chain_id} answers at none of {len(urls)} addresses: " + "; ".join(each.what for each in refused),
        "name one that does: --chain-url URL",
    )


async def recognise(chain: Chain, manifest: Manifest) -> None:
    """ChainError where this is another chain with the same id, or other contracts stand there than ours."""
    task, url = manifest.task, chain.rpc.url
    if manifest.genesis and chain.genesis != manifest.genesis:
        raise ChainError(
            f"{url} is another chain {task.chain.chain_id} than the task's: its first block is "
            f"{chain.genesis.hex()[:16]}…, not {manifest.genesis.hex()[:16]}…",
            "name an endpoint of the task's chain: --chain-url URL",
        )
    token, market = await inspect(chain.rpc, task.chain)
    if market.problem:
        raise ChainError(
            f"{market.address} on {url}: {market.problem}", "do not take part: what it does with tokens, nobody knows"
        )
    if not token.code_bytes:
        raise ChainError(f"there is no token at {token.address} on {url}", "do not take part")


async def look(manifest: Manifest, url: str, who: Account) -> Outlook:
    """What the chain says of the task and of the account; ChainError where it is not what the manifest says."""
    task = manifest.task
    async with open_chain(task.chain, url) as chain:
        await recognise(chain, manifest)
        reader = keys.fresh().account  # looking takes nobody's key
        desk = chain.desk(reader, chain.market)
        state = None
        if task.encounters.own:
            await check_rules(chain.encounters(reader), task)
        else:
            state = await _opened(chain, manifest)
        offer, coins = await chain.gas_funds(who)
        now = (await desk.now()).seconds
        held = await desk.account(who)
        return Outlook(url, chain.caps, who, outlay_of(task), held, coins, offer.fee, state, now)


async def _opened(chain: Chain, manifest: Manifest) -> TaskState:
    task, desk = manifest.task, chain.settlement(keys.fresh().account)
    await check_terms(desk, task)
    state = await desk.task_state(task.id)
    if state is None:
        raise ChainError(f"the chain knows no task {task.id.hex()[:16]}…", "ask whoever gave you the task to open it")
    if state.requester != manifest.requester:
        raise ChainError(
            f"{state.requester} opened this task, and {manifest.requester} signed the manifest",
            "somebody passes off another one's task: do not take part",
        )
    return state

"""Where a task settles: what kinds of chains there are, and how to reach one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from p2pfd.core.ids import Account
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError
from p2pfd.settlement import answers
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import Capabilities
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.evm_encounters import EvmEncounters
from p2pfd.settlement.fees import Offer
from p2pfd.settlement.follow import Follower
from p2pfd.settlement.kinds import ENCOUNTERS, ONCHAIN, Contract, kind_of
from p2pfd.settlement.local import LocalChain as LocalChain
from p2pfd.settlement.local import embedded_chain as embedded_chain
from p2pfd.settlement.local import local_chain as local_chain
from p2pfd.settlement.outbox import Outbox
from p2pfd.settlement.profile import AMOY as AMOY
from p2pfd.settlement.profile import AMOY_LIKE as AMOY_LIKE
from p2pfd.settlement.profile import LOCAL_IDS as LOCAL_IDS
from p2pfd.settlement.profile import PROFILES as PROFILES
from p2pfd.settlement.profile import Profile as Profile
from p2pfd.settlement.profile import capped as capped
from p2pfd.settlement.profile import check_id as check_id
from p2pfd.settlement.profile_files import profile_of as profile_of
from p2pfd.settlement.recall import Recall
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.sender import Sender
from p2pfd.settlement.watch import Watcher


class Chain:
    """A chain as one process sees it: one connection and one watcher, for any number of accounts."""

    def __init__(
        self,
        rpc: Rpc,
        watcher: Watcher,
        spec: ChainSpec,
        profile: Profile,
        outbox: Outbox,
        genesis: bytes,
        market: Contract,
    ) -> None:
        self.rpc = rpc
        self.market = market
        """The contract that the task names."""
        self._watcher = watcher
        self._spec = spec
        self.profile = profile
        self._outbox = outbox
        self.genesis = genesis
        """The hash of the first block, by which two chains with one id differ."""
        self._senders: dict[Account, Sender] = {}
        self._recalls: dict[Account, Recall] = {}
        self._nursery: trio.Nursery | None = None
        self.caps = Capabilities(
            profile.name, spec.chain_id, profile.habits.finality, live=profile.live, block_seconds=profile.block_seconds
        )

    async def known(self, address: Account) -> Contract | None:
        """Which of our contracts stands at an address; None where none does."""
        if address == self.market.address:
            return self.market
        kind = kind_of(answers.octets(await self.rpc.call("eth_getCode", address, "latest"), "a contract's code"))
        return None if kind is None else Contract(address, kind)

    async def find(self, address: Account) -> Contract:
        """The same; ChainError where none does."""
        found = await self.known(address)
        if found is None:
            raise ChainError(
                f"{address} is none of this release's contracts",
                "p2pfd contracts show --deployments FILE lists those of a chain",
            )
        return found

    def settlement(self, key: AccountKey, market: Contract | None = None) -> EvmSettlement:
        """A label market as this account uses it: the task's, unless another is given.

        What an earlier process left unfinished is gone on with from here on.
        """
        of = self.market if market is None else market
        if not of.kind.tasks:
            raise ChainError(f"{of.address} is no label market", "it holds encounters")
        rest = (self.rpc, self._watcher, self._spec, self.caps, key, self.sender(key), of, self._recall(of))
        return EvmSettlement(*rest)

    def encounters(self, key: AccountKey, contract: Contract | None = None) -> EvmEncounters:
        """A contract of encounters as this account uses it: what the task names as its market, unless one is given."""
        of = self.market if contract is None else contract
        if of.kind is not ENCOUNTERS:
            raise ChainError(f"{of.address} holds no encounters", f"it is this chain's {of.kind.artifact}")
        return EvmEncounters(self.rpc, self._watcher, self._spec, self.caps, key, self.sender(key), of)

    def desk(self, key: AccountKey, contract: Contract) -> EvmSettlement | EvmEncounters:
        """Any of our contracts as this account uses it."""
        return self.settlement(key, contract) if contract.kind.tasks else self.encounters(key, contract)

    def _recall(self, contract: Contract) -> Recall:
        return self._recalls.setdefault(contract.address, Recall(self._watcher, contract))

    async def gas_funds(self, who: Account) -> tuple[Offer, int]:
        """What a transaction would offer for its gas now, and what an account has for gas, in the smallest unit."""
        offer = await self.profile.habits.fees.quote(self.rpc)
        return offer, answers.number(await self.rpc.call("eth_getBalance", who, "latest"), "a balance")

    def sender(self, key: AccountKey) -> Sender:
        """The account's transactions."""
        if key.account not in self._senders:
            habits, spec = self.profile.habits, self._spec
            sender = Sender(self.rpc, key, spec.chain_id, outbox=self._outbox, habits=habits, genesis=self.genesis)
            self._senders[key.account] = sender
            if self._nursery is not None:
                self._nursery.start_soon(sender.run)
        return self._senders[key.account]

    def follow(self, since: int = 1, contract: Contract | None = None) -> Follower:
        """A contract's events as they happen, and as they are undone; `EvmDesk.events` has the final ones."""
        depth = max(1, 2 * self.profile.habits.finality)
        of = self.market if contract is None else contract
        return Follower(self.rpc, of, depth=depth, since=since, interval=self.profile.poll_seconds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Chain]:
        """While the block lasts, new blocks are watched and transactions are sent until they are final."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._watcher.run)
            for sender in self._senders.values():
                nursery.start_soon(sender.run)
            yield self
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_chain(
    spec: ChainSpec,
    url: str,
    *,
    poll_seconds: float | None = None,
    outbox: Path | None = None,
    profile: Profile | None = None,
) -> AsyncIterator[Chain]:
    """A chain that several accounts of this process share; ChainError where it is not the one that the spec names.

    With an outbox, a file, whatever was to be sent survives this process: the next one with the same file goes on.
    """
    chosen = profile if profile is not None else profile_of(spec)
    rpc = Rpc(url, patience=chosen.patience)
    bell = Rpc(url, patience=chosen.patience) if chosen.rings else None
    try:
        genesis, market = await _recognise(rpc, spec)
        if url in chosen.rpc:  # whoever named an endpoint of their own means that one

            async def is_it(other: Rpc) -> bool:
                return (await _recognise(other, spec))[0] == genesis

            rpc.fall_back_on([each for each in chosen.rpc if each != url], is_it)
        interval = chosen.poll_seconds if poll_seconds is None else poll_seconds
        watcher = Watcher(rpc, market, finality=chosen.habits.finality, interval=interval, bell=bell)
        with Outbox(outbox) as kept:
            async with Chain(rpc, watcher, spec, chosen, kept, genesis, market).running() as chain:
                yield chain
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group.exceptions[0].__cause__  # the nursery here is nobody else's business
        raise
    finally:
        await rpc.aclose()
        if bell is not None:
            await bell.aclose()


@asynccontextmanager
async def open_settlement(
    chain: ChainSpec,
    url: str,
    key: AccountKey,
    *,
    poll_seconds: float | None = None,
    outbox: Path | None = None,
    profile: Profile | None = None,
) -> AsyncIterator[EvmSettlement]:
    """A chain, seen by one account."""
    async with open_chain(chain, url, poll_seconds=poll_seconds, outbox=outbox, profile=profile) as opened:
        yield opened.settlement(key)


async def _recognise(rpc: Rpc, spec: ChainSpec) -> tuple[bytes, Contract]:
    """The chain's first block's hash, and what the spec's market is; ChainError where the spec means another chain.

    A task names its market's address and not its mode: the code that stands there says it. Code of another release
    counts as the market of the first mode; `p2pfd contracts verify` tells.
    """
    chain_id, code, first = await rpc.batch(
        [
            ("eth_chainId", []),
            ("eth_getCode", [spec.market, "latest"]),
            ("eth_getBlockByNumber", ["0x0", False]),
        ]
    )
    found = answers.number(chain_id, "a chain's id")
    if found != spec.chain_id:
        raise ChainError(
            f"{rpc.url} is chain {found}, the task settles on {spec.chain_id}", "check the chain's address"
        )
    held = answers.octets(code, "a contract's code") if code else b""
    if not held:
        raise ChainError(
            f"there is no contract at {spec.market} on {rpc.url}", "has the chain lost its state, or is it another one?"
        )
    genesis = answers.digest(answers.record(first, "the first block").get("hash"), "a block's hash")
    return genesis, Contract(spec.market, kind_of(held) or ONCHAIN)

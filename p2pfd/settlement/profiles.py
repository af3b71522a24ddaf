"""Where a task settles: what kinds of chains there are, and how to reach one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import trio

from p2pfd.core.ids import Account
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError, PlanError
from p2pfd.settlement import answers
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import Capabilities
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.evm_encounters import EvmEncounters
from p2pfd.settlement.fees import GWEI, LOCAL, FeePolicy
from p2pfd.settlement.follow import Follower
from p2pfd.settlement.habits import INSTANT, Habits
from p2pfd.settlement.kinds import ENCOUNTERS, ONCHAIN, Contract, kind_of
from p2pfd.settlement.local import LocalChain as LocalChain
from p2pfd.settlement.local import embedded_chain as embedded_chain
from p2pfd.settlement.local import local_chain as local_chain
from p2pfd.settlement.outbox import Outbox
from p2pfd.settlement.recall import Recall
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.sender import Sender
from p2pfd.settlement.watch import Watcher

POLL_SECONDS = 0.15
"""How often a process looks for new blocks of a local chain, unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of chain: all in which chains differ to us."""

    name: str
    chain_id: int | None = None
    """The one chain of this kind; None where anybody can start one."""
    live: bool = False
    """Whether its funds are not for throwing away."""
    block_seconds: float = 0.0
    poll_seconds: float = POLL_SECONDS
    patience: float = 5.0
    """How long an endpoint may fail to answer a single question."""
    habits: Habits = field(default=INSTANT)


EMBEDDED = Profile("embedded")
_MINING = Habits(fees=LOCAL, look_seconds=0.01)
"""They mine at once, yet answer before they have."""
ANVIL = Profile("anvil", habits=_MINING)
GANACHE = Profile("ganache", habits=_MINING)
AMOY = Profile(
    "amoy",
    chain_id=80_002,
    live=True,
    block_seconds=2.0,
    poll_seconds=2.0,
    patience=20.0,
    habits=Habits(
        finality=16,
        fees=FeePolicy(floor=25 * GWEI, most=2_000 * GWEI),
        look_seconds=2.0,
        resend_seconds=10.0,
        stuck_blocks=10,
        outage_seconds=120.0,
    ),
)
AMOY_LIKE = Profile(
    "amoy-like",
    block_seconds=0.5,
    poll_seconds=0.25,
    patience=10.0,
    habits=Habits(
        finality=3,
        fees=FeePolicy(floor=25 * GWEI, most=2_000 * GWEI),
        look_seconds=0.25,
        resend_seconds=2.0,
        stuck_blocks=10,
        outage_seconds=60.0,
    ),
)
"""An anvil with Amoy's rules, four times as fast and with fewer blocks until something is final: for local meshes."""
LOCAL_IDS = (31_337, 1_337)
"""The ids of chains on somebody's own machine. A task must not pass off a chain with real funds as one of these."""
PROFILES: Mapping[str, Profile] = MappingProxyType(
    {each.name: each for each in (EMBEDDED, ANVIL, GANACHE, AMOY, AMOY_LIKE)}
)


def check_id(profile: Profile, chain_id: int) -> None:
    """PlanError for a chain that is not of this kind."""
    if profile.chain_id not in (None, chain_id):
        raise PlanError(f"{profile.name} is chain {profile.chain_id}, not {chain_id}", "name the chain's own profile")
    if profile.chain_id is None and chain_id not in LOCAL_IDS:
        ids = " or ".join(map(str, LOCAL_IDS))
        raise PlanError(
            f"{profile.name} is a local chain, with the id {ids}, and this is chain {chain_id}",
            "its funds may be real: name the chain's own profile",
        )


def profile_of(spec: ChainSpec) -> Profile:
    """The profile that a task names; PlanError where this release has none such."""
    found = PROFILES.get(spec.profile)
    if found is None:
        raise PlanError(
            f"no chain profile {spec.profile!r}", f'this release settles on {", ".join(PROFILES)}, or on "none"'
        )
    check_id(found, spec.chain_id)
    return found


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
        self._profile = profile
        self._outbox = outbox
        self._genesis = genesis
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

    def sender(self, key: AccountKey) -> Sender:
        """The account's transactions."""
        if key.account not in self._senders:
            habits, spec = self._profile.habits, self._spec
            sender = Sender(self.rpc, key, spec.chain_id, outbox=self._outbox, habits=habits, genesis=self._genesis)
            self._senders[key.account] = sender
            if self._nursery is not None:
                self._nursery.start_soon(sender.run)
        return self._senders[key.account]

    def follow(self, since: int = 1, contract: Contract | None = None) -> Follower:
        """A contract's events as they happen, and as they are undone; `EvmDesk.events` has the final ones."""
        depth = max(1, 2 * self._profile.habits.finality)
        of = self.market if contract is None else contract
        return Follower(self.rpc, of, depth=depth, since=since, interval=self._profile.poll_seconds)

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
    try:
        genesis, market = await _recognise(rpc, spec)
        interval = chosen.poll_seconds if poll_seconds is None else poll_seconds
        watcher = Watcher(rpc, market, finality=chosen.habits.finality, interval=interval)
        with Outbox(outbox) as kept:
            async with Chain(rpc, watcher, spec, chosen, kept, genesis, market).running() as chain:
                yield chain
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group.exceptions[0].__cause__  # the nursery here is nobody else's business
        raise
    finally:
        await rpc.aclose()


@asynccontextmanager
async def open_settlement(
    chain: ChainSpec, url: str, key: AccountKey, *, poll_seconds: float | None = None, outbox: Path | None = None
) -> AsyncIterator[EvmSettlement]:
    """A chain, seen by one account."""
    async with open_chain(chain, url, poll_seconds=poll_seconds, outbox=outbox) as opened:
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

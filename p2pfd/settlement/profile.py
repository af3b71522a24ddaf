"""Kinds of chains: all in which chains differ to us. Some come with p2pfd, others stand in files of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from p2pfd.errors import PlanError
from p2pfd.settlement.fees import GWEI, LOCAL, FeePolicy
from p2pfd.settlement.habits import INSTANT, Habits

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
    rings: bool = False
    """Whether it can be asked to answer when there is something new: then the poll is only the pause in between."""
    patience: float = 5.0
    """How long an endpoint may fail to answer a single question."""
    habits: Habits = field(default=INSTANT)
    rpc: tuple[str, ...] = ()
    """Endpoints that serve anybody, tried where no other is named."""
    faucet: str = ""
    """Where a test network gives its coin away."""
    coin: str = "coins"


EMBEDDED = Profile("embedded", rings=True)
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
    rpc=(
        "https://rpc-amoy.polygon.technology",
        "https://polygon-amoy-bor-rpc.publicnode.com",
        "https://polygon-amoy.drpc.org",
    ),
    faucet="https://faucet.polygon.technology",
    coin="POL",
)
AMOY_LIKE = Profile(
    "amoy-like",
    block_seconds=0.5,
    poll_seconds=0.25,
    patience=10.0,
    habits=replace(AMOY.habits, finality=3, look_seconds=0.25, resend_seconds=2.0, outage_seconds=60.0),
)
"""An anvil with Amoy's rules, four times as fast and with fewer blocks until something is final: for local meshes."""
LOCAL_IDS = (31_337, 1_337)
"""The ids of chains on somebody's own machine. A task must not pass off a chain with real funds as one of these."""
PROFILES: Mapping[str, Profile] = MappingProxyType(
    {each.name: each for each in (EMBEDDED, ANVIL, GANACHE, AMOY, AMOY_LIKE)}
)


def capped(profile: Profile, gwei: int) -> Profile:
    """The profile, with no more than this offered for a unit of gas; 0, and where gas is free, leave it as it is."""
    fees = profile.habits.fees
    if not gwei or not fees.most:
        return profile
    if gwei * GWEI < fees.floor:
        raise PlanError(
            f"at most {gwei} gwei are offered, and {profile.name} passes on nothing below {fees.floor // GWEI}",
            "offer more: --max-gwei N",
        )
    less = replace(fees, most=min(fees.most, gwei * GWEI))
    return replace(profile, habits=replace(profile.habits, fees=less))


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

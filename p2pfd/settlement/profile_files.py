"""Chains that p2pfd does not know by itself: a TOML file each, ``NAME.toml`` in the folder `folder` names.

The user writes it, and by it says which chain a task's profile ``NAME`` means. Nobody else's word counts for that:
what a stranger's task names and no file describes is refused.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from p2pfd.core.spec import MAX_NAME, ChainSpec
from p2pfd.core.tables import Text, changed
from p2pfd.errors import PlanError
from p2pfd.settlement.fees import GWEI, FeePolicy
from p2pfd.settlement.habits import Habits
from p2pfd.settlement.profile import LOCAL_IDS, PROFILES, Profile, check_id

VARIABLE = "P2PFD_CHAINS"
"""The environment variable that names the folder."""
MAX_BYTES = 64 * 1024
_ENDPOINTS = 16


@dataclass(frozen=True, slots=True)
class ChainFile:
    """What can stand in a file, and what counts where it says nothing."""

    chain_id: int = 0
    live: bool = True
    """Whether funds there are not for throwing away: then commands ask, and keys must be encrypted."""
    coin: str = "coins"
    faucet: str = ""
    rpc: tuple[str, ...] = ()
    """Endpoints that serve anybody, tried where no other is named."""
    block_seconds: float = 12.0
    finality: int = 32
    """Blocks on top before an inclusion is final."""
    least_tip_gwei: int = 0
    most_gwei: int = 500
    """The most that is ever offered for a unit of gas."""
    patience: float = 20.0
    stuck_blocks: int = 10

    def profile(self, name: str) -> Profile:
        """The profile that it describes."""
        return Profile(
            name,
            chain_id=self.chain_id,
            live=self.live,
            block_seconds=self.block_seconds,
            poll_seconds=self.block_seconds,
            patience=self.patience,
            habits=Habits(
                finality=self.finality,
                fees=FeePolicy(floor=self.least_tip_gwei * GWEI, most=self.most_gwei * GWEI),
                look_seconds=self.block_seconds,
                resend_seconds=5 * self.block_seconds,
                stuck_blocks=self.stuck_blocks,
                outage_seconds=max(120.0, 10 * self.block_seconds),
            ),
            rpc=self.rpc,
            faucet=self.faucet,
            coin=self.coin,
        )


def folder(env: Mapping[str, str] = os.environ) -> Path:
    """Where the files stand: the folder that the environment names, else the platform's for settings."""
    named = env.get(VARIABLE, "")
    if named:
        return Path(named).expanduser()
    config = env.get("XDG_CONFIG_HOME", "")
    base = Path(config) if config and Path(config).is_absolute() else Path.home() / ".config"
    return base / "p2pfd" / "chains"


def find(name: str) -> Profile | None:
    """The profile of this name, of p2pfd's own or in a file; None where there is neither."""
    known = PROFILES.get(name)
    if known is not None:
        return known
    if not name.replace("-", "").replace("_", "").isalnum() or len(name) > MAX_NAME:
        return None  # a task's word is no path
    path = folder() / f"{name}.toml"
    return load(path) if path.is_file() else None


def profile_of(spec: ChainSpec) -> Profile:
    """The profile that a task names; PlanError where there is none such, or it means another chain."""
    found = find(spec.profile)
    if found is None:
        raise PlanError(
            f"no chain profile {spec.profile!r}",
            f'p2pfd settles on {", ".join(names())}, or on "none"; another chain is described by a file in {folder()}',
        )
    check_id(found, spec.chain_id)
    return found


def with_id(chain_id: int) -> Profile | None:
    """The profile, of p2pfd's own or in a file, that means the chain with this id and no other."""
    for name in names():
        profile = find(name)
        if profile is not None and profile.chain_id == chain_id:
            return profile
    return None


def names() -> tuple[str, ...]:
    """All names that `find` knows."""
    at = folder()
    files = sorted(path.stem for path in at.glob("*.toml")) if at.is_dir() else []
    return (*PROFILES, *(name for name in files if name not in PROFILES))


def load(path: Path) -> Profile:
    """The profile in a file; PlanError names the line and what may stand there."""
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_BYTES:
            raise PlanError(f"{path} has more than {MAX_BYTES} bytes", "that is no description of a chain")
        text = Text(str(path), raw.decode())
        value = tomllib.loads(text.text)
    except OSError as error:
        raise PlanError(f"cannot read {path}: {error.strerror}", "see to its permissions") from error
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path} is not TOML: {error}", "docs/howto/chains.md has an example") from error
    found: ChainFile = changed(ChainFile(), value, text)
    _check(found, path)
    return found.profile(path.stem)


def _check(found: ChainFile, path: Path) -> None:
    def need(holds: bool, what: str, fix: str) -> None:
        if not holds:
            raise PlanError(f"{path}: {what}", fix)

    need(path.stem not in PROFILES, f"{path.stem} is a chain that p2pfd knows", "give the file another name")
    need(0 < found.chain_id < 2**63, f"chain_id is {found.chain_id}", "write the id that eth_chainId answers")
    local = found.chain_id in LOCAL_IDS
    need(
        local or found.live, f"live is false, and {found.chain_id} is no local chain", "leave it out: funds may be real"
    )
    for name, low, high in (
        ("block_seconds", 0.05, 3600),
        ("finality", 0, 10_000),
        ("least_tip_gwei", 0, 10**6),
        ("most_gwei", 0, 10**7),
        ("patience", 0.1, 600),
        ("stuck_blocks", 1, 10_000),
    ):
        number = getattr(found, name)
        need(low <= number <= high, f"{name} is {number}", f"it must lie between {low} and {high}")
    need(found.least_tip_gwei <= found.most_gwei, "least_tip_gwei is more than most_gwei", "offer more at most")
    need(len(found.rpc) <= _ENDPOINTS, f"rpc has {len(found.rpc)} entries", f"name at most {_ENDPOINTS}")
    for url in (*found.rpc, *([found.faucet] if found.faucet else [])):
        need(
            url.startswith(("https://", "http://")) and url.isprintable(), f"{url!r} is no address", "write https://..."
        )
    need(found.coin.isprintable() and 0 < len(found.coin) <= 12, f"coin is {found.coin!r}", "write its short name")

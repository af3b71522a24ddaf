"""A chain's last blocks replaced by others: where that can be done, and is something that nodes must bear."""

from __future__ import annotations

from p2pfd.errors import PlanError
from p2pfd.settlement.profile import PROFILES

INSTEAD = "take a chain that reorganises: --chain amoy-like"


def check_reorg(chain: str, depth: int) -> None:
    """PlanError where a chain of this kind does not reorganise so deep."""
    final = PROFILES[chain].habits.finality if chain in PROFILES else 0
    if final < 2:
        raise PlanError(f"what the {chain} chain says is final at once: none of it is ever replaced", INSTEAD)
    if depth >= final:
        raise PlanError(
            f"nodes take for final what is {final} blocks deep on the {chain} chain", f"replace {final - 1} at most"
        )


async def reorganise(url: str, chain: str, depth: int) -> None:
    """Replace so many blocks by empty ones: what was in them is to be sent again."""
    from p2pfd.settlement.rpc import Rpc  # with which come libraries that a plan's check need not wait for

    check_reorg(chain, depth)
    rpc = Rpc(url)
    try:
        await rpc.call("anvil_reorg", depth, [])
    finally:
        await rpc.aclose()

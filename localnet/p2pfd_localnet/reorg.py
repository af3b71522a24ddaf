"""A chain's last blocks replaced by others: where that can be done, and where it would mean anything."""

from __future__ import annotations

from p2pfd.errors import PlanError

NOT_HERE = "a reorganisation on a chain that has finality is tested with: pytest tests/long -k reorg"


async def reorganise(url: str, chain: str, depth: int) -> None:
    """Replace so many blocks; PlanError where that cannot be."""
    raise PlanError(f"the {chain} chain does not reorganise", NOT_HERE)

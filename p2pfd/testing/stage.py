"""Where a script is played: every account's view of every contract, what came of each claim, and what was told.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from p2pfd.core.claims import Balances, Included, Reverted
from p2pfd.core.ids import Account
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import GENESIS, AnyClaim, Cursor, EncounterRules, EncounterSettlement, Settlement
from p2pfd.settlement.reference import MARKET, ReferenceChain

SECONDS = 100_000
"""As long as a phase and the unbonding last: no chain takes so long by itself."""
RULES = EncounterRules(bond=1_000, threshold=300, longest=60_000, unbond_seconds=SECONDS)
"""To what a bench's contract of encounters is set up."""
ONCHAIN, OPTIMISTIC, SAMPLED, ENCOUNTERS = "onchain", "optimistic", "sampled", "encounters"
Skip = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class More:
    """The other contracts of a bench's chain, for the same token, each as the same accounts see it.

    Markets unbond in `SECONDS`, encounters are set up to `RULES`. The keys are the accounts', and the address is where
    signed commitments of the optimistic market go to.
    """

    keys: Sequence[AccountKey]
    optimistic: Sequence[Settlement]
    sampled: Sequence[Settlement]
    encounters: Sequence[EncounterSettlement]
    optimistic_at: Account


@dataclass(frozen=True, slots=True)
class Outcome:
    """How every claim ended, what was told in between, and what everybody has at the end, in each contract."""

    ends: tuple[str, ...]
    told: tuple[str, ...]
    balances: Mapping[str, tuple[Balances, ...]]


class Stage:
    """A chain on which a script is played, and the record of it."""

    def __init__(
        self, market: Sequence[Settlement], accounts: Sequence[Account], skip: Skip, more: More | None = None
    ) -> None:
        self.accounts = accounts
        self.skip = skip
        self.more = more
        self.desks: dict[str, Sequence[Any]] = {ONCHAIN: market}
        if more is not None:
            self.desks |= {OPTIMISTIC: more.optimistic, SAMPLED: more.sampled, ENCOUNTERS: more.encounters}
        self.ends: list[str] = []
        self._heard: list[str] = []
        self._feeds: dict[str, AsyncIterator[tuple[Cursor, Any]]] = {}

    async def claims(self, at: str, *made: tuple[int, AnyClaim], skip: int = 0) -> None:
        """Claims that commute, by who makes them, at one contract; then time passes."""
        found = [""] * len(made)

        async def claim(place: int, who: int, what: AnyClaim) -> None:
            desk = self.desks[at][who]
            receipt = await desk.final(await desk.submit(what))
            assert isinstance(receipt, (Included, Reverted)), f"{what} ended as {receipt}"
            told = receipt.reason if isinstance(receipt, Reverted) else "done"
            found[place] = f"{at} {who} {type(what).__name__}: {told}"

        async with trio.open_nursery() as nursery:
            for place, (who, what) in enumerate(made):
                nursery.start_soon(claim, place, who, what)
        self.ends += found
        if skip:
            await self.skip(skip)

    async def told(self, at: str, kind: type) -> tuple[int, Any]:
        """The next event of a kind that a contract tells, and its block; those before it are passed over."""
        if at not in self._feeds:
            self._feeds[at] = self.desks[at][0].events(GENESIS)
        async for cursor, event in self._feeds[at]:
            self._heard.append(f"{at} {type(event).__name__}")
            if isinstance(event, kind):
                return cursor.block, event
        raise AssertionError("events ended")

    def note(self, what: str) -> None:
        """Something else that has to be the same on every chain."""
        self._heard.append(what)

    async def outcome(self) -> Outcome:
        """What it came to."""
        held = {at: tuple([await desks[0].account(who) for who in self.accounts]) for at, desks in self.desks.items()}
        return Outcome(tuple(self.ends), tuple(self._heard), held)


def reference_stage(accounts: Sequence[Account], funds: int, keys: Sequence[AccountKey] = ()) -> Stage:
    """The pure ledgers; with keys, of all contracts."""
    now = [1_000]

    async def skip(seconds: int) -> None:
        await trio.lowlevel.checkpoint()
        now[0] += seconds

    chain = ReferenceChain(dict.fromkeys(accounts, funds), SECONDS, lambda: now[0], rules=RULES)
    market = [chain.settlement(who) for who in accounts]
    return Stage(market, accounts, skip, reference_more(chain, keys) if keys else None)


def reference_more(chain: ReferenceChain, keys: Sequence[AccountKey]) -> More:
    """The other contracts of a reference chain."""
    who = [key.account for key in keys]
    return More(
        keys,
        [chain.settlement(each, OPTIMISTIC) for each in who],
        [chain.settlement(each, SAMPLED) for each in who],
        [chain.encounters(each) for each in who],
        MARKET,
    )

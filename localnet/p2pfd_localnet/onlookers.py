"""Whoever watches a mesh in a browser: the page's server, and what is done for them alone while the mesh runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from p2pfd.core.claims import ChainEvent
from p2pfd.core.ids import Account
from p2pfd.core.spec import TaskSpec
from p2pfd.core.terms import terms_of
from p2pfd.errors import P2pfdError
from p2pfd.node.scrape import address_of, open_listener
from p2pfd_localnet.chainview import ChainView
from p2pfd_localnet.control import Control
from p2pfd_localnet.encounterview import EncounterView
from p2pfd_localnet.ledger import History, Ledger, Tell, accounts
from p2pfd_localnet.picture import Picture
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.web import Web

LAST_NEWS_SECONDS = 1.0
"""So long viewers may take to fetch how it ended."""
_AGAIN_SECONDS = 2.0


@dataclass
class Onlookers:
    """Where the page of a running mesh is, and who looks at it."""

    picture: Picture
    url: str
    _came: trio.Event = field(default_factory=trio.Event)

    async def follow(self, plan: Plan, task: TaskSpec, ledger: Ledger) -> None:
        """Read the chain for the page, as soon as somebody looks at it; a chain that does not answer is told there."""
        await self._came.wait()
        names = dict(zip(accounts(plan), plan.everybody(), strict=True))
        while True:
            tell = _teller(self.picture, plan, task, names)  # from the beginning: what is known is no news

            try:
                await ledger.follow(task, tell)
            except P2pfdError as error:  # the mesh goes on, whatever becomes of its page
                self.picture.chain_note(str(error))
            await trio.sleep(_AGAIN_SECONDS)


async def catch_up(picture: Picture, plan: Plan, task: TaskSpec, history: History) -> None:
    """Put all that the chain told into the picture, whether or not anybody watched; told again it is no news."""
    if not history:
        return
    tell = _teller(picture, plan, task, dict(zip(accounts(plan), plan.everybody(), strict=True)))
    for block, event in history:
        await tell(block, event)


def _teller(picture: Picture, plan: Plan, task: TaskSpec, names: Mapping[Account, str]) -> Tell:
    if plan.meets:
        met = EncounterView(names, picture)
    else:
        rounds = ChainView(terms_of(task), names, picture)

    from p2pfd.settlement.encounter_history import Entry  # by now the chain's libraries are here

    async def tell(block: int, event: ChainEvent | Entry) -> None:
        if isinstance(event, Entry):
            await met.take(block, event)
        else:
            await rounds.take(block, event)
        picture.chain_note("")

    return tell


@asynccontextmanager
async def onlookers(
    picture: Picture, endpoint: str, control: Control | None = None, *, page: bool = True
) -> AsyncIterator[Onlookers]:
    """Serve the page as long as the mesh runs, and then until those who watch have seen the end, for a moment.

    Without a page, whoever may act can do so here all the same.
    """
    listener = await open_listener(endpoint, "the mesh's page")
    crowd = Onlookers(picture, address_of(listener, ""))
    picture.on_watched = crowd._came.set
    web = Web(picture, control, page=page)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(web.serve, listener)
        try:
            yield crowd
        finally:
            with trio.CancelScope(shield=True):
                await web.drain(LAST_NEWS_SECONDS)
            nursery.cancel_scope.cancel()

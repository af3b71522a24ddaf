"""Encounters as a part of the script: whatever can happen to one, with five accounts of which three are validators.

A committee is drawn by a block's hash, which each chain has its own of. So that every chain pays the same, as many can
be drawn as are needed: who judges is the same everywhere, and only the order differs.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from p2pfd.core import encounter_where as where_
from p2pfd.core.claims import Deposit, Unstake, Withdraw
from p2pfd.core.encounter_claims import (
    CheckIn,
    CloseEncounter,
    Collect,
    ComeBack,
    CommitVote,
    DrawCommittee,
    EncounterClaim,
    EncounterTerms,
    Join,
    Leave,
    OpenEncounter,
    OpenMany,
    ReportResult,
    RevealVote,
    SettleEncounter,
    SettleMany,
    SignedCommitment,
    SignedOpening,
    TopUp,
    Vacate,
)
from p2pfd.core.encounter_events import Committed, Defaulted, Drawn, Opened, Reported, Settled, Voided
from p2pfd.core.ids import Amount, Digest
from p2pfd.settlement.encounters import Seal
from p2pfd.testing.stage import ENCOUNTERS, RULES, SECONDS, Stage

LEARNER, NEIGHBOR, *VALIDATORS = range(5)
LEARN, VOTE = 20_000, 10_000
_AFTER = hashlib.sha256(b"after").digest()


@dataclass
class Game:
    """One encounter as everybody knows it."""

    terms: EncounterTerms
    details: bytes
    name: bytes
    result: bytes
    where: int = 0
    bound: tuple[bytes, ...] = ()


class EncounterPlay:
    """Encounters, one after the other."""

    def __init__(self, stage: Stage) -> None:
        assert stage.more is not None, "encounters are played where there is a contract of them"
        self._stage = stage
        self._papers = stage.more.encounters[0].papers
        self._desk = stage.more.encounters[0]
        self._seals = [Seal(self._papers, key) for key in stage.more.keys]
        self._nonces = [0, 0]

    async def play(self) -> None:
        """All of it."""
        await self._prepare()
        await self._refused()
        for votes in ({2: True, 3: True, 4: True}, {2: False, 3: False, 4: False}, {2: True, 3: True, 4: False}):
            await self._settled_at_once(votes)
        for votes in ({2: True, 3: False, 4: True}, {2: False, 3: False, 4: True}):
            await self._voted_one_by_one(votes)
        await self._nobody_votes()
        await self._one_does_not_reveal()
        await self._nothing_delivered()
        await self._many_at_once()
        await self._too_few()
        await self._leave()

    async def _does(self, *made: tuple[int, EncounterClaim], skip: int = 0) -> None:
        await self._stage.claims(ENCOUNTERS, *made, skip=skip)

    async def _prepare(self) -> None:
        await self._does(*((who, Deposit(Amount(4_000))) for who in range(5)))
        for who in (*VALIDATORS, LEARNER):  # one after the other: seats have an order
            await self._does((who, Join()))
        await self._does((NEIGHBOR, Unstake(Amount(1_000))), (2, TopUp(0, Amount(77))), (3, TopUp(0, Amount(1))))
        await self._does((NEIGHBOR, Withdraw()), (2, Collect(0)), (3, Collect(1)), (4, ComeBack(2)), (4, Vacate(2)))

    async def _fresh(self, lane: int = 0, **other: int) -> Game:
        """Terms that can be opened now."""
        now = (await self._desk.now()).seconds
        accounts, nonce = self._stage.accounts, self._nonces[lane]
        values = {"prepayment": 601, "share": 650_000, "size": 3, "rule": 2} | other
        terms = EncounterTerms(
            accounts[LEARNER],
            accounts[NEIGHBOR],
            open_by=now + VOTE,
            learn_by=now + LEARN,
            nonce=nonce,
            vote_seconds=VOTE,
            lane=lane,
            **values,  # type: ignore[arg-type]
        )
        salt = bytes([nonce, lane]) * 16
        details = self._papers.details(CheckIn(b"\1" * 32, Digest(b"\2" * 32), 5, salt, salt[::-1]))
        name = self._papers.encounter(terms, details)
        return Game(terms, details, name, self._papers.result(name, _AFTER))

    def _opening(self, game: Game) -> OpenEncounter:
        return OpenEncounter(game.terms, game.details, self._seals[NEIGHBOR].terms(game.terms, game.details))

    async def _heard_open(self, game: Game) -> None:
        block, event = await self._stage.told(ENCOUNTERS, Opened)
        assert event.key == game.terms.key, "encounters are told in the order in which they were opened"
        game.where = where_.opened(event.seats, block)
        self._nonces[game.terms.lane] += 1

    async def _open(self, **other: int) -> Game:
        game = await self._fresh(**other)
        await self._does((LEARNER, self._opening(game)))
        await self._heard_open(game)
        return game

    async def _draw(self, game: Game) -> None:
        """Fix the committee, so that no later block draws another."""
        await self._does((2, DrawCommittee(game.terms, game.name, game.where)))
        _, event = await self._stage.told(ENCOUNTERS, Drawn)
        game.where = event.where

    async def _judges(self, game: Game) -> list[int]:
        """Who has which place of the committee."""
        seats = await self._desk.seats()
        found = []
        for place in range(game.terms.size):
            seat = seats[where_.seat(game.where, place)]
            assert seat is not None, "nobody drawn has left"
            found.append(self._stage.accounts.index(seat.holder))
        return found

    async def _over(self, kind: type) -> None:
        _, event = await self._stage.told(ENCOUNTERS, kind)
        if isinstance(event, Settled):
            self._stage.note(f"{event.learner} for the learner, {event.neighbor} for the neighbor")

    # -- what can happen -----------------------------------------------------------------------------------------------

    async def _refused(self) -> None:
        game = await self._fresh()
        opening, wrong = self._opening(game), replace(game.terms, nonce=7)
        signed = self._seals[NEIGHBOR].terms(wrong, game.details)
        await self._does((NEIGHBOR, opening))
        await self._does((LEARNER, replace(opening, neighbor=signed)))
        await self._does((LEARNER, OpenEncounter(wrong, game.details, signed)))
        await self._does((LEARNER, opening))
        await self._heard_open(game)
        await self._does((LEARNER, opening))
        await self._does((3, CloseEncounter(game.terms, game.name, game.where)))
        await self._does((3, DrawCommittee(game.terms, game.name, game.where + 1)))
        await self._draw(game)
        await self._does((3, DrawCommittee(game.terms, game.name, game.where)))
        await self._does((2, replace(await self._ballot(game, dict.fromkeys(VALIDATORS, True)), votes=())))
        await self._does((2, await self._ballot(game, dict.fromkeys(VALIDATORS, True))))
        await self._over(Settled)

    async def _ballot(self, game: Game, votes: Mapping[int, bool]) -> SettleEncounter:
        """All votes at once, the neighbor's signature with them."""
        judges = await self._judges(game)
        openings = [_opening_of(who, votes[who]) for who in judges]
        bound = [
            self._papers.commitment(game.result, where_.seat(game.where, place), opening)
            for place, opening in enumerate(openings)
        ]
        shown = tuple(
            self._seals[who].vote(game.result, bound, opening) for who, opening in zip(judges, openings, strict=True)
        )
        signed = self._seals[NEIGHBOR].result(game.name, _AFTER)
        return SettleEncounter(game.terms, game.name, game.where, _AFTER, signed, shown)

    async def _settled_at_once(self, votes: Mapping[int, bool]) -> None:
        game = await self._open()
        await self._draw(game)
        await self._does((3, await self._ballot(game, votes)))
        await self._over(Settled)

    async def _report(self, game: Game, signed: Mapping[int, bool]) -> list[int]:
        """The neighbor delivers, with the commitments of those who have signed one."""
        judges = await self._judges(game)
        shown: list[SignedCommitment | None] = [
            self._seals[who].commitment(game.result, where_.seat(game.where, place), _opening_of(who, signed[who]))
            if who in signed
            else None
            for place, who in enumerate(judges)
        ]
        by = self._seals[NEIGHBOR].result(game.name, _AFTER)
        await self._does((LEARNER, ReportResult(game.terms, game.name, game.where, _AFTER, by, tuple(shown))))
        _, event = await self._stage.told(ENCOUNTERS, Reported)
        game.where, game.bound = event.where, event.bound
        return judges

    async def _commit(self, game: Game, judges: list[int], who: int, vote: bool) -> None:
        place = judges.index(who)
        bound = self._papers.commitment(game.result, where_.seat(game.where, place), _opening_of(who, vote))
        claim = CommitVote(game.terms, game.result, game.where, game.bound, place, bound)
        await self._does((who, claim))
        _, event = await self._stage.told(ENCOUNTERS, Committed)
        assert event.place == place, "whoever was bound is told"
        game.bound = (*game.bound[:place], event.commitment, *game.bound[place + 1 :])

    def _reveal(self, game: Game, judges: list[int], who: int, vote: bool) -> RevealVote:
        place = judges.index(who)
        return RevealVote(game.terms, game.result, game.where, game.bound, place, _opening_of(who, vote))

    def _close(self, game: Game) -> CloseEncounter:
        return CloseEncounter(game.terms, self._papers.bound_result(game.result, game.bound), game.where)

    async def _voted_one_by_one(self, votes: Mapping[int, bool]) -> None:
        game = await self._open(rule=1)
        await self._draw(game)
        judges = await self._report(game, {2: votes[2]})
        await self._does((2, self._reveal(game, judges, 2, votes[2])))  # too early
        for who in (3, 4):
            await self._commit(game, judges, who, votes[who])
        await self._does((4, self._reveal(game, judges, 4, not votes[4])))  # not what it is bound to
        await self._does(*((who, self._reveal(game, judges, who, vote)) for who, vote in votes.items()))
        await self._over(Settled)

    async def _nobody_votes(self) -> None:
        game = await self._open(size=2)
        await self._does((4, Leave(2)))  # drawn or not, it stays liable for what was before
        await self._does((4, DrawCommittee(replace(game.terms, size=3), game.name, game.where)))
        await self._does((2, CloseEncounter(game.terms, game.name, game.where)), skip=LEARN + 1)
        await self._does((2, CloseEncounter(game.terms, game.name, game.where)))
        await self._over(Defaulted)
        await self._does((4, ComeBack(2)), skip=RULES.longest + 1)
        await self._does((4, ComeBack(2)))
        game = await self._open()
        await self._draw(game)
        await self._report(game, {})
        await self._does((2, self._close(game)), skip=VOTE + 1)
        await self._does((2, self._close(game)))
        await self._over(Settled)

    async def _one_does_not_reveal(self) -> None:
        game = await self._open(rule=0)
        await self._draw(game)
        judges = await self._report(game, dict.fromkeys(VALIDATORS, True))
        await self._does(*((who, self._reveal(game, judges, who, True)) for who in (2, 4)), skip=2 * VOTE + 1)
        await self._does((3, self._reveal(game, judges, 3, True)))  # too late
        await self._does((2, self._close(game)))
        await self._over(Settled)

    async def _nothing_delivered(self) -> None:
        game = await self._open()
        await self._draw(game)
        await self._does((2, CloseEncounter(game.terms, game.name, game.where)), skip=LEARN + 1)
        await self._does((3, await self._ballot(game, dict.fromkeys(VALIDATORS, True))))  # too late
        await self._does((2, CloseEncounter(game.terms, game.name, game.where)))
        await self._over(Defaulted)

    async def _many_at_once(self) -> None:
        games = [await self._fresh(lane, prepayment=200 + lane) for lane in range(2)]
        parts = tuple(
            SignedOpening(
                game.terms,
                game.details,
                self._seals[LEARNER].terms(game.terms, game.details),
                self._seals[NEIGHBOR].terms(game.terms, game.details),
            )
            for game in games
        )
        await self._does((4, OpenMany((parts[0], parts[0]))))
        await self._does((4, OpenMany(parts)))
        for game in games:
            await self._heard_open(game)
        for game in games:
            await self._draw(game)
        votes = dict.fromkeys(VALIDATORS, True)
        await self._does((3, SettleMany(tuple([await self._ballot(game, votes) for game in games]))))
        for _ in games:
            await self._over(Settled)

    async def _too_few(self) -> None:
        await self._does((4, Leave(2)))
        game = await self._open(size=3)
        await self._does((2, DrawCommittee(game.terms, game.name, game.where)))
        await self._over(Voided)

    async def _leave(self) -> None:
        everyone = ((2, 0), (3, 1), (0, 3))
        await self._does((2, Collect(0)), (3, Collect(1)), (4, Leave(2)), (3, Leave(0)))
        for who, seat in everyone:
            await self._does((who, Leave(seat)))
        await self._does(*((who, Vacate(seat)) for who, seat in everyone), skip=SECONDS + 1)
        for who, seat in (*everyone, (4, 2)):  # one after the other: holes have an order
            await self._does((who, Vacate(seat)))
        await self._does((3, Join()))
        await self._does(*((who, Unstake(Amount(500))) for who in range(5)))
        await self._does(*((who, Withdraw()) for who in range(5)), skip=SECONDS)
        await self._does(*((who, Withdraw()) for who in range(5)))


def _opening_of(who: int, vote: bool) -> int:
    """A number that hides a vote: its lowest bit is the vote."""
    hidden = hashlib.sha256(b"opening %d" % who).digest()
    return int.from_bytes(hidden, "big") & ~1 | vote

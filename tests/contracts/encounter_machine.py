"""The contract of encounters and its pure counterpart, given the same claims, and compared in everything after each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from p2pfd.core.claims import Deposit, Unstake, Withdraw
from p2pfd.core.encounter_claims import (
    UNSIGNED,
    CloseEncounter,
    Collect,
    ComeBack,
    CommitVote,
    DrawCommittee,
    EncounterClaim,
    EncounterTerms,
    Join,
    Leave,
    OpenMany,
    RevealVote,
    SettleMany,
    TopUp,
    Vacate,
)
from p2pfd.core.encounter_events import Committed, Drawn, EncounterEvent, Reported, Settled
from p2pfd.core.encounter_where import opened
from p2pfd.core.ids import Account, Amount
from p2pfd.core.rng import Rng
from p2pfd.errors import ChainError, DecodeError
from p2pfd.incentives.encounter_state import Lane, Phase
from p2pfd.incentives.encounters import Encounters
from p2pfd.incentives.staking import Refused
from p2pfd.settlement import encounters
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact
from tests.contracts.chain import BOSS, SUPPLY, key
from tests.contracts.encounter_chain import BOND, LONGEST, THRESHOLD, UNBOND, EncounterChain, opening, slot_of
from tests.contracts.encounter_spoil import spoiled

KEYS = [key(number) for number in range(1, 10)]
OF = {each.account: each for each in KEYS}
PARTIES = 4
"""The first of them are learners and neighbors most often; the others have seats, and so has the last party."""
WALLET = 10**8
AFTER = b"\3" * 32


def sendable(claim: EncounterClaim) -> bool:
    """Whether there is a call for it at all."""
    try:
        encounters.call_of(claim)
    except (ChainError, DecodeError):
        return False
    return True


@dataclass
class Game:
    """An encounter as its parties know it."""

    terms: EncounterTerms
    details: bytes
    where: int
    name: bytes = b""
    result: bytes = b""
    bound: tuple[bytes, ...] = ()
    votes: list[bool] = field(default_factory=list)


class Pair:
    """Each claim goes to both; whatever one can be asked, both are asked."""

    def __init__(self, contract: Artifact | None = None) -> None:
        self.chain = EncounterChain(dict.fromkeys(KEYS, WALLET), contract)
        self.everyone = [BOSS.account, *(each.account for each in KEYS)]
        known: dict[Account, int] = {each.account: WALLET for each in KEYS}
        known[BOSS.account] = SUPPLY - WALLET * len(KEYS)
        papers = self.chain.papers
        self.pure = Encounters(known, papers, encounters.signer, UNBOND, LONGEST, BOND, THRESHOLD)
        self.slots = self.chain.slots()
        self.games: list[Game] = []
        self.steps = 0
        self.reached: dict[str, int] = {}

    # -- one claim --

    def claim(self, sender: AccountKey, claim: EncounterClaim) -> tuple[EncounterEvent, ...]:
        at = self.chain.moment()
        block, events = self.chain.play(sender, claim)
        there = "" if block.success else reason(block.output)
        here, expected = "", ()
        try:
            expected = self.pure.apply(at, sender.account, claim)
        except Refused as refusal:
            here = refusal.what
        assert there == here, f"{claim}: the contract says {there!r}, the ledger {here!r}"
        assert events == expected, (events, expected)
        self.note(claim, here, events)
        self.steps += 1
        self.compare()
        return events

    def note(self, claim: EncounterClaim, refusal: str, events: tuple[EncounterEvent, ...]) -> None:
        """Remember what has happened, so that a walk that meets too little cannot pass."""
        names = [refusal or type(claim).__name__, *(type(event).__name__ for event in events)]
        for event in events:
            if isinstance(event, Settled):
                states = {event.ballot >> 2 * place & 3 for place in range(7)}
                names.append("split" if states >= {2, 3} else "absent" if 1 in states else "settled")
        for name in names:
            self.reached[name] = self.reached.get(name, 0) + 1

    def compare(self) -> None:
        """No token is made or lost, and each account, seat and lane stands on both sides alike."""
        self.pure.check()
        chain, slots, pure = self.chain, self.slots, self.pure
        assert chain.word(slots.held) == pure.purse.held == chain.peek_wallet(chain.contract)
        for who in self.everyone:
            number = int(who, 16)
            mine = pure.balances(who)
            word = chain.word(slot_of(slots.words, number))
            leaving = chain.word(slot_of(slots.leaving, number))
            assert (word % 2**64, leaving % 2**64) == (mine.free, mine.unbonding)
            assert leaving >> 64 == pure.purse.ready(who)
            assert chain.peek_wallet(who) == mine.wallet
            self.compare_lane(word, pure.lanes.get((who, 0)))
            self.compare_lane(chain.word(slot_of(slots.lanes, number << 96 | 1)), pure.lanes.get((who, 1)))
        assert chain.word(slots.count) % 2**32 == len(pure.registry.seats)
        for number, seat in enumerate(pure.registry.seats):
            word = chain.word(slot_of(slots.seats, number))
            if seat is None:
                assert word < 2**32
                continue
            assert word >> 96 == int(seat.holder, 16)
            assert word >> 32 & 2**64 - 1 == seat.balance
            assert (word >> 15 & 2**15 - 1, word & 2**15 - 1) == (seat.valid, seat.invalid)
            span = (seat.taken, seat.left, seat.left_at)
            assert word >> 31 & 1 == any(span)
            if any(span):
                there = chain.word(slot_of(slots.seats + 1, number))
                assert (there >> 128, there >> 64 & 2**64 - 1, there & 2**64 - 1) == span

    def compare_lane(self, word: int, lane: Lane | None) -> None:
        lane = lane or Lane()
        assert word >> 78 & 3 == lane.phase
        assert word >> 64 & 2**14 - 1 == lane.ballot
        if lane.phase == Phase.IDLE:
            assert word >> 80 == lane.nonce

    def views_agree(self) -> None:
        """The views say what the storage holds."""
        for who in self.everyone:
            mine = self.pure.balances(who)
            assert self.chain.says("balances", who)[:2] == (mine.free, mine.unbonding)
            lane = self.pure.lanes.get((who, 1)) or Lane()
            assert self.chain.says("lane_of", who, 1)[0] == lane.phase
        for number, seat in enumerate(self.pure.registry.seats):
            holder, *rest = self.chain.says("seat_of", number)
            if seat is None:
                assert int(str(holder), 16) == 0
            else:
                assert holder == seat.holder
                assert rest == [seat.balance, seat.valid, seat.invalid, seat.taken, seat.left, seat.left_at]

    # -- what leads on --

    def begin(self) -> None:
        for each in KEYS:
            self.claim(each, Deposit(Amount(WALLET // 2)))
        for each in KEYS[PARTIES - 1 :]:
            self.claim(each, Join())
        self.claim(KEYS[-1], Join())

    def new_game(self, rng: Rng) -> Game | None:
        """Terms of many shapes that fit, for a lane that is idle."""
        learner, neighbor = rng.sample(KEYS[: PARTIES + 1], 2)
        lane = rng.below(2)
        known = self.pure.lanes.get((learner.account, lane)) or Lane()
        if known.phase != Phase.IDLE:
            return None
        terms = self.chain.terms(
            learner,
            neighbor,
            known.nonce,
            size=rng.choice([1, 2, 3, 3, 3, 4, 5]),
            prepayment=rng.choice([BOND, 600_001, 77_777, 1 + rng.below(BOND), 7]),
            share=rng.choice([700_000, 333_333, 0, 10**6]),
            rule=rng.below(3),
            lane=lane,
            vote_seconds=rng.choice([10, 50]),
        )
        return Game(terms, rng.bytes(32), 0)

    def open(self, rng: Rng) -> None:
        game = self.new_game(rng)
        if game is None:
            return
        learner, neighbor = OF[game.terms.learner], OF[game.terms.neighbor]
        if rng.chance(1, 6):
            part = self.chain.opening_of_both(game.terms, game.details, learner, neighbor)
            again = (part,) if rng.chance(1, 4) else ()
            sender = rng.choice([rng.choice(KEYS), learner, neighbor])
            if sender in (learner, neighbor):
                part = dataclasses.replace(part, **{"learner" if sender == learner else "neighbor": UNSIGNED})
            self.send(rng, sender, OpenMany((part, *again)), game)
        else:
            self.send(rng, learner, self.chain.opening(game.terms, game.details, neighbor), game)

    def send(self, rng: Rng, sender: AccountKey, claim: EncounterClaim, game: Game) -> None:
        """A claim about a game, now and then with something wrong in it; the game follows what it comes to."""
        if rng.chance(1, 6):
            wrong = spoiled(rng, claim)
            if sendable(wrong):
                self.claim(rng.choice([sender, rng.choice(KEYS)]), wrong)
            if rng.chance(1, 2):
                return
        opened_at = self.chain.ledger.head.number + 1
        for event in self.claim(sender, claim):
            name = type(event).__name__
            if name == "Opened":
                game.where = opened(event.seats, opened_at)  # type: ignore[union-attr]
                game.name = self.chain.papers.encounter(game.terms, game.details)
                game.result = self.chain.result(game.terms, game.details, AFTER)
                game.votes = [rng.chance(3, 4) for _ in range(game.terms.size)]
                self.games.append(game)
            elif isinstance(event, Drawn | Reported):
                game.where = event.where
                game.bound = event.bound if isinstance(event, Reported) else ()
            elif isinstance(event, Committed):
                game.bound = (*game.bound[: event.place], event.commitment, *game.bound[event.place + 1 :])
            elif name in ("Settled", "Defaulted", "Voided") and game in self.games:
                self.games.remove(game)

    def lane(self, game: Game) -> Lane:
        return self.pure.lanes[game.terms.learner, game.terms.lane]

    def step(self, rng: Rng, game: Game) -> None:
        """What comes next for an encounter, or what could."""
        lane, terms, chain = self.lane(game), game.terms, self.chain
        if self.tag(game) != lane.tag:  # a spoiled claim was none, and moved it on
            self.games.remove(game)
            return
        neighbor, anyone = OF[terms.neighbor], rng.choice(KEYS)
        paper = self.paper(game)
        if rng.chance(1, 8) or (self.over(game) and rng.chance(3, 4)):
            self.time_out(rng, game, paper)
            return
        if lane.phase in (Phase.OPEN, Phase.DRAWN):
            way = rng.below(6)
            if way == 0 and lane.phase == Phase.OPEN:
                self.send(rng, anyone, DrawCommittee(terms, game.name, game.where), game)
                return
            members = self.members(game)
            if members is None:
                self.send(rng, anyone, DrawCommittee(terms, game.name, game.where), game)
            elif way < 4:
                settle = chain.settlement(terms, game.details, game.where, neighbor, members, game.votes, AFTER)
                unsigned = dataclasses.replace(settle, neighbor=UNSIGNED)
                if rng.chance(1, 2):
                    self.send(rng, neighbor, SettleMany((unsigned,)) if rng.chance(1, 4) else unsigned, game)
                else:
                    self.send(rng, anyone, SettleMany((settle,)) if rng.chance(1, 3) else settle, game)
            else:
                signed = tuple(
                    chain.bound(game.result, seat, who, vote) if rng.chance(1, 2) else None
                    for (seat, who), vote in zip(members, game.votes, strict=True)
                )
                signed = signed[: rng.below(len(signed) + 1)]
                self.send(rng, anyone, chain.report(terms, game.details, game.where, neighbor, signed, AFTER), game)
            return
        self.vote(rng, game, lane)

    def over(self, game: Game) -> bool:
        """Whether the present window has passed."""
        if self.lane(game).phase != Phase.REPORTED:
            return self.chain.now > game.terms.learn_by
        return self.chain.now > (game.where >> 208) + 2 * game.terms.vote_seconds

    def tag(self, game: Game) -> tuple[object, ...]:
        return (game.terms, self.paper(game), game.where)

    def paper(self, game: Game) -> bytes:
        if self.lane(game).phase != Phase.REPORTED:
            return game.name
        return self.chain.papers.bound_result(game.result, game.bound)

    def members(self, game: Game) -> list[tuple[int, AccountKey]] | None:
        if self.lane(game).phase != Phase.OPEN:
            return self.chain.members(game.terms, game.where, OF)
        try:
            *found, _ = self.pure.drawn(self.chain.moment(), game.terms, game.name, game.where)
        except Refused:
            return None
        seats = self.pure.registry.seats
        return [(at, OF[seat.holder]) for at in found if (seat := seats[at])] if len(found) == game.terms.size else None

    def vote(self, rng: Rng, game: Game, lane: Lane) -> None:
        terms = game.terms
        place = rng.below(terms.size)
        waits = self.chain.now <= (game.where >> 208) + terms.vote_seconds
        places = [place for place in range(terms.size) if lane.state(place) == (0 if waits else 1)]
        place = rng.choice(places) if places and rng.chance(7, 8) else place
        seat = game.where >> 24 * place & 0xFFFFFF
        holder = self.pure.registry.still(seat, game.where >> 168 & 2**40 - 1)
        who = OF[holder.holder] if holder is not None else rng.choice(KEYS)
        vote = game.votes[place]
        if lane.state(place) == 0:
            own = self.chain.commitment(terms, game.result, game.where, game.bound, place, vote)
            if rng.chance(1, 2):
                signed = self.chain.bound(game.result, seat, who, vote)
                claim = CommitVote(
                    terms, game.result, game.where, game.bound, place, signed.commitment, signed.signature
                )
                self.send(rng, rng.choice(KEYS), claim, game)
            else:
                self.send(rng, who, own, game)
        else:
            shown = RevealVote(terms, game.result, game.where, game.bound, place, opening(seat, vote))
            self.send(rng, rng.choice(KEYS), shown, game)

    def time_out(self, rng: Rng, game: Game, paper: bytes) -> None:
        """The end of a window, in its last second or in the first one after it, then a close."""
        terms, chain = game.terms, self.chain
        ends = [terms.learn_by]
        if self.lane(game).phase == Phase.REPORTED:
            ends = [(game.where >> 208) + windows * terms.vote_seconds for windows in (1, 2)]
        chain.now = max(chain.now, rng.choice(ends) + rng.below(2))
        self.send(rng, rng.choice(KEYS), CloseEncounter(terms, paper, game.where), game)

    # -- what may happen --

    def stray(self, rng: Rng) -> None:
        """Money and seats, whether it fits or not."""
        who, amount = rng.choice(KEYS), Amount(rng.choice([0, 1, BOND // 2, BOND, rng.below(WALLET // 8)]))
        seats = self.pure.registry.seats
        number = rng.below(len(seats) + 1)
        seat = seats[number] if number < len(seats) else None
        owner = OF[seat.holder] if seat is not None and rng.chance(7, 8) else who
        if seat is not None and seat.left and rng.chance(1, 2):
            wait = rng.choice([LONGEST, UNBOND])
            self.chain.now = max(self.chain.now, seat.left_at + wait + rng.below(2))
        mine: list[EncounterClaim] = [ComeBack(number), Vacate(number), TopUp(number, amount), Collect(number)]
        if seat is not None and rng.chance(1, 3) and (seat.left or rng.chance(1, 3)):
            self.claim(owner, Leave(number))
        elif rng.chance(3, 5):
            self.claim(owner, rng.choice(mine))
        else:
            leaving = self.pure.balances(who.account).unbonding > 0
            if leaving and rng.chance(2, 3):
                self.chain.now = max(self.chain.now, self.pure.purse.ready(who.account) - rng.below(2))
            own: list[EncounterClaim] = [Deposit(amount), Unstake(amount), Withdraw(), Join(), Join()]
            own += [Withdraw()] * 5 * leaving
            self.claim(who, rng.choice(own))

    def walk(self, rng: Rng, steps: int) -> Pair:
        """At least so many claims."""
        self.begin()
        while self.steps < steps:
            match rng.below(20):
                case 0 | 1:
                    self.stray(rng)
                case 2:
                    self.chain.now += rng.choice([1, 3, 20, 60])
                case 3:
                    self.chain.mine(rng.choice([1, 1, 3, 200, 256, 300]))
                case 4 | 5 | 6:
                    self.open(rng)
                case _ if self.games:
                    self.step(rng, rng.choice(self.games))
                case _:
                    self.open(rng)
        self.views_agree()
        return self

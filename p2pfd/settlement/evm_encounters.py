"""A contract of encounters on a chain of the EVM kind, seen by one account: what is there to be read beside events."""

from __future__ import annotations

from p2pfd.core import encounter_where as where_
from p2pfd.core.claims import Balances
from p2pfd.core.encounter_claims import EncounterClaim, EncounterTerms
from p2pfd.core.encounter_events import Opened, Reported, Settled
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.ids import Account, Amount, Digest, account
from p2pfd.errors import ChainError
from p2pfd.incentives.encounter_registry import Seat
from p2pfd.incentives.encounter_state import Phase
from p2pfd.incentives.sortition import drawn_seats
from p2pfd.settlement import answers, contracts, encounters
from p2pfd.settlement.api import ChainAwayError, Draw, EncounterRules, LaneState, Opening
from p2pfd.settlement.encounter_calls import answer_in, opening_in, untold
from p2pfd.settlement.evm import EvmDesk
from p2pfd.settlement.trail import Trail

_SEATS_A_REQUEST = 50


class EvmEncounters(EvmDesk[EncounterClaim]):
    """`p2pfd.settlement.api.EncounterSettlement` over JSON-RPC."""

    @property
    def papers(self) -> Papers:
        """What is signed for this contract on this chain."""
        return encounters.papers(self._spec.chain_id, self.contract.address)

    async def account(self, who: Account) -> Balances:
        """Where an account's tokens are; what is in its seats is locked. What is in escrow is nobody's yet."""
        (in_wallet,), (free, unbonding, _) = await self._ask(
            (self._spec.token, contracts.token()["balanceOf"], (who,)), self._view("balances", who)
        )
        locked = sum(seat.balance for seat in await self.seats() if seat is not None and seat.holder == who)
        return Balances(Amount(in_wallet), Amount(free), Amount(locked), Amount(unbonding))

    async def ready(self, who: Account) -> int:
        """The second from which on what unbonds can be withdrawn."""
        ((_, _, ready),) = await self._ask(self._view("balances", who))
        return int(ready)

    async def rules(self) -> EncounterRules:
        """To what the contract was set up."""
        names = ("bond", "threshold", "longest", "unbond_seconds")
        told = await self._ask(*(self._view(name) for name in names))
        return EncounterRules(*(value for (value,) in told))

    async def seats(self) -> tuple[Seat | None, ...]:
        """The bonded validators, by seat; None for a hole."""
        ((count,),) = await self._ask(self._view("seat_count"))
        found: list[Seat | None] = []
        for first in range(0, count, _SEATS_A_REQUEST):
            numbers = range(first, min(count, first + _SEATS_A_REQUEST))
            for holder, *rest in await self._ask(*(self._view("seat_of", number) for number in numbers)):
                balance, valid, invalid, taken, left, left_at = rest
                there = int(holder, 16) != 0
                found.append(Seat(account(holder), balance, taken, left, left_at, valid, invalid) if there else None)
        return tuple(found)

    async def lane(self, learner: Account, lane: int = 0) -> LaneState:
        """How a learner's lane stands now."""
        ((phase, tag, ballot),) = await self._ask(self._view("lane_of", learner, lane))
        return LaneState(Phase(phase), tag if phase == Phase.IDLE else None, ballot)

    async def opening(self, key: int) -> Opening:
        """What was opened under a key, read from the transaction that did it."""
        found = await self._trail.find(
            lambda told: isinstance(told, Opened) and told.key == key,
            lambda sender, call: opening_in(call, sender, key, self.papers),
        )
        if found is None:
            raise untold("opens", key)
        return found

    async def answer(self, key: int) -> Digest:
        """The hash after that was reported or settled under a key, read from the transaction that did it."""
        found = await self._trail.find(
            lambda told: isinstance(told, (Reported, Settled)) and told.key == key,
            lambda _, call: answer_in(call, key),
        )
        if found is None:
            raise untold("gives an answer in", key)
        return found

    @property
    def _trail(self) -> Trail:
        return Trail(self._rpc, self.contract, self._caps.finality)

    async def drawn(self, terms: EncounterTerms, name: bytes, where: int) -> Draw:
        """Whom a draw in the next block would find, for an open encounter; ChainError before there can be one."""
        head = await self.now()
        if head.block < where_.opened_at(where):
            raise ChainAwayError("the chain's endpoint is behind the chain", "it is asked again")
        if not where_.seats_then(where):
            raise ChainError("nobody can be drawn for an encounter that is not open", "look at its events")
        block = where_.scheduled(where, head.block + 1)
        held = await self._rpc.call("eth_getBlockByNumber", hex(block), False)
        if held is None:
            raise ChainAwayError("the chain's endpoint is behind the chain", "it is asked again")
        seed = answers.digest(answers.record(held, "a block").get("hash"), "a block's hash")
        seats = await self.seats()
        parties = (terms.learner, terms.neighbor)

        def holder_of(number: int) -> Account | None:
            seat = seats[number]
            return seat.holder if seat is not None and seat.serves(block) and seat.holder not in parties else None

        keccak = self.papers.keccak
        found = drawn_seats(keccak(seed + name), where_.seats_then(where), terms.size, holder_of, keccak)
        return Draw(found, block)

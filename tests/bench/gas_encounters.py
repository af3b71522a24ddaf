"""Gas of one encounter, over all its transactions, from receipts: three validators, drawn from 24 bonded seats.

Words are written first by an account's deposit and a seat's taking, which have figures of their own; no encounter
writes a fresh one, not even the first. Figures are means: a draw that meets somebody twice reads a seat more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from p2pfd.core.claims import Deposit
from p2pfd.core.encounter_claims import UNSIGNED, EncounterTerms, Join, OpenMany, RevealVote, SettleMany
from p2pfd.core.encounter_events import Committed, Opened, Reported
from p2pfd.core.encounter_where import opened
from p2pfd.core.ids import Amount
from p2pfd.settlement.accounts import AccountKey
from tests.contracts.chain import key
from tests.contracts.encounter_chain import BOND, EncounterChain, opening

PARTIES = [key(number) for number in range(1, 22)]
SEATS = [key(number) for number in range(101, 125)]
OF = {each.account: each for each in SEATS}
TIMES = 10
YES = (True, True, True)
Part = tuple[EncounterTerms, bytes, AccountKey, AccountKey]


class Meter:
    """A chain on which encounters are played and counted."""

    def __init__(self) -> None:
        self.chain = EncounterChain(dict.fromkeys([*PARTIES, *SEATS], 10**9))
        self.chain.equip(PARTIES, SEATS[1:], 10**8)
        self.first_deposit = self.chain.done(SEATS[0], Deposit(Amount(BOND)))[0].gas_used
        self.first_join = self.chain.done(SEATS[0], Join())[0].gas_used
        self._nonces: dict[AccountKey, int] = {}

    def part(self, learner: AccountKey, neighbor: AccountKey) -> Part:
        """Terms for a learner's next encounter."""
        nonce = self._nonces.get(learner, 0)
        self._nonces[learner] = nonce + 1
        terms = self.chain.terms(learner, neighbor, nonce, prepayment=60_000)
        return terms, self.chain.details(nonce + 1), learner, neighbor

    def fast(self, votes: Sequence[bool] = YES, stranger: AccountKey | None = None) -> int:
        """Two transactions: the learner opens, the neighbor settles, or a stranger with its signature."""
        chain, (terms, details, learner, neighbor) = self.chain, self.part(*PARTIES[:2])
        where, block = chain.open(learner, chain.opening(terms, details, neighbor))
        chain.mine()
        members = chain.committee(terms, details, where, OF)
        claim = chain.settlement(terms, details, where, neighbor, members, votes)
        if stranger is None:
            claim = dataclasses.replace(claim, neighbor=UNSIGNED)
        return block.gas_used + chain.done(stranger or neighbor, claim)[0].gas_used

    def slow(self, commits: bool = False) -> int:
        """Each vote shown in a transaction of its own; each commitment too, or all of them signed in the report."""
        chain, (terms, details, learner, neighbor) = self.chain, self.part(*PARTIES[:2])
        where, block = chain.open(learner, chain.opening(terms, details, neighbor))
        gas = [block.gas_used]
        chain.mine()
        members = chain.committee(terms, details, where, OF)
        result = chain.result(terms, details, b"\3" * 32)
        signed = () if commits else tuple(chain.bound(result, seat, who, True) for seat, who in members)
        report = dataclasses.replace(chain.report(terms, details, where, neighbor, signed), neighbor=UNSIGNED)
        block, (event,) = chain.done(neighbor, report)
        assert isinstance(event, Reported)
        where, bound = event.where, event.bound
        gas.append(block.gas_used)
        for place, (_, who) in enumerate(members if commits else ()):
            block, (told,) = chain.done(who, chain.commitment(terms, result, where, bound, place, True))
            assert isinstance(told, Committed)
            bound = (*bound[:place], told.commitment, *bound[place + 1 :])
            gas.append(block.gas_used)
        for place, (seat, who) in enumerate(members):
            block, _ = chain.done(who, RevealVote(terms, result, where, bound, place, opening(seat, True)))
            gas.append(block.gas_used)
        return sum(gas)

    def batch(self, parts: Sequence[Part], sender: AccountKey) -> int:
        """Two transactions for all; where the sender is a party, it need not sign besides."""
        chain, own = self.chain, [neighbor == sender for _, _, _, neighbor in parts]
        openings = [chain.opening_of_both(*part) for part in parts]
        spared = [
            dataclasses.replace(one, neighbor=UNSIGNED) if mine else one
            for one, mine in zip(openings, own, strict=True)
        ]
        block, events = chain.done(sender, OpenMany(tuple(spared)))
        chain.mine()
        claims = []
        for (terms, details, _, neighbor), event, mine in zip(parts, events, own, strict=True):
            assert isinstance(event, Opened)
            where = opened(event.seats, block.number)
            members = chain.committee(terms, details, where, OF)
            claim = chain.settlement(terms, details, where, neighbor, members, YES)
            claims.append(dataclasses.replace(claim, neighbor=UNSIGNED) if mine else claim)
        return (block.gas_used + chain.done(sender, SettleMany(tuple(claims)))[0].gas_used) // len(parts)


def figures() -> dict[str, int]:
    """All of them, by name."""
    meter = Meter()
    found = {"encounter_deposit_first": meter.first_deposit, "encounter_join_first": meter.first_join}

    def mean(gas: Sequence[int]) -> int:
        return sum(gas) // len(gas)

    stranger = SEATS[0]
    found["encounter_fast"] = mean([meter.fast() for _ in range(TIMES)])
    found["encounter_fast_by_anyone"] = mean([meter.fast(stranger=stranger) for _ in range(TIMES)])
    found["encounter_fast_split"] = mean([meter.fast((True, False, True)) for _ in range(TIMES)])
    found["encounter_each_vote"] = mean([meter.slow() for _ in range(TIMES)])
    found["encounter_each_commitment_too"] = mean([meter.slow(commits=True) for _ in range(TIMES)])
    hub, others = PARTIES[0], PARTIES[1:]
    ring = [*others[1:], others[0]]
    hubs, rings = [], []
    for _ in range(4):
        hubs.append(meter.batch([meter.part(learner, hub) for learner in others], hub))
        rings.append(meter.batch([meter.part(*pair) for pair in zip(others, ring, strict=True)], stranger))
    found["encounter_batch20"] = mean(hubs[1:])
    found["encounter_batch20_ring"] = mean(rings[1:])
    return found


def table(found: dict[str, int]) -> str:
    """The figures, a line each, with what each is of."""
    of = {
        "encounter_fast": "two transactions: the learner opens, the neighbor settles with three votes for valid",
        "encounter_fast_by_anyone": "the same, settled by a stranger with the neighbor's signature",
        "encounter_fast_split": "the same as the first, one of the three votes for invalid",
        "encounter_each_vote": "five: open, report with signed commitments, a reveal of each validator",
        "encounter_each_commitment_too": "eight: each validator's commitment in a transaction too",
        "encounter_batch20": "a twentieth of two: one neighbor's twenty encounters, sent by it",
        "encounter_batch20_ring": "a twentieth of two: twenty parties in a ring, sent by a stranger",
        "encounter_deposit_first": "once an account: the deposit that writes its word",
        "encounter_join_first": "once a seat: taking it",
    }
    return "\n".join(f"{name:30} {found[name]:>8,}  {of[name]}" for name in of)

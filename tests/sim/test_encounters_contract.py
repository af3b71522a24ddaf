"""Devices on the contract itself, with real keys; of every claim the pure ledger beside it says the same."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.encounter_claims import EncounterClaim, Signature
from p2pfd.core.encounter_events import EncounterEvent
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.ids import Account
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.incentives.staking import Refused
from p2pfd.settlement import encounters
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.sim.encounter_chain import EncounterChain, Signer
from p2pfd.sim.encounters import WALLET, EncounterCast, EncounterPlan, EncounterReport, simulate_encounters, with_habits
from p2pfd.sim.world import Absence, WorldPlan
from tests.contracts import encounter_chain as real
from tests.contracts.chain import key

BOND = 10_000
HABITS = with_habits(
    encounters=1,
    bond=BOND,
    threshold=real.THRESHOLD,
    longest=real.LONGEST,
    unbond_seconds=real.UNBOND,
    look=60 * SECOND,
    until=Tick(200 * SECOND),
)


class Keys:
    """Real signatures, of real keys."""

    def __init__(self, keys: dict[Account, AccountKey], papers: Papers) -> None:
        self.papers = papers
        self._keys = keys

    def sign(self, who: Account, paper: bytes) -> Signature:
        return encounters.sign(self._keys[who], self.papers.digest(paper))

    def signer(self, digest: bytes, signature: Signature) -> Account | None:
        return encounters.signer(digest, signature)


class Contract(EncounterChain):
    """The contract on a chain in this process, and the ledger beside it."""

    def __init__(self, keys: dict[Account, AccountKey]) -> None:
        self.keys = keys
        self.real = real.EncounterChain(dict.fromkeys(keys.values(), WALLET), now=0, bond=BOND)
        signatures = Keys(keys, self.real.papers)
        super().__init__(dict.fromkeys(keys, WALLET), signatures, real.UNBOND, real.LONGEST, BOND, real.THRESHOLD)

    def carry_out(self, second: int, sender: Account, claim: EncounterClaim) -> tuple[int, tuple[EncounterEvent, ...]]:
        self.real.now = max(second, self.real.now)
        moment = self.real.moment()
        expected: tuple[EncounterEvent, ...] | str
        try:
            expected = self.book.apply(moment, sender, claim)
        except Refused as refusal:
            expected = str(refusal)
        block, events = self.real.play(self.keys[sender], claim)
        assert expected == (events if block.success else reason(block.output))
        if not block.success:
            raise Refused(str(expected))
        assert block.number == moment.block
        return block.number, events


class Cast(EncounterCast):
    def settling(self, root: Rng) -> tuple[list[Account], Signer, EncounterChain]:
        keys = [key(100 + node) for node in range(self.plan.world.nodes)]
        chain = Contract({each.account: each for each in keys})
        return [each.account for each in keys], Keys(chain.keys, chain.real.papers), chain


def run(plan: EncounterPlan) -> EncounterReport:
    cast = Cast(plan)
    report = simulate_encounters(plan, cast=cast)
    assert isinstance(cast.chain, Contract)
    contract = cast.chain.real
    assert report.held == contract.says("held")[0] == contract.wallet(contract.contract)
    for who in cast.accounts:
        assert contract.wallet(who) == cast.chain.book.balances(who).wallet
    assert report.in_wallets + report.held == plan.world.nodes * WALLET
    return report


def test_devices_settle_on_the_contract_by_signatures():
    report = run(EncounterPlan(WorldPlan(nodes=5), HABITS))
    assert report.refused == {}
    assert report.ends == {"learner accepted": 5, "neighbor settled": 5, "validator settled": 15}
    assert report.held == 0
    assert report.left == 5


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_devices_settle_on_the_contract_vote_by_vote_with_liars_misers_and_the_dead(seed: int):
    world = WorldPlan(
        nodes=7, loss=50_000, absences=(Absence(1, Tick(6 * SECOND), Tick(30 * SECOND)), Absence(4, Tick(7 * SECOND)))
    )
    plan = EncounterPlan(
        world,
        dataclasses.replace(HABITS, encounters=2),
        seed=seed,
        liars=frozenset({0}),
        misers=frozenset({2}),
    )
    report = run(plan)
    assert report.claims["ReportResult"] > 0
    assert report.claims["RevealVote"] > 0
    assert report.left == 6

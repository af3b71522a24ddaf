"""Numbers at their bounds and beyond them, in every width that the contract of encounters packs them into."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from p2pfd.core.claims import Deposit, Unstake, Withdraw
from p2pfd.core.encounter_claims import RULES, Collect
from p2pfd.core.ids import Amount, account_bytes
from p2pfd.incentives.encounter_award import INVALID, VALID, Stake, awarded
from p2pfd.settlement import encounters
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact, artifact
from tests.contracts.encounter_chain import GAS, UNBOND, EncounterChain, slot_of
from tests.contracts.encounter_stage import LEARNER, NEIGHBOR, OF, STRANGER, VALIDATORS, Stage

MAX_HELD = 2**63
LARGE = [2**63 + 1, 2**64 - 1, 2**64, 2**128, 2**160, 2**255, 2**256 - 1]
VOTES = [(True, True, True), (True, True, False), (True, False, False), (False, False, False)]
FIELDS = {
    # name: lowest bit, bits, why the largest value is refused; nothing where it fits
    "prepayment": (0, 64, "encounters: terms out of range"),
    "open_by": (64, 40, "encounters: terms out of range"),
    "learn_by": (104, 40, "encounters: lasts too long"),
    "nonce": (144, 40, "encounters: wrong nonce"),
    "vote_seconds": (184, 24, "encounters: lasts too long"),
    "share": (208, 24, "encounters: terms out of range"),
    "size": (232, 8, "encounters: terms out of range"),
    "rule": (240, 8, "encounters: terms out of range"),
    "lane": (248, 8, ""),
}


def full(contract: Artifact, bond: int = MAX_HELD // 8) -> Stage:
    """All is held that can be: a bond for each party and for each of three seats, and a stranger's rest."""
    wallets = dict.fromkeys(OF.values(), MAX_HELD)
    chain = EncounterChain(wallets, contract, bond=bond, supply=MAX_HELD * (len(wallets) + 1))
    stage = Stage(contract, VALIDATORS[:3], chain, bond)
    chain.done(STRANGER, Deposit(Amount(MAX_HELD - 5 * bond)))
    assert chain.says("held") == (MAX_HELD,)
    assert chain.refused(STRANGER, Deposit(Amount(1))) == "purse: too much"
    return stage


def largest_numbers_add_up(contract: Artifact, votes: Sequence[bool], share: int, rule: int) -> None:
    """A whole bond is prepaid: what everyone has then is to the unit what the ledger says."""
    stage = full(contract)
    bond = stage.chain.bond
    stage.open(prepayment=bond, share=share, rule=rule)
    stage.check(3, escrow=2 * bond)
    assert stage.free(LEARNER) == stage.free(NEIGHBOR) == 0
    seats = [seat for seat, _ in stage.members()]
    stage.chain.done(STRANGER, stage.settlement(votes))
    states = [VALID if vote else INVALID for vote in votes]
    expected = awarded(RULES[rule], bond, share, states, [Stake(bond)] * 3)
    assert (stage.free(LEARNER), stage.free(NEIGHBOR)) == (expected.learner, expected.neighbor)
    assert tuple(map(stage.in_seat, seats)) == expected.balances
    stage.check(3)
    out = stage.free(NEIGHBOR)
    if out:
        stage.chain.done(NEIGHBOR, Unstake(Amount(out)))
        stage.chain.now += UNBOND
        stage.chain.done(NEIGHBOR, Withdraw())
        assert stage.chain.says("held") == (MAX_HELD - out,)
    for seat in seats:
        if stage.in_seat(seat) > bond:
            stage.chain.done(VALIDATORS[seat], Collect(seat))
    stage.check(3)


@pytest.mark.parametrize("rule", range(3))
@pytest.mark.parametrize(("votes", "share"), [*((votes, 333_333) for votes in VOTES), (VOTES[1], 0), (VOTES[2], 10**6)])
def test_the_largest_numbers_add_up(votes: Sequence[bool], share: int, rule: int) -> None:
    largest_numbers_add_up(artifact("Encounters"), votes, share, rule)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


def why(stage: Stage, who: AccountKey, name: str, *arguments: object) -> str:
    """Why a call with these raw values is refused; it must be."""
    call = encounters.interface()[name].call(*arguments)
    block = stage.chain.send(who, stage.chain.contract, call, GAS)
    assert not block.success, f"{name}{arguments} was carried out"
    return reason(block.output)


@pytest.mark.parametrize("number", LARGE)
def test_amounts_and_places_that_are_too_large_are_refused(stage: Stage, number: int) -> None:
    held, free = stage.chain.says("held"), stage.free(VALIDATORS[0])
    assert why(stage, STRANGER, "deposit", number) == "purse: too much"
    assert why(stage, LEARNER, "unstake", number) == "purse: not enough free"
    assert why(stage, VALIDATORS[0], "top_up", 0, number) == "purse: not enough free"
    for name in ("leave", "come_back", "vacate", "collect"):
        assert why(stage, VALIDATORS[0], name, number) == "registry: not your seat"
    assert why(stage, VALIDATORS[0], "top_up", number, 1) == "registry: not your seat"
    assert (stage.chain.says("held"), stage.free(VALIDATORS[0])) == (held, free)
    stage.check(len(VALIDATORS))


def test_a_place_that_is_none_votes_for_nobody() -> None:
    stage = Stage()
    stage.open()
    stage.report([True, True, None])
    parties = (stage.terms.packed(), LEARNER.account, NEIGHBOR.account)
    for number in (3, 7, 2**14, 2**24, *LARGE):
        shown = (stage.result, stage.where, stage.bound, number)
        assert why(stage, STRANGER, "commit", *parties, *shown, bytes(32), 0, 0) == "encounters: not of the committee"
    stage.chain.now += stage.terms.vote_seconds + 1
    for number in (3, 7, 2**14, 2**24, *LARGE):
        shown = (stage.result, stage.where, stage.bound, number)
        assert why(stage, STRANGER, "reveal", *parties, *shown, 1) == "encounters: not of the committee"
        elsewhere = (stage.result, number, stage.bound, 0, 1)
        assert why(stage, STRANGER, "reveal", *parties, *elsewhere) == "encounters: not these terms"


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_the_terms_runs_over_into_its_neighbor(stage: Stage, name: str) -> None:
    """The largest value of each: it is refused for what it is, or is kept as it is; no other field is changed by it."""
    at, bits, expected = FIELDS[name]
    good = stage.chain.terms(LEARNER, NEIGHBOR)
    word = good.packed() | (2**bits - 1) << at
    details = stage.chain.details()
    wide = type(good).unpacked(word, LEARNER.account, NEIGHBOR.account)
    assert wide.packed() == word
    signed = stage.chain.signed_terms(wide, details, NEIGHBOR)
    if expected:
        found = why(stage, LEARNER, "open", word, NEIGHBOR.account, details, signed.r, signed.vs)
        assert found == expected
        return
    stage.chain.open(LEARNER, stage.chain.opening(wide, details, NEIGHBOR))
    assert stage.chain.says("lane_of", LEARNER.account, 255)[0] == 1
    assert stage.chain.says("lane_of", LEARNER.account, 0)[0] == 0
    stage.check(len(VALIDATORS), escrow=2 * good.prepayment)


def test_an_account_of_more_than_twenty_bytes_is_none(stage: Stage) -> None:
    """In a batch parties come as whole words: what stands above an account's bits is not cut off."""
    terms, details = stage.chain.terms(LEARNER, NEIGHBOR), stage.chain.details()
    both = stage.chain.opening_of_both(terms, details, LEARNER, NEIGHBOR)
    signatures = [both.learner.r, both.learner.vs, both.neighbor.r, both.neighbor.vs]
    parties = [int(LEARNER.account, 16), int(NEIGHBOR.account, 16)]
    for at in range(2):
        wide = [party | (1 << 160 if number == at else 0) for number, party in enumerate(parties)]
        part = [terms.packed(), *wide, int.from_bytes(details, "big"), *signatures]
        assert why(stage, STRANGER, "open_many", [part]) == "reverted without a reason"
    assert stage.chain.says("lane_of", LEARNER.account, 0)[0] == 0


@pytest.mark.parametrize(("before", "vote", "after"), [((511, 301), True, (256, 150)), ((9, 511), False, (4, 256))])
def test_a_history_is_halved_before_it_leaves_its_bits(
    before: tuple[int, int], vote: bool, after: tuple[int, int]
) -> None:
    """On either path; what stands beside it in the seat's word stays."""
    for fast in (True, False):
        stage = Stage(validators=VALIDATORS[:1])
        chain, slot = stage.chain, slot_of(stage.chain.slots().seats, 0)
        word = chain.word(slot) | before[0] << 15 | before[1]
        chain.ledger._accounts.set_storage(account_bytes(chain.contract), slot, word)
        chain.ledger._accounts.lock_changes()
        assert chain.says("seat_of", 0)[2:4] == before
        stage.open(size=1, prepayment=1_000)
        if fast:
            chain.done(STRANGER, stage.settlement((vote,)))
        else:
            stage.report([vote])
            chain.done(STRANGER, stage.reveal(0, vote))
        holder, balance, *history = chain.says("seat_of", 0)
        assert (str(holder), balance) == (VALIDATORS[0].account, chain.bond)
        assert tuple(history) == (*after, 0, 0, 0)

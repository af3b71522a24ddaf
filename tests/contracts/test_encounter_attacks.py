"""What someone could try against an encounter, and how it fails: choose judges, drop votes, copy, replay."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.claims import Deposit, Withdraw
from p2pfd.core.encounter_claims import (
    UNSIGNED,
    CommitVote,
    DrawCommittee,
    Join,
    Leave,
    OpenEncounter,
    OpenMany,
    RevealVote,
    Signature,
    Vote,
)
from p2pfd.core.encounter_where import drawn_by
from p2pfd.core.ids import Amount, account_bytes
from p2pfd.settlement import encounters
from p2pfd.settlement.abi import reason
from tests.contracts.chain import key
from tests.contracts.encounter_chain import BOND, GAS, opening
from tests.contracts.encounter_spoil import twin
from tests.contracts.encounter_stage import (
    AFTER,
    LEARNER,
    NEIGHBOR,
    OF,
    STRANGER,
    VALIDATORS,
    Stage,
    changed,
    with_new_seat,
)


@pytest.fixture
def stage() -> Stage:
    return Stage()


# -- the committee -----------------------------------------------------------------------------------------------------


def no_party_judges(stage: Stage) -> None:
    """Half of the seats are the parties' and one validator has three: committees are of three others, whoever draws.

    Both draws are asked in turn: that of `draw`, and the one that the fast path makes by itself.
    """
    for who in (LEARNER, NEIGHBOR, LEARNER, NEIGHBOR, VALIDATORS[0], VALIDATORS[0]):
        with_new_seat(stage, who)
    seen = set()
    chain = stage.chain
    for number in range(12):
        stage.open()
        members = stage.members()
        holders = [who for _, who in members]
        if number % 2:
            stage.draw()
            assert members == chain.members(stage.terms, stage.where, OF)
        assert len(set(holders)) == 3
        assert not {LEARNER, NEIGHBOR} & set(holders)
        seen |= set(holders)
        chain.done(
            STRANGER,
            chain.settlement(stage.terms, stage.details, stage.where, NEIGHBOR, members, [True] * 3, AFTER),
        )
    assert len(seen) == len(VALIDATORS)


def test_no_party_is_in_its_own_committee_and_nobody_twice(stage: Stage) -> None:
    no_party_judges(stage)


def test_the_committee_does_not_depend_on_what_happens_after_its_block(stage: Stage) -> None:
    stage.open()
    members = stage.members()
    with_new_seat(stage, STRANGER)
    for seat, who in members:
        stage.chain.done(who, Leave(seat))
    stage.chain.done(VALIDATORS[0], Join()) if stage.free(VALIDATORS[0]) >= BOND else None
    assert stage.members() == members
    stage.chain.done(NEIGHBOR, dataclasses.replace(stage.settlement(), neighbor=UNSIGNED))


def test_salts_and_blocks_both_draw(stage: Stage) -> None:
    drawn = set()
    for _ in range(8):
        stage.open()
        drawn.add(tuple(stage.members()))
        stage.chain.done(STRANGER, stage.settlement())
    assert len(drawn) > 2
    stage.open()
    others = set()
    for seed in range(20):  # had the parties other salts, the same block would draw others
        others.add(tuple(stage.chain.committee(stage.terms, stage.chain.details(seed), stage.where, OF)))
    assert len(others) > 5


def test_a_committee_that_somebody_fixed_outlasts_its_block_hash(stage: Stage) -> None:
    """The neighbor does not like it, and waits for another: anyone keeps it by fixing it in time."""
    stage.open()
    members = stage.members()
    stage.draw()
    stage.chain.mine(2_000)
    assert stage.chain.members(stage.terms, stage.where, OF) == members
    settle = stage.chain.settlement(stage.terms, stage.details, stage.where, NEIGHBOR, members, [True] * 3, AFTER)
    stage.chain.done(STRANGER, settle)


@pytest.mark.parametrize("blocks", [254, 255, 256, 257, 511, 512, 5_000])
def test_if_nobody_acts_for_long_it_can_still_be_settled(stage: Stage, blocks: int) -> None:
    stage.open()
    opened = stage.where & 2**40 - 1
    stage.chain.mine(blocks)
    settle = stage.settlement()
    stage.chain.done(STRANGER, settle)
    assert stage.parties() == (-600_000, 420_000)
    stage.open()
    stage.chain.mine(blocks)
    stage.draw()
    again = stage.where
    assert 1 <= stage.chain.ledger.head.number - drawn_by(again) <= 256
    assert opened < drawn_by(again)


def test_nobody_draws_in_the_block_of_the_opening() -> None:
    """Its hash is not there yet; and whoever opens cannot look and take it back."""
    stage = Stage()
    terms, details = stage.chain.terms(LEARNER, NEIGHBOR), stage.chain.details()
    name = stage.chain.papers.encounter(terms, details)
    where, block = stage.chain.open(LEARNER, stage.chain.opening(terms, details, NEIGHBOR))
    ledger = stage.chain.ledger
    ledger.head = dataclasses.replace(ledger.head, number=block.number - 1)  # the next one has the same number
    call = encounters.call_of(DrawCommittee(terms, name, where))
    outcome = ledger.call(bytes(20), account_bytes(stage.chain.contract), call, 0, 10**6)
    assert reason(outcome.output) == "encounters: no block since"


# -- votes -------------------------------------------------------------------------------------------------------------


def test_a_submitter_cannot_drop_a_vote(stage: Stage) -> None:
    stage.open()
    whole = stage.settlement((True, False, False))
    for at in range(3):
        less = dataclasses.replace(whole, votes=whole.votes[:at] + whole.votes[at + 1 :])
        assert stage.chain.refused(NEIGHBOR, less) == "encounters: not all votes"
        twice = (*whole.votes[:at], whole.votes[(at + 1) % 3], *whole.votes[at + 1 :])
        other = dataclasses.replace(whole, votes=twice)
        assert stage.chain.refused(NEIGHBOR, other) == "encounters: unsigned by member"
    shorter = changed(whole.terms, size=2)
    assert stage.chain.refused(NEIGHBOR, dataclasses.replace(whole, terms=shorter, votes=whole.votes[:2])) == (
        "encounters: not these terms"
    )
    stage.chain.done(STRANGER, whole)


def test_a_vote_cannot_change_after_others_were_shown(stage: Stage) -> None:
    """All signed the commitments: another opening of one makes every signature wrong."""
    stage.open()
    whole = stage.settlement((True, True, False))
    last = whole.votes[2]
    turned = Vote(last.signature, last.opening ^ 1)
    claim = dataclasses.replace(whole, votes=(*whole.votes[:2], turned))
    assert stage.chain.refused(STRANGER, claim) == "encounters: unsigned by member"


def test_a_copied_commitment_opens_for_nobody_else(stage: Stage) -> None:
    stage.open()
    members = stage.report([True, None, None])
    (_, copier), (first, _) = members[1], members[0]
    copied = CommitVote(stage.terms, stage.result, stage.where, stage.bound, 1, stage.bound[0])
    stage.chain.done(copier, copied)
    stage.bound = (stage.bound[0], stage.bound[0], stage.bound[2])
    stage.commit(2, members[2][1], vote=True)
    stage.chain.done(STRANGER, stage.reveal(0, vote=True))
    stolen = RevealVote(stage.terms, stage.result, stage.where, stage.bound, 1, opening(first, vote=True))
    assert stage.chain.refused(copier, stolen) == "encounters: not its commitment"


def test_an_opening_that_another_sends_first_votes_for_its_owner(stage: Stage) -> None:
    """Whoever sees it before it is in a block may send it: the owner's own is refused then, and the owner is paid."""
    stage.open()
    members = stage.report([True, True, True])
    stage.chain.done(STRANGER, stage.reveal(0, vote=True))
    assert stage.chain.refused(members[0][1], stage.reveal(0, vote=True)) == "encounters: nothing to open"
    assert stage.chain.refused(STRANGER, stage.reveal(1, vote=False)) == "encounters: not its commitment"
    for place in (1, 2):
        stage.chain.done(STRANGER, stage.reveal(place, vote=True))
    assert [stage.in_seat(seat) - BOND for seat, _ in members] == [180_000 // 3] * 3
    assert stage.free(STRANGER) == 0
    stage.check(len(VALIDATORS))


def test_nobody_votes_twice_or_for_another(stage: Stage) -> None:
    stage.open()
    members = stage.report([True, None, None])
    chain, (seat, who) = stage.chain, members[1]
    again = chain.commitment(stage.terms, stage.result, stage.where, stage.bound, 0, vote=False)
    assert chain.refused(members[0][1], again) == "encounters: already committed"
    other = chain.commitment(stage.terms, stage.result, stage.where, stage.bound, 1, vote=False)
    for stranger in (STRANGER, LEARNER, members[0][1]):
        assert chain.refused(stranger, other) == "encounters: unsigned by member"
    signed = chain.bound(stage.result, seat, who, vote=False)
    forged = dataclasses.replace(other, signature=twin(signed.signature))
    assert chain.refused(STRANGER, forged) == "encounters: unsigned by member"
    stage.commit(1, who, vote=False)
    assert chain.refused(who, stage.reveal(0, vote=True)) == "encounters: commitments not over"
    stage.commit(2, members[2][1], vote=False)
    chain.done(who, stage.reveal(1, vote=False))
    assert chain.refused(who, stage.reveal(1, vote=False)) == "encounters: nothing to open"
    assert chain.refused(who, stage.reveal(0, vote=False)) == "encounters: not its commitment"


def shorter_list_opens_nothing(stage: Stage) -> None:
    """A list that begins later, with what came before hashed into the result, is another list."""
    stage.open()
    members = stage.report([True, True, True])
    inside = stage.chain.papers.keccak(stage.result + stage.bound[0])
    claim = RevealVote(stage.terms, inside, stage.where, stage.bound[1:], 0, opening(members[1][0], vote=True))
    assert stage.chain.refused(STRANGER, claim) == "encounters: not these terms"
    longer = dataclasses.replace(stage.reveal(0, vote=True), bound=(*stage.bound, bytes(32)))
    assert stage.chain.refused(STRANGER, longer) == "encounters: not these terms"


def test_a_list_of_other_length_opens_nothing(stage: Stage) -> None:
    shorter_list_opens_nothing(stage)


# -- signatures --------------------------------------------------------------------------------------------------------


def no_twin_is_taken(stage: Stage) -> None:
    chain, terms, details = stage.chain, stage.chain.terms(LEARNER, NEIGHBOR), stage.chain.details()
    claim = chain.opening(terms, details, NEIGHBOR)
    bad = dataclasses.replace(claim, neighbor=twin(claim.neighbor))
    assert chain.refused(LEARNER, bad) == "encounters: unsigned by neighbor"
    both = chain.opening_of_both(terms, details, LEARNER, NEIGHBOR)
    bad_one = dataclasses.replace(both, learner=twin(both.learner))
    assert chain.refused(STRANGER, OpenMany((bad_one,))) == "encounters: unsigned by learner"
    stage.open()
    whole = stage.settlement()
    turned = dataclasses.replace(whole, neighbor=twin(whole.neighbor))
    assert chain.refused(STRANGER, turned) == "encounters: not these terms"
    first = Vote(twin(whole.votes[0].signature), whole.votes[0].opening)
    claim_two = dataclasses.replace(whole, votes=(first, *whole.votes[1:]))
    assert chain.refused(STRANGER, claim_two) == "encounters: unsigned by member"
    chain.done(STRANGER, whole)


def test_of_a_signature_only_one_form_is_taken(stage: Stage) -> None:
    no_twin_is_taken(stage)


def test_nothing_signs_for_the_neighbor(stage: Stage) -> None:
    stage.open()
    whole = stage.settlement()
    for signature in (UNSIGNED, Signature(0, 1), Signature(1, 0), whole.votes[0].signature):
        claim = dataclasses.replace(whole, neighbor=signature)
        assert stage.chain.refused(STRANGER, claim) == "encounters: not these terms"
    other = dataclasses.replace(whole, after=b"\4" * 32)
    assert stage.chain.refused(STRANGER, other) == "encounters: not these terms"
    assert (
        stage.chain.refused(NEIGHBOR, dataclasses.replace(other, neighbor=UNSIGNED)) == "encounters: unsigned by member"
    )


def test_signatures_are_for_one_encounter(stage: Stage) -> None:
    stage.open()
    first = stage.settlement()
    opening_once = stage.chain.opening(stage.terms, stage.details, NEIGHBOR)
    assert stage.chain.refused(LEARNER, opening_once) == "encounters: lane in use"
    stage.chain.done(STRANGER, first)
    assert stage.chain.refused(LEARNER, opening_once) == "encounters: wrong nonce"
    assert stage.chain.refused(STRANGER, first) == "encounters: not in play"
    stage.open()
    second = stage.settlement()
    old = dataclasses.replace(second, votes=first.votes)
    assert stage.chain.refused(STRANGER, old) == "encounters: unsigned by member"
    assert stage.chain.refused(STRANGER, dataclasses.replace(second, neighbor=first.neighbor)) == (
        "encounters: not these terms"
    )
    other_lane = dataclasses.replace(opening_once, terms=changed(opening_once.terms, lane=1))
    assert stage.chain.refused(LEARNER, other_lane) == "encounters: unsigned by neighbor"


def test_signatures_are_for_one_chain_and_one_contract(stage: Stage) -> None:
    terms, details = stage.chain.terms(LEARNER, NEIGHBOR), stage.chain.details()
    claim = stage.chain.opening(terms, details, NEIGHBOR)
    other = encounters.papers(31_338, stage.chain.contract)
    digest = other.digest(other.encounter(terms, details))
    foreign = dataclasses.replace(claim, neighbor=encounters.sign(NEIGHBOR, digest))
    assert stage.chain.refused(LEARNER, foreign) == "encounters: unsigned by neighbor"
    copy = encounters.papers(31_337, key(77).account)
    foreign = dataclasses.replace(
        claim, neighbor=encounters.sign(NEIGHBOR, copy.digest(copy.encounter(terms, details)))
    )
    assert stage.chain.refused(LEARNER, foreign) == "encounters: unsigned by neighbor"
    stage.chain.done(LEARNER, claim)


def a_split_chain_has_signatures_of_its_own(stage: Stage) -> None:
    """A chain splits off, with all that is on this one and a number of its own: what was signed here is void there."""
    chain, terms, details = stage.chain, stage.chain.terms(LEARNER, NEIGHBOR), stage.chain.details()
    claim = chain.opening(terms, details, NEIGHBOR)
    chain.ledger.chain_id = 31_338

    def asked(claim: OpenEncounter) -> str:
        who, at = account_bytes(LEARNER.account), account_bytes(chain.contract)
        outcome = chain.ledger.call(who, at, encounters.call_of(claim), 0, GAS)
        return "" if outcome.success else reason(outcome.output)

    assert asked(claim) == "encounters: unsigned by neighbor"
    there = encounters.papers(31_338, chain.contract)
    digest = there.digest(there.encounter(terms, details))
    assert asked(dataclasses.replace(claim, neighbor=encounters.sign(NEIGHBOR, digest))) == ""


def test_a_chain_that_splits_off_has_signatures_of_its_own(stage: Stage) -> None:
    a_split_chain_has_signatures_of_its_own(stage)


def test_after_a_reorganisation_old_votes_do_not_fit_another_committee(stage: Stage) -> None:
    """The same terms are opened again on another fork; its block hash draws others, for whom no old vote stands."""
    stage.open()
    first, settled = stage.members(), stage.settlement()
    fork = Stage()
    for _ in range(3):
        fork.chain.mine()
        fork.chain.now += 1
    fork.terms, fork.details, fork.name = stage.terms, stage.details, stage.name
    fork.where, _ = fork.chain.open(LEARNER, fork.chain.opening(stage.terms, stage.details, NEIGHBOR))
    fork.chain.mine()
    assert fork.members() != first
    there = dataclasses.replace(settled, where=fork.where)
    assert fork.chain.refused(STRANGER, there) == "encounters: unsigned by member"
    fork.result = stage.result
    fork.chain.done(STRANGER, fork.settlement())


# -- batches -----------------------------------------------------------------------------------------------------------


def batches_carry_settlements_alone(stage: Stage) -> None:
    of, chain = encounters.interface(), stage.chain
    for claim in (Withdraw(), Deposit(Amount(1)), Join()):
        data = of["settle_many"].call([encounters.call_of(claim)])
        block = chain.send(STRANGER, chain.contract, data, 10**6)
        assert (block.success, reason(block.output)) == (False, "encounters: not a batch")
    block = chain.send(STRANGER, chain.contract, of["settle_many"].call([b"abc"]), 10**6)
    assert (block.success, reason(block.output)) == (False, "encounters: not a batch")


def test_a_batch_carries_settlements_alone(stage: Stage) -> None:
    batches_carry_settlements_alone(stage)


def test_who_opens_for_others_needs_both_signatures(stage: Stage) -> None:
    chain, terms, details = stage.chain, stage.chain.terms(LEARNER, NEIGHBOR), stage.chain.details()
    both = chain.opening_of_both(terms, details, LEARNER, NEIGHBOR)
    for missing in ("learner", "neighbor"):
        part = dataclasses.replace(both, **{missing: UNSIGNED})
        assert chain.refused(STRANGER, OpenMany((part,))) == f"encounters: unsigned by {missing}"
    assert chain.refused(STRANGER, OpenMany((both, both))) == "encounters: lane in use"
    assert stage.parties() == (0, 0)
    chain.done(NEIGHBOR, OpenMany((dataclasses.replace(both, neighbor=UNSIGNED),)))

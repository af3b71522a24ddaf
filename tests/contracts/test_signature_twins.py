"""Each signature has a twin whose s is above half the order; compact signatures have room for almost none of these.

Here a key is made for one message, so that both forms of its signature fit: only the size of s tells them apart.
"""

from __future__ import annotations

from coincurve import PrivateKey

from p2pfd.core.claims import Deposit
from p2pfd.core.encounter_claims import CommitVote, Join, ReportResult, SettleEncounter, Signature, Vote
from p2pfd.core.encounter_events import Reported
from p2pfd.core.ids import Amount
from p2pfd.settlement import contracts, encounters
from p2pfd.settlement.accounts import ORDER, AccountKey
from p2pfd.settlement.artifacts import Artifact, artifact
from tests.contracts.chain import BOSS
from tests.contracts.encounter_chain import BOND, opening
from tests.contracts.encounter_stage import AFTER, LEARNER, NEIGHBOR, STRANGER, Stage

NUMBER = 0x1234567
"""The secret number of the signature, which anyone may choose who makes its own key."""


def made_for(digest: bytes) -> tuple[AccountKey, Signature, Signature]:
    """A key, its signature of a digest, and that signature's twin; both have an s of 255 bits."""
    point = PrivateKey(NUMBER.to_bytes(32, "big")).public_key.format(compressed=False)
    r, odd = int.from_bytes(point[1:33], "big") % ORDER, point[64] & 1
    high = ORDER // 2 + 1
    secret = (high * NUMBER - int.from_bytes(digest, "big")) * pow(r, -1, ORDER) % ORDER
    return (
        AccountKey(secret.to_bytes(32, "big")),
        Signature(r, ORDER - high | (1 - odd) << 255),
        Signature(r, high | odd << 255),
    )


class Alone:
    """An encounter whose only judge has a key that was made for what it will sign."""

    def __init__(self, contract: Artifact) -> None:
        self.stage = Stage(contract, validators=[])
        chain = self.chain = self.stage.chain
        self.terms, self.details = chain.terms(LEARNER, NEIGHBOR, size=1), chain.details()
        self.result = chain.result(self.terms, self.details, AFTER)
        self.commitment = chain.papers.commitment(self.result, 0, opening(0, vote=True))

    def begin(self, judge: AccountKey) -> int:
        """The judge takes the only seat, and the parties begin; how it stands then."""
        chain = self.chain
        chain.must(BOSS, chain.token, contracts.token()["transfer"].call(judge.account, BOND))
        chain.must(judge, chain.token, contracts.token()["approve"].call(chain.contract, BOND))
        chain.done(judge, Deposit(Amount(BOND)))
        chain.done(judge, Join())
        where, _ = chain.open(LEARNER, chain.opening(self.terms, self.details, NEIGHBOR))
        chain.mine()
        return where

    def report(self, where: int) -> ReportResult:
        return self.chain.report(self.terms, self.details, where, NEIGHBOR, (), AFTER)


def no_twin_of_a_commitment(contract: Artifact) -> None:
    """It would not be anybody's loss here, but what is sent twice has to look the same twice."""
    at = Alone(contract)
    papers = at.chain.papers
    judge, low, high = made_for(papers.digest(papers.bound(at.result, at.commitment)))
    _, (event,) = at.chain.done(STRANGER, at.report(at.begin(judge)))
    assert isinstance(event, Reported)
    claim = CommitVote(at.terms, at.result, event.where, event.bound, 0, at.commitment, high)
    assert at.chain.refused(STRANGER, claim) == "encounters: unsigned by member"
    at.chain.done(STRANGER, CommitVote(at.terms, at.result, event.where, event.bound, 0, at.commitment, low))


def no_twin_of_a_ballot(contract: Artifact) -> None:
    """The fast path looks at signatures by itself."""
    at = Alone(contract)
    papers = at.chain.papers
    judge, low, high = made_for(papers.digest(papers.ballot(at.result, [at.commitment])))
    where = at.begin(judge)
    name = papers.encounter(at.terms, at.details)
    by_neighbor = encounters.sign(NEIGHBOR, papers.digest(at.result))

    def signed(form: Signature) -> SettleEncounter:
        return SettleEncounter(at.terms, name, where, AFTER, by_neighbor, (Vote(form, opening(0, vote=True)),))

    assert at.chain.refused(STRANGER, signed(high)) == "encounters: unsigned by member"
    at.chain.done(STRANGER, signed(low))


def test_the_twin_of_a_commitment_s_signature_is_none() -> None:
    no_twin_of_a_commitment(artifact("Encounters"))


def test_the_twin_of_a_ballot_s_signature_is_none() -> None:
    no_twin_of_a_ballot(artifact("Encounters"))

"""Every reason for which the contracts refuse, provoked, on both sides."""

from __future__ import annotations

import dataclasses
import re

import pytest

from p2pfd.core.claims import (
    Advance,
    Claim,
    CommitLabels,
    Deposit,
    Enrol,
    MarketTerms,
    OpenTask,
    RevealLabels,
    SettleRound,
    Unstake,
    Withdraw,
)
from p2pfd.core.ids import Amount, Digest, RoundId, TaskId, account_bytes
from p2pfd.core.labels import commitment, pack
from p2pfd.incentives.market import Market
from p2pfd.incentives.staking import Refused
from p2pfd.settlement import contracts
from p2pfd.settlement.abi import reason
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.embedded.ledger import GAS_LIMIT
from tests.contracts.chain import UNBOND_SECONDS, Contracts, key
from tests.contracts.compiler import SOURCES, mock

A, B, C, D = KEYS = [key(number) for number in (1, 2, 3, 4)]
TASK, OTHER = TaskId(b"\1" * 32), TaskId(b"\2" * 32)
SALT = b"\5" * 32
LABELS = pack(bytes([0, 1, 1]))
TERMS = MarketTerms(
    task=TASK,
    samples=3,
    classes=2,
    rounds=2,
    pot=Amount(10),
    rate=Amount(5),
    bond=Amount(7),
    forfeit=Amount(7),
    quorum=1,
    seats=2,
    enrol_seconds=10,
    commit_seconds=10,
    reveal_seconds=10,
)
R0 = RoundId(0)


class Stage:
    """Both ledgers, and what they have refused so far."""

    def __init__(self) -> None:
        self.chain = Contracts(dict.fromkeys(KEYS, 1_000))
        self.market = Market({each.account: 1_000 for each in KEYS}, UNBOND_SECONDS)
        self.provoked: set[str] = set()

    def does(self, who: int, claim: Claim) -> None:
        block, events = self.chain.carry_out(KEYS[who], claim)
        assert block.success, reason(block.output)
        assert events == self.market.apply(self.chain.now, KEYS[who].account, claim)

    def refuses(self, who: int, claim: Claim, why: str) -> None:
        block, events = self.chain.carry_out(KEYS[who], claim)
        assert not block.success
        assert reason(block.output) == why
        assert events == ()
        with pytest.raises(Refused) as refusal:
            self.market.apply(self.chain.now, KEYS[who].account, claim)
        assert refusal.value.what == why
        self.provoked.add(why)


def bound(who: int, labels: bytes = LABELS) -> Digest:
    return commitment(TASK, R0, KEYS[who].account, SALT, labels)


def test_every_reason_is_given_when_it_should_be() -> None:
    at = Stage()
    at.refuses(0, Deposit(Amount(0)), "staking: nothing to deposit")
    at.refuses(0, Deposit(Amount(1_001)), "erc20: transfer amount exceeds balance")
    for who in range(4):
        at.does(who, Deposit(Amount(500)))
    at.refuses(0, Unstake(Amount(0)), "staking: nothing to unstake")
    at.refuses(0, Unstake(Amount(501)), "staking: not enough free")
    at.refuses(0, Withdraw(), "staking: nothing to withdraw")
    at.does(0, Unstake(Amount(2)))
    at.chain.now += UNBOND_SECONDS // 2
    at.does(0, Unstake(Amount(3)))
    at.chain.now += UNBOND_SECONDS - 1
    at.refuses(0, Withdraw(), "staking: still unbonding")
    at.chain.now += 1
    at.does(0, Withdraw())

    for wrong, why in {
        ("samples", 0): "market: samples out of range",
        ("samples", 1025): "market: samples out of range",
        ("classes", 1): "market: classes out of range",
        ("classes", 16): "market: classes out of range",
        ("rounds", 0): "market: rounds out of range",
        ("rounds", 10_001): "market: rounds out of range",
        ("seats", 0): "market: seats out of range",
        ("seats", 65): "market: seats out of range",
        ("quorum", 0): "market: quorum out of range",
        ("quorum", 3): "market: quorum out of range",
        ("pot", 2**63 + 1): "market: amount out of range",
        ("rate", 2**63 + 1): "market: amount out of range",
        ("bond", 2**63 + 1): "market: amount out of range",
        ("forfeit", 8): "market: forfeit exceeds bond",
        ("enrol_seconds", 0): "market: seconds out of range",
        ("commit_seconds", 30 * 86_400 + 1): "market: seconds out of range",
        ("reveal_seconds", 0): "market: seconds out of range",
        ("pot", 2**63): "staking: not enough free",
    }.items():
        at.refuses(0, OpenTask(dataclasses.replace(TERMS, **{wrong[0]: wrong[1]})), why)
    at.refuses(1, Enrol(TASK), "market: no such task")
    at.refuses(1, Advance(TASK), "market: not running")
    at.does(0, OpenTask(TERMS))
    at.refuses(0, OpenTask(TERMS), "market: task exists")
    at.does(0, OpenTask(dataclasses.replace(TERMS, task=OTHER)))
    at.does(1, Enrol(TASK))
    at.refuses(1, Enrol(TASK), "market: already enrolled")
    at.refuses(1, CommitLabels(TASK, R0, bound(1)), "market: takes no commitments")
    at.refuses(1, Advance(TASK), "market: too early")
    at.chain.now += 11
    at.refuses(2, Enrol(OTHER), "market: too late")
    at.does(3, Advance(OTHER))
    at.refuses(2, Enrol(OTHER), "market: closed")
    at.does(3, Advance(TASK))

    at.refuses(1, CommitLabels(TASK, RoundId(1), bound(1)), "market: wrong round")
    at.refuses(2, CommitLabels(TASK, R0, bound(2)), "market: not in this round")
    at.does(2, Enrol(TASK))
    at.refuses(3, Enrol(TASK), "market: no seat free")
    at.refuses(2, CommitLabels(TASK, R0, bound(2)), "market: not in this round")
    at.refuses(1, RevealLabels(TASK, R0, SALT, LABELS), "market: takes no reveals")
    at.does(1, CommitLabels(TASK, R0, bound(1)))
    at.refuses(1, CommitLabels(TASK, R0, bound(1)), "market: takes no commitments")
    at.refuses(1, RevealLabels(TASK, RoundId(1), SALT, LABELS), "market: wrong round")
    at.refuses(2, RevealLabels(TASK, R0, SALT, LABELS), "market: nothing committed")
    at.refuses(1, RevealLabels(TASK, R0, SALT, LABELS * 2), "market: wrong length")
    at.refuses(1, RevealLabels(TASK, R0, SALT, b""), "market: wrong length")
    behind = bytes([0x10]) + LABELS[1:]
    at.refuses(1, RevealLabels(TASK, R0, SALT, behind), "market: labels past the samples")
    at.refuses(1, RevealLabels(TASK, R0, b"\6" * 32, LABELS), "market: not what was committed")
    at.refuses(1, SettleRound(TASK, R0), "market: nothing to settle")
    at.does(1, RevealLabels(TASK, R0, SALT, LABELS))
    at.refuses(1, Advance(TASK), "market: settle the round first")
    at.refuses(1, SettleRound(TASK, RoundId(1)), "market: wrong round")
    at.does(3, SettleRound(TASK, R0))

    second = RoundId(1)
    later = [commitment(TASK, second, KEYS[who].account, SALT, LABELS) for who in range(4)]
    at.does(1, CommitLabels(TASK, second, later[1]))
    at.refuses(1, CommitLabels(TASK, second, later[1]), "market: already committed")
    at.refuses(3, Enrol(TASK), "market: no further round")
    at.chain.now += 11
    at.refuses(2, CommitLabels(TASK, second, later[2]), "market: too late")
    at.does(3, Advance(TASK))
    at.chain.now += 11
    at.refuses(1, RevealLabels(TASK, second, SALT, LABELS), "market: too late")
    at.does(3, Advance(TASK))
    assert at.market.staking.held == 4 * 500 - 5
    at.market.check()

    revealed_twice(at)
    text = "".join(map(source, ("LabelMarket", "rounds", "staking")))
    written = set(re.findall(r'"((?:market|staking): [^"]+)"', text))
    assert written - at.provoked == {"staking: the token did not move"}


def source(name: str) -> str:
    """A contract's text."""
    return (SOURCES / f"{name}.vy").read_text()


def revealed_twice(at: Stage) -> None:
    third = TaskId(b"\3" * 32)
    at.does(0, OpenTask(dataclasses.replace(TERMS, task=third, rounds=1)))
    for who in (1, 2):
        at.does(who, Enrol(third))
    for who in (1, 2):
        at.does(who, CommitLabels(third, R0, commitment(third, R0, KEYS[who].account, SALT, LABELS)))
    at.does(1, RevealLabels(third, R0, SALT, LABELS))
    at.refuses(1, RevealLabels(third, R0, SALT, LABELS), "market: already revealed")


def test_a_token_that_does_not_move_credits_nothing() -> None:
    a_token_that_does_not_move(artifact("LabelMarket"))


def a_token_that_does_not_move(market: Artifact) -> None:
    chain = Contracts({})
    stubborn = chain.deploy(mock("StubbornToken").bytecode)
    at = chain.deploy(market.bytecode + account_bytes(stubborn).rjust(32, b"\0") + bytes(32))
    block = chain.send(A, at, contracts.call_of(Deposit(Amount(5))), GAS_LIMIT)
    assert not block.success
    assert reason(block.output) == "staking: the token did not move"
    assert chain.ledger.call(
        bytes(20), account_bytes(at), contracts.market()["held"].call(), 0, GAS_LIMIT
    ).output == bytes(32)

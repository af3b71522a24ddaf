"""Any claim from anyone in any order: the contracts and the pure ledger do the same and refuse for the same reasons."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from p2pfd.core.claims import (
    Advance,
    BondForfeited,
    ChainEvent,
    Claim,
    CommitLabels,
    Deposit,
    Enrol,
    MarketTerms,
    OpenTask,
    RevealLabels,
    RoundSettled,
    SettleRound,
    Unstake,
    Withdraw,
    WorkerPaid,
)
from p2pfd.core.ids import Account, Amount, Digest, RoundId, TaskId
from p2pfd.core.labels import commitment, packed_size
from p2pfd.core.rng import Rng
from p2pfd.incentives.market import Market, Phase
from p2pfd.incentives.staking import Refused
from p2pfd.settlement.abi import reason
from tests.contracts.chain import BOSS, SUPPLY, UNBOND_SECONDS, Contracts, key

KEYS = [key(number) for number in range(1, 7)]
WALLET = 1_000
TASKS = [TaskId(bytes([number]) * 32) for number in (1, 2, 3)]
SALT = b"\7" * 32

KINDS = ["open", "enrol", "commit", "reveal", "advance", "settle", "deposit", "unstake", "withdraw"]

who = st.integers(0, len(KEYS) - 1)
which = st.sampled_from(TASKS)


def small(task: TaskId, shape: int) -> MarketTerms:
    """Terms of several shapes; the amounts do not divide, and phases are short."""
    return MarketTerms(
        task=task,
        samples=(1, 64, 70, 130)[shape % 4],
        classes=2 + shape % 3,
        rounds=1 + shape % 3,
        pot=Amount((0, 101, 37)[shape % 3]),
        rate=Amount((13, 1_000, 0, 90)[shape % 4]),
        bond=Amount((0, 25, 53)[shape % 3]),
        forfeit=Amount((0, 25, 17)[shape % 3]),
        quorum=1 + shape % 2,
        seats=2 + shape % 5,
        enrol_seconds=10,
        commit_seconds=1 + shape % 10,
        reveal_seconds=5,
    )


class Both(RuleBasedStateMachine):
    """Each claim goes to both; whatever one can be asked, both are asked."""

    def __init__(self) -> None:
        super().__init__()
        self.reached: set[str] = set()
        wallets = dict.fromkeys(KEYS, WALLET)
        self.chain = Contracts(wallets)
        rest = SUPPLY - WALLET * len(KEYS)
        known: dict[Account, int] = {BOSS.account: rest} | {each.account: WALLET for each in KEYS}
        self.market = Market(known, UNBOND_SECONDS)

    def claim(self, sender: int, claim: Claim) -> None:
        account = KEYS[sender]
        block, events = self.chain.carry_out(account, claim)
        there = "" if block.success else reason(block.output)
        here: str = ""
        expected: tuple[ChainEvent, ...] = ()
        try:
            expected = self.market.apply(self.chain.now, account.account, claim)
        except Refused as refusal:
            here = refusal.what
        assert there == here, f"{claim}: the contract says {there!r}, the ledger {here!r}"
        assert events == expected
        self.note(events)

    def note(self, events: tuple[ChainEvent, ...]) -> None:
        """Remember which kinds of thing have happened, so that a walk that meets none of them cannot pass."""
        for event in events:
            self.reached.add(type(event).__name__)
            match event:
                case WorkerPaid(amount=amount) if amount > 0:
                    self.reached.add("paid")
                case RoundSettled(counted=False):
                    self.reached.add("void")
                case BondForfeited(task=task, amount=amount) if amount > 0:
                    state = self.market.task(task)
                    some = state is not None and state.revealed
                    self.reached.add("forfeited to others" if some else "forfeited to nobody")

    # -- what usually happens --

    @initialize(shapes=st.tuples(*[st.integers(0, 400)] * 3))
    def begin(self, shapes: tuple[int, ...]) -> None:
        for sender in range(len(KEYS)):
            self.claim(sender, Deposit(Amount(WALLET if sender == 0 else WALLET // 2)))
        for task, shape in zip(TASKS, shapes, strict=True):
            self.claim(0, OpenTask(small(task, shape)))
            self.all_but_one_act(task, None)

    @rule(task=which, absent=st.sampled_from([None, None, None, None, 1, 2, 5]))
    def all_but_one_act(self, task: TaskId, absent: int | None) -> None:
        """The step that the task waits for, by everyone or by all but one."""
        state = self.market.task(task)
        assert state is not None
        if state.phase in (Phase.GATHER, Phase.COMMIT, Phase.REVEAL) and self.chain.now > state.deadline:
            self.claim(0, Advance(task))
        phase = state.phase
        rnd, _ = self.labels(task, 0)
        for sender, each in enumerate(KEYS):
            _, labels = self.labels(task, (rnd + sender) % 4)
            if sender == absent or state.phase != phase:
                continue
            if phase == Phase.GATHER:
                self.claim(sender, Enrol(task))
            elif phase == Phase.COMMIT and state.seat_of(each.account) is not None:
                self.claim(sender, CommitLabels(task, rnd, commitment(task, rnd, each.account, SALT, labels)))
            elif phase == Phase.REVEAL and state.seat_of(each.account) is not None:
                self.claim(sender, RevealLabels(task, rnd, SALT, labels))
            elif phase == Phase.SETTLE:
                self.claim(sender, SettleRound(task, rnd))

    @rule(sender=who, task=which)
    def time_out(self, sender: int, task: TaskId) -> None:
        state = self.market.task(task)
        assert state is not None
        self.chain.now = max(self.chain.now, state.deadline + 1)
        self.claim(sender, Advance(task))

    # -- what may happen --

    @rule(
        sender=who,
        task=which,
        kind=st.sampled_from(KINDS),
        number=st.integers(0, WALLET),
        off=st.sampled_from([0, 0, 0, 1]),
        noise=st.one_of(st.none(), st.none(), st.binary(min_size=32, max_size=96)),
    )
    def stray(self, sender: int, task: TaskId, kind: str, number: int, off: int, noise: bytes | None) -> None:
        """One claim of any kind, whether it fits or not."""
        rnd, labels = self.labels(task, number % 4)
        bound = commitment(task, rnd, KEYS[sender].account, SALT, labels)
        if noise is not None:
            labels, bound = noise, Digest(noise[:32])
        claims: dict[str, Claim] = {
            "open": OpenTask(small(task, number)),
            "enrol": Enrol(task),
            "commit": CommitLabels(task, RoundId(rnd + off), bound),
            "reveal": RevealLabels(task, RoundId(rnd + off), SALT, labels),
            "advance": Advance(task),
            "settle": SettleRound(task, RoundId(rnd + off)),
            "deposit": Deposit(Amount(number // 2)),
            "unstake": Unstake(Amount(number // 4)),
            "withdraw": Withdraw(),
        }
        self.claim(sender, claims[kind])

    @rule(seconds=st.sampled_from([1, 3, 12, 101]))
    def wait(self, seconds: int) -> None:
        self.chain.now += seconds

    def labels(self, task: TaskId, seed: int) -> tuple[RoundId, bytes]:
        """The task's present round, and one of four packed answers; the last one has labels that are no class."""
        state = self.market.task(task)
        if state is None:
            return RoundId(0), bytes(32)
        places = packed_size(state.terms.samples) * 2
        digits = []
        for place in range(places):
            if place % 64 + place // 64 * 64 >= state.terms.samples:
                digits.append("f")
            else:
                kind = (place * (seed + 3) // 2 + state.round) % state.terms.classes
                digits.append("e" if seed == 3 and place % 5 == 0 else f"{kind:x}")
        words = ["".join(reversed(digits[at : at + 64])) for at in range(0, places, 64)]
        return RoundId(state.round), bytes.fromhex("".join(words))

    # -- what must hold after each --

    @invariant()
    def money_is_where_it_should_be(self) -> None:
        self.market.check()
        assert self.chain.ask("held") == (self.market.staking.held,)
        for each in KEYS:
            assert self.chain.balances(each.account) == self.market.balances(each.account)
        assert self.chain.wallet(self.chain.market) == self.market.staking.held

    @invariant()
    def tasks_stand_alike(self) -> None:
        for name in TASKS:
            state = self.market.task(name)
            there = self.chain.task(name)
            if state is None:
                assert there == (0, 0, 0, 0)
            else:
                assert there == (state.phase, state.round, state.deadline, state.pots)


# -- random walks: what a few hundred steps of play reach --

WALKS, STEPS = 10, 36
EVENTS = (
    "TaskOpened Enrolled RoundOpened LabelsCommitted RevealsOpened LabelsRevealed RevealsClosed "
    "WorkerPaid BondForfeited WorkerSuspended RoundSettled TaskClosed"
)


def walk(rng: Rng) -> set[str]:
    """Mostly play that leads on, some of it with one absent, and one claim in four a stray one; what it reached."""
    both = Both()
    both.begin(tuple(rng.below(400) for _ in TASKS))
    for _ in range(STEPS):
        task, sender = rng.choice(TASKS), rng.below(len(KEYS))
        match rng.below(20):
            case 0:
                both.wait(rng.choice([1, 3, 12, 101]))
            case 1 | 2:
                both.time_out(sender, task)
            case 3 | 4 | 5 | 6 | 7:
                noise = rng.bytes(32) if rng.chance(1, 4) else None
                both.stray(sender, task, rng.choice(KINDS), rng.below(WALLET), rng.below(4) // 3, noise)
            case _:
                both.all_but_one_act(task, rng.choice([None, None, None, 1, 2, 5]))
        both.money_is_where_it_should_be()
        both.tasks_stand_alike()
    return both.reached


def test_contracts_and_ledger_agree() -> None:
    reached = set[str]()
    for number in range(WALKS):
        reached |= walk(Rng(b"market").split(number))
    assert reached >= set(EVENTS.split()) | {"paid", "forfeited to others", "forfeited to nobody", "void"}


@pytest.mark.long
def test_contracts_and_ledger_agree_for_long() -> None:
    for number in range(WALKS, 100):
        walk(Rng(b"market").split(number))


@pytest.mark.long
def test_contracts_and_ledger_agree_wherever_hypothesis_looks() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Both,
        settings=settings(
            max_examples=60,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Both ledgers, the contracts and the pure one, given the same claims, and compared in everything after each.

A step is one claim. `walk` takes many, mostly such as lead on; hypothesis drives the same machine its own way.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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
from p2pfd.settlement.artifacts import Artifact
from tests.contracts.chain import BOSS, SUPPLY, UNBOND_SECONDS, Contracts, key

KEYS = [key(number) for number in range(1, 7)]
WALLET = 10**8
TASKS = 3
"""How many tasks there are at a time; a closed one may give its place to a new one."""
SALT = b"\7" * 32

KINDS = ["open", "enrol", "commit", "reveal", "advance", "settle", "deposit", "unstake", "withdraw"]

who = st.integers(0, len(KEYS) - 1)
which = st.integers(0, TASKS - 1)


def small(task: TaskId, shape: int) -> MarketTerms:
    """Terms of several shapes; the amounts do not divide, and phases are short."""
    return MarketTerms(
        task=task,
        samples=(1, 64, 70, 130)[shape % 4],
        classes=2 + shape % 3,
        rounds=1 + shape % 3,
        pot=Amount((101, 10_000_019, 0, 10_000_019)[shape % 4]),
        rate=Amount((1_000_003, 13, 1_000_003, 90, 0)[shape % 5]),
        bond=Amount((53, 25, 53, 0)[shape % 4]),
        forfeit=Amount((17, 25, 30, 0)[shape % 4]),
        quorum=1 + shape // 5 % (1 + shape % 5),
        seats=2 + shape % 5,
        enrol_seconds=10,
        commit_seconds=1 + shape % 10,
        reveal_seconds=5,
    )


class Both(RuleBasedStateMachine):
    """Each claim goes to both; whatever one can be asked, both are asked."""

    def __init__(self, market: Artifact | None = None) -> None:
        super().__init__()
        self.reached: set[str] = set()
        self.steps = 0
        self.names: list[TaskId] = []
        wallets = dict.fromkeys(KEYS, WALLET)
        self.chain = Contracts(wallets, market=market)
        self.everyone = [BOSS.account, self.chain.market, *(each.account for each in KEYS)]
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
        self.steps += 1
        self.compare()

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

    @initialize(shapes=st.tuples(*[st.integers(0, 400)] * TASKS))
    def begin(self, shapes: tuple[int, ...]) -> None:
        for sender in range(len(KEYS)):
            self.claim(sender, Deposit(Amount(WALLET if sender == 0 else WALLET // 2)))
        for number, shape in enumerate(shapes):
            self.names.append(TaskId(bytes([number + 1]) * 32))
            self.claim(0, OpenTask(small(self.names[number], shape)))
            self.all_but_one_act(number, None)

    @rule(which=which, shape=st.integers(0, 400))
    def begin_anew(self, which: int, shape: int) -> None:
        """A closed task makes room for a new one, which the richest opens when all have brought back what they took."""
        state = self.market.task(self.names[which])
        assert state is not None
        if state.phase != Phase.CLOSED:
            return
        for sender, each in enumerate(KEYS):
            if (wallet := self.market.balances(each.account).wallet) > WALLET // 2:
                self.claim(sender, Deposit(wallet))
        self.names[which] = TaskId(self.steps.to_bytes(32, "big"))
        richest = max(range(len(KEYS)), key=lambda sender: self.market.balances(KEYS[sender].account).free)
        self.claim(richest, OpenTask(small(self.names[which], shape)))

    @rule(which=which, absent=st.sampled_from([None, None, None, None, 1, 2, 5]))
    def all_but_one_act(self, which: int, absent: int | None) -> None:
        """The step that the task waits for, by everyone or by all but one."""
        task = self.names[which]
        state = self.market.task(task)
        assert state is not None
        if state.phase in (Phase.GATHER, Phase.COMMIT, Phase.REVEAL) and self.chain.now > state.deadline:
            self.claim(0, Advance(task))
        phase = state.phase
        rnd, _ = self.labels(task, 0)
        for sender, each in enumerate(KEYS):
            _, labels = self.labels(task, (rnd + sender) % 4)
            if state.phase != phase:
                break
            if sender == absent:
                if phase == Phase.REVEAL:
                    self.claim(sender, RevealLabels(task, rnd, SALT, b"\0" + labels[1:]))
                continue
            if phase == Phase.GATHER:
                self.claim(sender, Enrol(task))
            elif phase == Phase.COMMIT and state.seat_of(each.account) is not None:
                self.claim(sender, CommitLabels(task, rnd, commitment(task, rnd, each.account, SALT, labels)))
            elif phase == Phase.REVEAL and state.seat_of(each.account) is not None:
                self.claim(sender, RevealLabels(task, rnd, SALT, labels))
            elif phase == Phase.SETTLE:
                self.claim(sender, SettleRound(task, rnd))

    @rule(sender=who, which=which, late=st.integers(0, 1))
    def time_out(self, sender: int, which: int, late: int) -> None:
        """Someone tries the timed exit in the first second in which it is open, or in the last in which it is not."""
        task = self.names[which]
        state = self.market.task(task)
        assert state is not None
        self.chain.now = max(self.chain.now, state.deadline + late)
        self.claim(sender, Advance(task))

    @rule(sender=who, late=st.integers(-1, 0))
    def take_out(self, sender: int, late: int) -> None:
        """Someone withdraws in the first second in which it may, or in the last in which it may not."""
        (ready,) = self.chain.peek("ready", KEYS[sender].account)
        self.chain.now = max(self.chain.now, ready + late)
        self.claim(sender, Withdraw())

    # -- what may happen --

    @rule(
        sender=who,
        which=which,
        kind=st.sampled_from(KINDS),
        number=st.integers(0, WALLET),
        off=st.sampled_from([0, 0, 0, 1]),
        noise=st.one_of(st.none(), st.none(), st.binary(min_size=32, max_size=96)),
    )
    def stray(self, sender: int, which: int, kind: str, number: int, off: int, noise: bytes | None) -> None:
        """One claim of any kind, whether it fits or not."""
        task = self.names[which]
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
        """The task's present round, and one of four packed answers; the last one has labels that are no class.

        The last class is rare, and all agree on it.
        """
        state = self.market.task(task)
        if state is None:
            return RoundId(0), bytes(32)
        places = packed_size(state.terms.samples) * 2
        digits = []
        for place in range(places):
            if place % 64 + place // 64 * 64 >= state.terms.samples:
                digits.append("f")
            else:
                rare = state.terms.classes - 1
                kind = rare if place % 13 == 5 else (place * (seed + 3) // 2 + state.round) % rare
                digits.append("e" if seed == 3 and place % 5 == 0 else f"{kind:x}")
        words = ["".join(reversed(digits[at : at + 64])) for at in range(0, places, 64)]
        return RoundId(state.round), bytes.fromhex("".join(words))

    # -- what must hold after each --

    def compare(self) -> None:
        """No token is made or lost, and each account and each task stands on both sides alike."""
        self.market.check()
        chain, held = self.chain, self.market.staking.held
        assert chain.peek("held") == (held,)
        assert chain.peek_wallet(chain.market) == held
        for who in self.everyone:
            here = self.market.balances(who)
            assert chain.peek("balances", who) == (here.free, here.locked, here.unbonding)
            assert chain.peek_wallet(who) == (held if who == chain.market else here.wallet)
        for name in self.names:
            state = self.market.task(name)
            (held_there,) = chain.ask("tasks", name)
            assert isinstance(held_there, tuple)
            assert state is not None or not any(held_there[1:])
            if state is not None:
                seats = [sum(1 << seat for seat in seats) for seats in (state.seats, state.committed, state.revealed)]
                requester, *there = held_there
                assert requester == state.requester
                assert there[:4] == [state.phase, state.round, state.deadline, state.pots]
                if state.phase not in (Phase.CLOSED, Phase.SETTLE):
                    assert [there[4], *there[6:]] == seats

    @invariant()
    def the_getters_say_what_was_compared(self) -> None:
        self.chain.check_peeks()


# -- random walks --


def walk(rng: Rng, steps: int, market: Artifact | None = None) -> Both:
    """At least so many claims: mostly play that leads on, some of it with one absent, and many a stray one."""
    both = Both(market)
    both.begin(tuple(rng.below(400) for _ in range(TASKS)))
    while both.steps < steps:
        which, sender = rng.below(TASKS), rng.below(len(KEYS))
        match rng.below(20):
            case 0:
                both.wait(rng.choice([1, 3, 12, 101]))
            case 1 | 2:
                both.time_out(sender, which, rng.below(2))
            case 3 | 4 | 5 | 6 | 7:
                noise = rng.bytes(32) if rng.chance(1, 4) else None
                both.stray(sender, which, rng.choice(KINDS), rng.below(WALLET), rng.below(4) // 3, noise)
            case 8:
                both.take_out(sender, rng.below(2) - 1)
            case 9:
                both.begin_anew(which, rng.below(400))
            case _:
                both.all_but_one_act(which, rng.choice([None, None, None, 1, 2, 5]))
    both.the_getters_say_what_was_compared()
    return both

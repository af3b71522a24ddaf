"""A market of one mode on chain and its pure ledger, given the same claims, and compared in everything after each."""

from __future__ import annotations

from collections.abc import Iterable

from p2pfd.core.claims import Advance, BondForfeited, Deposit, MarketTerms, OpenTask, RoundSettled, WorkerPaid
from p2pfd.core.ids import Amount, TaskId
from p2pfd.core.modes import DisputeDecided, ModeClaim, ModeEvent, WorkersPaid
from p2pfd.core.rng import Rng
from p2pfd.incentives.rounds import Phase, Task
from p2pfd.incentives.staking import Refused
from p2pfd.settlement.abi import reason
from p2pfd.settlement.artifacts import Artifact
from tests.contracts.chain import BOSS, key
from tests.contracts.modechain import ModeChain, optimistic, sampled

KEYS = [key(number) for number in range(1, 6)]
WALLET = 10**8


class Pair:
    """Each claim goes to both; whatever one can be asked, both are asked."""

    MODE = ""

    def __init__(self, rng: Rng, market: Artifact | None = None) -> None:
        self.rng = rng
        self.reached: set[str] = set()
        self.refused: set[str] = set()
        self.steps = 0
        wallets = dict.fromkeys(KEYS, WALLET)
        self.chain = ModeChain(self.MODE, wallets, market)
        self.everyone = [BOSS.account, self.chain.market, *(each.account for each in KEYS)]
        self.market = (optimistic if self.MODE == "optimistic" else sampled)(self.chain, wallets)
        self.task = TaskId(bytes(32))
        for sender in range(len(KEYS)):
            self.claim(sender, Deposit(Amount(WALLET if sender == 0 else WALLET // 2)))

    def claim(self, sender: int, claim: ModeClaim) -> bool:
        """Both carry it out, or both refuse for the same reason."""
        block, events = self.chain.carry_out(KEYS[sender], claim)
        there = "" if block.success else reason(block.output)
        here, expected = "", ()
        try:
            expected = self.market.apply(self.chain.now, KEYS[sender].account, claim)
        except Refused as refusal:
            here = refusal.what
            self.refused.add(here)
        assert there == here, f"{claim}: the contract says {there!r}, the ledger {here!r}"
        assert events == expected
        self.note(events)
        self.steps += 1
        self.chain.same_as(self.market, self.everyone, [self.task] if self.task != bytes(32) else [])
        return not there

    def note(self, events: tuple[ModeEvent, ...]) -> None:
        """Remember which kinds of thing have happened, so that a walk that meets none of them cannot pass."""
        for event in events:
            self.reached.add(type(event).__name__)
            match event:
                case WorkersPaid(amounts=amounts) if any(amounts):
                    self.reached.add("paid")
                case WorkerPaid(amount=amount) if amount:
                    self.reached.add("paid")
                case RoundSettled(counted=False):
                    self.reached.add("void")
                case BondForfeited():
                    self.reached.add("forfeited")
                case DisputeDecided(right=right):
                    self.reached.add("right" if right else "wrong")

    # -- the present task --

    @property
    def state(self) -> Task:
        found = self.market.task(self.task)
        assert found is not None
        return found

    def terms(self, task: TaskId, shape: int) -> MarketTerms:
        """Terms of several shapes."""
        raise AssertionError(f"no terms for {task.hex()} of shape {shape}")

    def new_task(self) -> None:
        for sender, each in enumerate(KEYS):
            if (wallet := self.market.balances(each.account).wallet) > WALLET // 2:
                self.claim(sender, Deposit(wallet))
        self.task = TaskId((self.steps + 1).to_bytes(32, "big"))
        richest = max(range(len(KEYS)), key=lambda sender: self.market.balances(KEYS[sender].account).free)
        self.claim(richest, OpenTask(self.terms(self.task, self.rng.below(400))))

    def sitting(self, numbers: Iterable[int]) -> list[int]:
        """The senders that hold these seats, by seat."""
        accounts = [each.account for each in KEYS]
        return [accounts.index(self.state.seats[number].holder) for number in sorted(numbers)]

    def time_out(self) -> None:
        """Someone tries the timed exit in the first second in which it is open, or in the last in which it is not."""
        state = self.state
        until = state.deadline + (state.terms.challenge_seconds if state.phase == Phase.REVEAL else 0)
        self.chain.now = max(self.chain.now, until + self.rng.below(2))
        self.claim(self.rng.below(5), Advance(self.task))

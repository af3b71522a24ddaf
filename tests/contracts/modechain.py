"""The markets of the other modes on a chain in this process, with what their events add up to."""

from __future__ import annotations

from collections import defaultdict

from eth_abi import encode

from p2pfd.core.claims import Claim, OpenTask
from p2pfd.core.ids import Account, Digest, RoundId, TaskId, account_bytes
from p2pfd.core.modes import ModeClaim, ModeEvent, SignedCommitment
from p2pfd.incentives.optimistic import OptimisticMarket
from p2pfd.incentives.rounds import Rounds
from p2pfd.incentives.sampled import SampledMarket
from p2pfd.settlement import contracts, modes
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.embedded.ledger import GAS_LIMIT
from p2pfd.settlement.embedded.store import Block
from tests.contracts.chain import BOSS, CHAIN_ID, SUPPLY, UNBOND_SECONDS, Contracts


class ModeChain(Contracts):
    """The market of one mode, deployed; the contract or its court may be a mutant."""

    def __init__(self, mode: str, wallets: dict[AccountKey, int], market: Artifact | None = None) -> None:
        self.mode = mode
        self.seen: dict[TaskId, modes.Ledger] = defaultdict(modes.Ledger)
        self.court: Artifact = artifact("Court")
        if market is not None and market.name == "Court":
            self.court, market = market, None
        super().__init__(wallets, market=market or artifact(modes.CONTRACTS[mode]))

    def _set_up(self, wallets: dict[AccountKey, int]) -> None:
        self.token = self.deploy(artifact("Token").bytecode + encode(["uint256"], [self._supply]))
        court = self.deploy(self.court.bytecode)
        arguments = encode(["address", "uint256", "address"], [self.token, UNBOND_SECONDS, court])
        self.market = self.deploy(self._market.bytecode + arguments)
        for who, amount in wallets.items():
            self.must(BOSS, self.token, contracts.token()["transfer"].call(who.account, amount))
            self.must(who, self.token, contracts.token()["approve"].call(self.market, 2**255))

    def carry_out(self, who: AccountKey, claim: Claim | ModeClaim) -> tuple[Block, tuple[ModeEvent, ...]]:  # type: ignore[override]
        """A claim's block, and the events in it."""
        task = claim.terms.task if isinstance(claim, OpenTask) else getattr(claim, "task", TaskId(b""))
        data = modes.call_of(self.mode, claim, self.seen[task])
        block = self.send(who, self.market, data, modes.gas_for(claim))
        events = self.told(block)
        for event in events:
            self.seen[event.task].see(event)
        return block, events

    def told(self, block: Block) -> tuple[ModeEvent, ...]:
        """The market's events in a block."""
        logs = self.ledger.logs(block.number, block.number, 10_000)
        told = (
            modes.event_of(self.mode, log.topics, log.data) for log in logs if log.address == account_bytes(self.market)
        )
        return tuple(event for event in told if event is not None)

    def raw(self, who: AccountKey, name: str, *arguments: object) -> str:
        """Call a function with values that no claim would have; why it refused, or nothing."""
        call = modes.interface(self.mode)[name].call(*arguments)
        block = self.send(who, self.market, call, GAS_LIMIT)
        for event in self.told(block):
            self.seen[event.task].see(event)
        return "" if block.success else reason(block.output)

    def ask(self, name: str, *arguments: object) -> tuple[object, ...]:
        function = modes.interface(self.mode)[name]
        return function.answer(self._asked(self.market, function.call(*arguments)))

    def sign(self, who: AccountKey, task: TaskId, rnd: RoundId, commitment: Digest) -> SignedCommitment:
        """A commitment signed for this market on this chain."""
        return modes.sign(who, CHAIN_ID, self.market, task, rnd, commitment)

    def recover(self, task: TaskId, rnd: RoundId, signed: SignedCommitment) -> Account | None:
        """Who signed a commitment for this market on this chain."""
        return modes.signer(CHAIN_ID, self.market, task, rnd, signed)

    def same_as(self, oracle: Rounds, everyone: list[Account], tasks: list[TaskId]) -> None:
        """No token is made or lost, and each account and each task stands here as in the pure ledger."""
        oracle.check()
        held = oracle.staking.held
        assert self.peek("held") == (held,)
        assert self.peek_wallet(self.market) == held
        for who in everyone:
            here = oracle.balances(who)
            assert self.peek("balances", who) == (here.free, here.locked, here.unbonding)
            assert self.peek_wallet(who) == (held if who == self.market else here.wallet)
        for task in tasks:
            state = oracle.task(task)
            (there,) = self.ask("tasks", task)
            assert isinstance(there, tuple)
            if state is None:
                assert not any(value for value in there[1:])
                continue
            assert there[:5] == (state.requester, state.phase, state.round, state.deadline, state.pots)
            sets = [sum(1 << seat for seat in seats) for seats in (state.seats, state.committed, state.revealed)]
            if state.phase.name != "CLOSED":
                assert [there[5], *there[7:]] == sets


class _Blocks:
    """What a contract can know of this chain while the last block is being made."""

    def __init__(self, chain: ModeChain) -> None:
        self._ledger = chain.ledger

    @property
    def number(self) -> int:
        """The last block's: its claim has been carried out there, and is now here."""
        return self._ledger.head.number

    def hash(self, number: int) -> bytes:
        """Of a block before it."""
        assert 0 < self.number - number <= 256
        found = self._ledger.block(number)
        assert found is not None
        return found.hash


def known(wallets: dict[AccountKey, int]) -> dict[Account, int]:
    """Who has which tokens to begin with."""
    hands = {who.account: amount for who, amount in wallets.items()}
    return hands | {BOSS.account: SUPPLY - sum(hands.values())}


def optimistic(chain: ModeChain, wallets: dict[AccountKey, int]) -> OptimisticMarket:
    """The pure ledger with the same tokens in the same hands."""
    return OptimisticMarket(known(wallets), UNBOND_SECONDS, chain.recover)


def sampled(chain: ModeChain, wallets: dict[AccountKey, int]) -> SampledMarket:
    """The pure ledger with the same tokens in the same hands, and the same blocks."""
    return SampledMarket(known(wallets), UNBOND_SECONDS, _Blocks(chain))

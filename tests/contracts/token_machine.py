"""The token and a few lines of Python, given the same calls, and compared in every account and allowance after each."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from eth_abi import encode

from p2pfd.core.ids import Account
from p2pfd.core.rng import Rng
from p2pfd.settlement import contracts
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact, artifact
from tests.contracts.chain import BOSS, CHAIN_ID, Contracts, key
from tests.contracts.permits import signed_permit, token_domain

KEYS = [BOSS, *(key(number) for number in range(1, 5))]
NOBODY = Account("0x" + "00" * 20)
SUPPLY, INFINITE = 10**6, 2**256 - 1
GAS = 200_000


class Refused(Exception):
    """The token refuses; the reason is the argument."""


class Plain:
    """What an ERC-20 with permit is."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.held: dict[Account, int] = defaultdict(int, {BOSS.account: SUPPLY})
        self.allowed: dict[tuple[Account, Account], int] = defaultdict(int)
        self.nonces: dict[Account, int] = defaultdict(int)

    def transfer(self, owner: Account, to: Account, amount: int) -> None:
        _need(to != NOBODY, "erc20: transfer to the zero address")
        _need(self.held[owner] >= amount, "erc20: transfer amount exceeds balance")
        self.held[owner] -= amount
        self.held[to] += amount

    def approve(self, owner: Account, spender: Account, amount: int) -> None:
        _need(spender != NOBODY, "erc20: approve to the zero address")
        self.allowed[owner, spender] = amount

    def take(self, spender: Account, owner: Account, to: Account, amount: int) -> None:
        allowed = self.allowed[owner, spender]
        _need(allowed >= amount, "erc20: insufficient allowance")
        self.transfer(owner, to, amount)
        if allowed != INFINITE:
            self.allowed[owner, spender] = allowed - amount

    def permit(self, told: Permit, right: bool) -> None:
        _need(self.now <= told.deadline, "erc20: expired deadline")
        _need(right and told.nonce == self.nonces[told.owner], "erc20: invalid signature")
        self.approve(told.owner, told.spender, told.amount)
        self.nonces[told.owner] += 1


@dataclass(frozen=True)
class Permit:
    """An approval that its owner signs."""

    owner: Account
    spender: Account
    amount: int
    nonce: int
    deadline: int


def _need(holds: bool, why: str) -> None:
    if not holds:
        raise Refused(why)


class Both:
    """Each call goes to both."""

    def __init__(self, token: Artifact | None = None) -> None:
        self.chain = Contracts({})
        self.chain.token = self.chain.deploy((token or artifact("Token")).bytecode + encode(["uint256"], [SUPPLY]))
        self.plain = Plain(self.chain.now)
        self.domain = token_domain(CHAIN_ID, self.chain.token)
        self.reached: Counter[str] = Counter()
        self.steps = 0

    def call(self, who: AccountKey, name: str, *arguments: object) -> str:
        """Why the token refuses, or nothing."""
        block = self.chain.send(who, self.chain.token, contracts.token()[name].call(*arguments), GAS)
        return "" if block.success else reason(block.output)

    def step(self, rng: Rng) -> None:
        """One call of any kind, mostly such as can be carried out."""
        who, owner, to = rng.choice(KEYS), rng.choice(KEYS).account, rng.choice(KEYS).account
        to = NOBODY if rng.chance(1, 24) else to
        amount = rng.choice([0, 1, rng.below(SUPPLY // 4), self.plain.held[owner], self.plain.held[owner] + 1])
        match rng.below(4):
            case 0:
                self.compare(
                    "transfer",
                    self.call(who, "transfer", to, amount),
                    lambda: self.plain.transfer(who.account, to, amount),
                )
            case 1:
                amount = INFINITE if rng.chance(1, 8) else amount
                self.compare(
                    "approve",
                    self.call(who, "approve", to, amount),
                    lambda: self.plain.approve(who.account, to, amount),
                )
            case 2:
                self.compare(
                    "transferFrom",
                    self.call(who, "transferFrom", owner, to, amount),
                    lambda: self.plain.take(who.account, owner, to, amount),
                )
            case _:
                self.permit(rng, to, amount)

    def permit(self, rng: Rng, spender: Account, amount: int) -> None:
        """A permit, now and then by another, for another number, or too late."""
        signer = rng.choice(KEYS)
        owner = rng.choice(KEYS).account if rng.chance(1, 6) else signer.account
        nonce = max(0, self.plain.nonces[owner] + (rng.choice([-1, 1]) if rng.chance(1, 6) else 0))
        told = Permit(owner, spender, amount, nonce, self.chain.now - (1 if rng.chance(1, 12) else 0))
        parts = signed_permit(signer, self.domain, told.owner, told.spender, told.amount, told.nonce, told.deadline)
        if rng.chance(1, 12):
            parts = (parts[0] ^ 1 if parts[0] > 26 else parts[0], *parts[1:])
        right = signer.account == owner and parts[0] in (27, 28)
        right = right and parts == signed_permit(signer, self.domain, owner, spender, amount, nonce, told.deadline)
        sender = rng.choice(KEYS)
        said = self.call(sender, "permit", owner, spender, amount, told.deadline, *parts)
        said = "erc20: invalid signature" if said.startswith("ecdsa: ") else said
        self.compare("permit", said, lambda: self.plain.permit(told, right))

    def compare(self, name: str, said: str, plainly: object) -> None:
        """Both do it, or both refuse for the same reason; and then all stands alike."""
        expected = ""
        try:
            plainly()  # type: ignore[operator]
        except Refused as refusal:
            expected = str(refusal)
        assert said == expected, f"{name}: the token says {said!r}, the ledger {expected!r}"
        self.reached[expected or name] += 1
        self.steps += 1
        chain, plain = self.chain, self.plain
        of = contracts.token()
        for each in KEYS:
            assert chain.peek_wallet(each.account) == plain.held[each.account]
            (nonce,) = chain._peeked(chain.token, of["nonces"].call(each.account))
            assert nonce == plain.nonces[each.account]
            for other in KEYS:
                (allowed,) = chain._peeked(chain.token, of["allowance"].call(each.account, other.account))
                assert allowed == plain.allowed[each.account, other.account]
        assert chain._peeked(chain.token, of["totalSupply"].call()) == (SUPPLY,) == (sum(plain.held.values()),)


def walk(rng: Rng, steps: int, token: Artifact | None = None) -> Both:
    """So many calls."""
    both = Both(token)
    for _ in range(steps):
        both.step(rng)
        if rng.chance(1, 10):
            both.chain.now += 1
            both.plain.now = both.chain.now
    both.chain.check_peeks()
    return both

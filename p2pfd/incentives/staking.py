"""Where everyone's tokens are: in the wallet, and in the contract's care free, locked, unbonding, or in a task's pot.

The pure counterpart of `contracts/vyper/staking.vy` and of the token, with the same refusals in the same order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from p2pfd.core.claims import Balances
from p2pfd.core.ids import Account, Amount
from p2pfd.errors import P2pfdError


class Refused(P2pfdError):  # noqa: N818 - it is what happened, not an error of anyone's
    """A claim is not carried out, for this ``module: reason``: letter for letter what a contract reverts with."""


def require(holds: bool, reason: str) -> None:
    """Refuse for this reason unless it holds."""
    if not holds:
        raise Refused(reason)


class Wallets(dict[Account, int]):
    """What everyone has outside of contracts. Contracts that are given the same one share the token."""

    def __missing__(self, who: Account) -> int:
        return 0


class Staking:
    """The balances of all accounts, and the moves between them that a contract may make."""

    def __init__(self, wallets: Mapping[Account, int], unbond_seconds: int) -> None:
        self._wallet = wallets if isinstance(wallets, Wallets) else Wallets(wallets)
        self._free = defaultdict[Account, int](int)
        self._locked = defaultdict[Account, int](int)
        self._unbonding = defaultdict[Account, int](int)
        self._ready = defaultdict[Account, int](int)
        self._unbond_seconds = unbond_seconds
        self.held = 0
        """Deposits less withdrawals: what the contract counts as its own token balance."""

    # -- what anyone may do with its own tokens --

    def transfer(self, sender: Account, to: Account, amount: int) -> None:
        """Move tokens from wallet to wallet."""
        require(self._wallet[sender] >= amount, "erc20: transfer amount exceeds balance")
        self._wallet[sender] -= amount
        self._wallet[to] += amount

    def deposit(self, who: Account, amount: int) -> None:
        """Wallet to free."""
        require(amount > 0, "staking: nothing to deposit")
        require(self._wallet[who] >= amount, "erc20: transfer amount exceeds balance")
        self._wallet[who] -= amount
        self._free[who] += amount
        self.held += amount

    def unstake(self, who: Account, amount: int, now: int) -> None:
        """Free to unbonding; the delay starts again for all that unbonds."""
        require(amount > 0, "staking: nothing to unstake")
        self.take(who, amount)
        self._unbonding[who] += amount
        self._ready[who] = now + self._unbond_seconds

    def withdraw(self, who: Account, now: int) -> None:
        """What has finished unbonding, back to the wallet."""
        amount = self._unbonding[who]
        require(amount > 0, "staking: nothing to withdraw")
        require(now >= self._ready[who], "staking: still unbonding")
        self._unbonding[who] = 0
        self._wallet[who] += amount
        self.held -= amount

    # -- what the contract does --

    def take(self, who: Account, amount: int) -> None:
        """Out of the free balance, into the caller's hands."""
        require(self._free[who] >= amount, "staking: not enough free")
        self._free[who] -= amount

    def give(self, who: Account, amount: int) -> None:
        """From the caller's hands to the free balance."""
        self._free[who] += amount

    def lock(self, who: Account, amount: int) -> None:
        """Free to locked."""
        self.take(who, amount)
        self._locked[who] += amount

    def release(self, who: Account, amount: int) -> None:
        """Locked to free."""
        self._locked[who] -= amount
        self._free[who] += amount

    def seize(self, who: Account, amount: int) -> None:
        """Out of the locked balance, into the caller's hands."""
        self._locked[who] -= amount

    # -- what can be read --

    def balances(self, who: Account) -> Balances:
        """Where an account's tokens are."""
        return Balances(
            wallet=Amount(self._wallet.get(who, 0)),
            free=Amount(self._free.get(who, 0)),
            locked=Amount(self._locked.get(who, 0)),
            unbonding=Amount(self._unbonding.get(who, 0)),
        )

    def in_accounts(self) -> int:
        """All that the contract holds for accounts; with the pots it makes ``held``."""
        return sum(sum(kind.values()) for kind in (self._free, self._locked, self._unbonding))

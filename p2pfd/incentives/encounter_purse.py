"""Where the participants of encounters keep their tokens: in the wallet, free, or unbonding.

The pure counterpart of `contracts/vyper/purse.vy` and of the token, with the same refusals in the same order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from p2pfd.core.claims import Balances
from p2pfd.core.ids import Account, Amount
from p2pfd.incentives.staking import Wallets, require

MAX_HELD = 2**63


class Purse:
    """The balances of all accounts, apart from what is in escrow and in seats."""

    def __init__(self, wallets: Mapping[Account, int], unbond_seconds: int) -> None:
        self.wallets = wallets if isinstance(wallets, Wallets) else Wallets(wallets)
        self._free = defaultdict[Account, int](int)
        self._unbonding = defaultdict[Account, int](int)
        self._ready = defaultdict[Account, int](int)
        self.unbond_seconds = unbond_seconds
        self.held = 0
        """Deposits less withdrawals."""

    def deposit(self, who: Account, amount: int) -> None:
        """Wallet to free."""
        require(amount > 0, "purse: nothing to deposit")
        require(self.held + amount <= MAX_HELD, "purse: too much")
        require(self.wallets[who] >= amount, "erc20: transfer amount exceeds balance")
        self.wallets[who] -= amount
        self._free[who] += amount
        self.held += amount

    def unstake(self, who: Account, amount: int, now: int) -> None:
        """Free to unbonding; the delay starts again for all that unbonds."""
        require(amount > 0, "purse: nothing to unstake")
        self.take(who, amount)
        self._unbonding[who] += amount
        self._ready[who] = now + self.unbond_seconds

    def withdraw(self, who: Account, now: int) -> None:
        """What has finished unbonding, back to the wallet."""
        amount = self._unbonding[who]
        require(amount > 0, "purse: nothing to withdraw")
        require(now >= self._ready[who], "purse: still unbonding")
        self._unbonding[who] = 0
        self.wallets[who] += amount
        self.held -= amount

    def take(self, who: Account, amount: int) -> None:
        """Out of the free balance, into the caller's hands."""
        require(self._free[who] >= amount, "purse: not enough free")
        self._free[who] -= amount

    def give(self, who: Account, amount: int) -> None:
        """From the caller's hands to the free balance."""
        self._free[who] += amount

    def free(self, who: Account) -> int:
        """What an account may bind."""
        return self._free.get(who, 0)

    def ready(self, who: Account) -> int:
        """From when on an account may withdraw what unbonds."""
        return self._ready.get(who, 0)

    def balances(self, who: Account) -> Balances:
        """Where an account's tokens are; nothing of it is locked."""
        return Balances(
            wallet=Amount(self.wallets.get(who, 0)),
            free=Amount(self._free.get(who, 0)),
            locked=Amount(0),
            unbonding=Amount(self._unbonding.get(who, 0)),
        )

    def in_accounts(self) -> int:
        """All that is held for accounts."""
        return sum(self._free.values()) + sum(self._unbonding.values())

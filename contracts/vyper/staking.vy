# pragma version 0.4.3
"""
@title Where participants' tokens are: free, locked or unbonding
@license Apache-2.0
@notice A module: the contract that initialises it exports its external functions and moves money with its internal ones.
        Tokens come in by `deposit` and go out by `withdraw`, and in no other way. The module counts what it holds and
        never asks the token for its own balance.
"""
from ethereum.ercs import IERC20


event Deposited:
    account: indexed(address)
    amount: uint256


event UnbondingStarted:
    account: indexed(address)
    amount: uint256
    ready: uint256


event Withdrawn:
    account: indexed(address)
    amount: uint256


# The token that everything is counted in.
token: public(immutable(address))

# How long tokens unbond, in seconds.
unbond_seconds: public(immutable(uint256))

# Tokens an account may bind or unstake.
free: public(HashMap[address, uint256])

# Tokens bound in bonds.
locked: public(HashMap[address, uint256])

# Tokens on their way out, and the second from which they may go.
unbonding: public(HashMap[address, uint256])
ready: public(HashMap[address, uint256])

# Deposits less withdrawals.
held: public(uint256)


@deploy
def __init__(token_: address, unbond_seconds_: uint256):
    """
    @notice Fix the token and the delay for ever.
    @param token_ An ERC-20 that takes no fee on transfer.
    @param unbond_seconds_ How long tokens unbond.
    """
    token = token_
    unbond_seconds = unbond_seconds_


@external
@nonreentrant
def deposit(amount: uint256):
    """
    @notice Move tokens from the caller's wallet, which must have approved it, to the caller's free balance.
    @param amount How many of the smallest unit.
    """
    self._deposit(amount)


@external
@nonreentrant
def deposit_with_permit(amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32):
    """
    @notice The same, with the approval as a signature. Somebody may have sent the permit before: then its call fails here, the
            allowance is there all the same, and that is what counts.
    @param amount How many of the smallest unit.
    @param deadline Until when the permit holds, in Unix seconds.
    @param v The signature's recovery number.
    @param r The signature's first half.
    @param s The signature's second half.
    """
    permitted: bool = raw_call(
        token,
        abi_encode(
            msg.sender,
            self,
            amount,
            deadline,
            v,
            r,
            s,
            method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
        ),
        revert_on_failure=False,
    )
    self._deposit(amount)


@internal
def _deposit(amount: uint256):
    assert amount > 0, "staking: nothing to deposit"
    self.free[msg.sender] += amount
    self.held += amount
    log Deposited(account=msg.sender, amount=amount)
    moved: bool = extcall IERC20(token).transferFrom(msg.sender, self, amount, default_return_value=True)
    assert moved, "staking: the token did not move"


@external
def unstake(amount: uint256):
    """
    @notice Begin to take tokens out of the caller's free balance. The delay starts again for all that unbonds.
    @param amount How many of the smallest unit.
    """
    assert amount > 0, "staking: nothing to unstake"
    self._take(msg.sender, amount)
    self.unbonding[msg.sender] += amount
    ready: uint256 = block.timestamp + unbond_seconds
    self.ready[msg.sender] = ready
    log UnbondingStarted(account=msg.sender, amount=amount, ready=ready)


@external
@nonreentrant
def withdraw():
    """
    @notice Move what has finished unbonding to the caller's wallet.
    """
    amount: uint256 = self.unbonding[msg.sender]
    assert amount > 0, "staking: nothing to withdraw"
    assert block.timestamp >= self.ready[msg.sender], "staking: still unbonding"
    self.unbonding[msg.sender] = 0
    self.held -= amount
    log Withdrawn(account=msg.sender, amount=amount)
    moved: bool = extcall IERC20(token).transfer(msg.sender, amount, default_return_value=True)
    assert moved, "staking: the token did not move"


@external
@view
def balances(account: address) -> (uint256, uint256, uint256):
    """
    @notice Where an account's tokens are in this contract.
    @param account Whose.
    @return Free, locked and unbonding.
    """
    return self.free[account], self.locked[account], self.unbonding[account]


@internal
def _take(account: address, amount: uint256):
    """
    @notice Out of the free balance, into the caller's hands: the caller accounts for it.
    """
    free: uint256 = self.free[account]
    assert free >= amount, "staking: not enough free"
    self.free[account] = unsafe_sub(free, amount)


@internal
def _give(account: address, amount: uint256):
    """
    @notice From the caller's hands to the free balance.
    """
    if amount > 0:
        self.free[account] += amount


@internal
def _lock(account: address, amount: uint256):
    """
    @notice Free to locked.
    """
    self._take(account, amount)
    self.locked[account] += amount


@internal
def _release(account: address, amount: uint256):
    """
    @notice Locked to free.
    """
    self._seize(account, amount)
    self._give(account, amount)


@internal
def _seize(account: address, amount: uint256):
    """
    @notice Out of the locked balance, into the caller's hands.
    """
    if amount > 0:
        self.locked[account] -= amount

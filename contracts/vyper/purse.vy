# pragma version 0.4.3
"""
@title Where the participants of encounters keep their tokens: one word an account
@license Apache-2.0
@notice A module: the contract that initialises it exports its external functions and moves money with its internal ones. The
        lowest 64 bits of an account's word are its free tokens; what stands above is the importing contract's, and is left alone
        here. No more than 2**63 are ever held, so no sum of balances leaves its 64 bits. The module counts what it holds and
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


MAX_HELD: constant(uint256) = 2**63
M64: constant(uint256) = 2**64 - 1

# The token that everything is counted in.
token: public(immutable(address))

# How long tokens unbond, in seconds.
unbond_seconds: public(immutable(uint256))

# An account's word: free tokens in the lowest 64 bits.
words: HashMap[address, uint256]

# Tokens on their way out (the lowest 64 bits), and the second from which they may go (the bits above).
leaving: HashMap[address, uint256]

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
    """
    @notice Wallet to free. The balance changes before the token is called.
    """
    assert amount > 0, "purse: nothing to deposit"
    held: uint256 = self.held
    assert amount <= MAX_HELD and held + amount <= MAX_HELD, "purse: too much"
    self.held = held + amount
    self._give(msg.sender, amount)
    log Deposited(account=msg.sender, amount=amount)
    moved: bool = extcall IERC20(token).transferFrom(msg.sender, self, amount, default_return_value=True)
    assert moved, "purse: the token did not move"


@external
def unstake(amount: uint256):
    """
    @notice Begin to take tokens out of the caller's free balance. The delay starts again for all that unbonds.
    @param amount How many of the smallest unit.
    """
    assert amount > 0, "purse: nothing to unstake"
    self._take(msg.sender, amount)
    ready: uint256 = block.timestamp + unbond_seconds
    self.leaving[msg.sender] = (ready << 64) | ((self.leaving[msg.sender] & M64) + amount)
    log UnbondingStarted(account=msg.sender, amount=amount, ready=ready)


@external
@nonreentrant
def withdraw():
    """
    @notice Move what has finished unbonding to the caller's wallet.
    """
    word: uint256 = self.leaving[msg.sender]
    amount: uint256 = word & M64
    assert amount > 0, "purse: nothing to withdraw"
    assert block.timestamp >= word >> 64, "purse: still unbonding"
    self.leaving[msg.sender] = (word >> 64) << 64
    self.held -= amount
    log Withdrawn(account=msg.sender, amount=amount)
    moved: bool = extcall IERC20(token).transfer(msg.sender, amount, default_return_value=True)
    assert moved, "purse: the token did not move"


@external
@view
def balances(account: address) -> (uint256, uint256, uint256):
    """
    @notice Where an account's tokens are in this contract, apart from escrow and seats.
    @param account Whose.
    @return Free, unbonding, and the second from which that may be withdrawn.
    """
    word: uint256 = self.leaving[account]
    return self.words[account] & M64, word & M64, word >> 64


@internal
def _take(account: address, amount: uint256):
    """
    @notice Out of the free balance, into the caller's hands: the caller accounts for it.
    """
    word: uint256 = self.words[account]
    assert word & M64 >= amount, "purse: not enough free"
    self.words[account] = unsafe_sub(word, amount)


@internal
def _give(account: address, amount: uint256):
    """
    @notice From the caller's hands to the free balance. It fits: all that is held does.
    """
    self.words[account] = unsafe_add(self.words[account], amount)

# pragma version 0.4.3
"""
@title A token that never moves and says so, for tests
@license Apache-2.0
"""


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice Move nothing.
    """
    return False


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice Move nothing.
    """
    return False

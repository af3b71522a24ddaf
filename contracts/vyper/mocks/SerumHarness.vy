# pragma version 0.4.3
"""
@title The serum alone, for tests
@license Apache-2.0
"""
from .. import serum


@external
@pure
def scores(words: uint256[1024], workers: uint256, samples: uint256, classes: uint256) -> int256[64]:
    """
    @notice What `serum._scores` says.
    """
    return serum._scores(words, workers, samples, classes)

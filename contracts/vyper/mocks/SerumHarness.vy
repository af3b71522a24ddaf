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
    @notice What `serum._scores` says of what `serum._tally` says.
    """
    sums: uint256[960] = serum._tally(words, workers, (samples + 63) // 64, classes)
    return serum._scores(sums, sums, workers, samples, classes)

"""A score that no contract uses: what the median peer says of a worker, and not the mean of all peers.

Each pair has a score of its own, with the shares of the peer's labels alone, so that a constant answer earns nothing
with any peer. A coalition of fewer than half of a worker's peers moves the median no further than honest peers reach:
its members can neither lift one another nor pull the others down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from p2pfd.incentives.ptsc import SCALE, worth


def median_scores(labels: Sequence[bytes], classes: int) -> tuple[int, ...]:
    """Each worker's score over the samples; of an even number of peers the lower of the middle two counts."""
    workers = len(labels)
    if workers < 2:
        return (0,) * workers
    rows = np.array([np.frombuffer(row, dtype=np.uint8) for row in labels])
    samples = rows.shape[1]
    pairs = np.full((workers, workers), -samples * SCALE, dtype=np.int64)
    each = np.array([worth([row.count(c) for c in range(classes)], [0] * classes, classes) for row in labels])
    for c in range(classes):
        chosen = (rows == c).astype(np.int64)
        pairs += chosen @ chosen.T * each[:, c]  # row by row the worker, column by column the peer that judges it
    middle = (workers - 2) // 2
    return tuple(int(np.sort(np.delete(row, worker))[middle]) for worker, row in enumerate(pairs))

"""Labels bound by the root of a tree, so that a part of them can be shown alone.

Two trees, both of SHA-256. The *chunk tree* has chunks of 1,024 packed labels as leaves: a dispute shows chunk after
chunk. The *sum tree* has words of 64 labels as leaves and carries with each node how often each class is said beneath
it, seventeen bits a class: a worker shows single words, and its counts of all labels are bound without showing them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from p2pfd.core.ids import Account, Digest, RoundId, TaskId, account_bytes
from p2pfd.core.labels import PER_WORD, WORD_BYTES

CHUNK_SAMPLES = 1024
CHUNK_BYTES = CHUNK_SAMPLES // 2
COUNT_BITS = 17
MAX_COUNTED = 2**COUNT_BITS - 2
"""The most samples that a count of seventeen bits can be summed up over by a remainder."""
_ROOTS = b"p2pfd-roots-1".ljust(32, b"\0")
_SUMS = b"p2pfd-sums-1".ljust(32, b"\0")
Step = tuple[bytes, int]
"""A sibling on a path of a sum tree: its hash and its counts."""


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


# -- chunk trees -------------------------------------------------------------------------------------------------------


def chunks(packed: bytes) -> tuple[bytes, ...]:
    """Packed labels in pieces of at most 1,024."""
    return tuple(packed[at : at + CHUNK_BYTES] for at in range(0, len(packed), CHUNK_BYTES))


def _levels(parts: Sequence[bytes]) -> list[list[bytes]]:
    level = [_sha(b"\0", part) for part in parts]
    levels = [level]
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [_sha(b"\1", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
        levels.append(level)
    return levels


def root(packed: bytes) -> Digest:
    """The root over the chunks of packed labels."""
    return Digest(_levels(chunks(packed))[-1][0])


def path(packed: bytes, index: int) -> tuple[Digest, ...]:
    """What leads from a chunk to the root, from below."""
    steps = []
    for level in _levels(chunks(packed))[:-1]:
        if index ^ 1 < len(level):
            steps.append(Digest(level[index ^ 1]))
        index //= 2
    return tuple(steps)


def climb(chunk: bytes, index: int, count: int, steps: Sequence[bytes]) -> bytes | None:
    """The root that a chunk at this place of so many leads to; None for a path of a wrong length."""
    node, left = _sha(b"\0", chunk), list(steps)
    while count > 1:
        if index ^ 1 < count:
            if not left:
                return None
            sibling = left.pop(0)
            node = _sha(b"\1", sibling, node) if index % 2 else _sha(b"\1", node, sibling)
        index, count = index // 2, (count + 1) // 2
    return None if left else node


def root_commitment(task: TaskId, rnd: RoundId, who: Account, salt: bytes, labels_root: bytes) -> Digest:
    """What binds an account to the root of its labels of a round."""
    return Digest(_sha(_ROOTS, task, rnd.to_bytes(32, "big"), account_bytes(who).rjust(32, b"\0"), salt, labels_root))


# -- sum trees ---------------------------------------------------------------------------------------------------------


def word_counts(word: bytes, classes: int) -> int:
    """How often a word of 64 labels says each class, seventeen bits a class."""
    digits = word.hex()
    return sum(digits.count(f"{kind:x}") << (COUNT_BITS * kind) for kind in range(classes))


def counts_of(packed: int, classes: int) -> tuple[int, ...]:
    """The counts in a number of seventeen bits a class."""
    return tuple(packed >> COUNT_BITS * kind & (2**COUNT_BITS - 1) for kind in range(classes))


def depth(samples: int) -> int:
    """How many steps a path in a sum tree over so many samples has."""
    return (-(-samples // PER_WORD) - 1).bit_length()


def _sum_levels(packed: bytes, classes: int) -> list[list[Step]]:
    level: list[Step] = []
    for at in range(0, len(packed), WORD_BYTES):
        word = packed[at : at + WORD_BYTES]
        level.append((_sha(word), word_counts(word, classes)))
    level += [(bytes(32), 0)] * (2 ** (len(level) - 1).bit_length() - len(level))
    levels = [level]
    while len(level) > 1:
        level = [sum_node(*level[at : at + 2]) for at in range(0, len(level), 2)]
        levels.append(level)
    return levels


def sum_node(left: Step, right: Step) -> Step:
    """The node above two: its counts are their sum."""
    made = _sha(left[0], left[1].to_bytes(32, "big"), right[0], right[1].to_bytes(32, "big"))
    return made, (left[1] + right[1]) % 2**256


def sum_root(packed: bytes, classes: int) -> Step:
    """The root over the words of packed labels, and how often they say each class."""
    return _sum_levels(packed, classes)[-1][0]


def sum_path(packed: bytes, classes: int, index: int) -> tuple[Step, ...]:
    """The siblings from a word up to the root."""
    levels = _sum_levels(packed, classes)[:-1]
    return tuple(level[(index >> height) ^ 1] for height, level in enumerate(levels))


def sum_commitment(task: TaskId, rnd: RoundId, who: Account, salt: bytes, top: Step) -> Digest:
    """What binds an account to the root of its labels of a round and to their counts."""
    word = account_bytes(who).rjust(32, b"\0")
    return Digest(_sha(_SUMS, task, rnd.to_bytes(32, "big"), word, salt, top[0], top[1].to_bytes(32, "big")))

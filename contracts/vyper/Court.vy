# pragma version 0.4.3
"""
@title The serum for markets that have no room for it: labels in, sums, scores and amounts out
@license Apache-2.0
@notice A contract without state that anyone may ask. It stands apart from `OptimisticMarket.vy` and `SampledMarket.vy`
        because together they are larger than a contract may be. Its refusals are the markets'.
"""
import serum

CHUNK_SAMPLES: constant(uint256) = 1024
CHUNK_WORDS: constant(uint256) = 16
CHUNK_BYTES: constant(uint256) = 512
MAX_CHUNKS: constant(uint256) = 64
MAX_STEPS: constant(uint256) = 6
MAX_SEATS: constant(uint256) = 64
MAX_CLASSES: constant(uint256) = 15


@external
@pure
def root(labels: DynArray[Bytes[CHUNK_BYTES], MAX_CHUNKS], samples: uint256) -> bytes32:
    """
    @notice The root over all chunks of a worker's labels.
    @param labels Packed words in chunks of sixteen, fifteen in unused places.
    @param samples How many labels that is.
    @return The root.
    """
    count: uint256 = (samples + CHUNK_SAMPLES - 1) // CHUNK_SAMPLES
    assert len(labels) == count, "market: wrong length"
    nodes: bytes32[MAX_CHUNKS] = empty(bytes32[MAX_CHUNKS])
    for index: uint256 in range(count, bound=MAX_CHUNKS):
        self._check_chunk(labels[index], min(CHUNK_SAMPLES, samples - CHUNK_SAMPLES * index))
        nodes[index] = sha256(concat(x"00", labels[index]))
    # The last node of an odd level moves up as it is.
    for level: uint256 in range(MAX_STEPS):
        if count == 1:
            break
        for index: uint256 in range((count + 1) // 2, bound=MAX_CHUNKS):
            node: bytes32 = nodes[2 * index]
            if 2 * index + 1 < count:
                node = sha256(concat(x"01", node, nodes[2 * index + 1]))
            nodes[index] = node
        count = (count + 1) // 2
    return nodes[0]


@external
@pure
def tally(
    roots: DynArray[bytes32, MAX_SEATS],
    labels: DynArray[Bytes[CHUNK_BYTES], MAX_SEATS],
    paths: DynArray[DynArray[bytes32, MAX_STEPS], MAX_SEATS],
    done: uint256,
    samples: uint256,
    classes: uint256,
) -> uint256[MAX_SEATS * MAX_CLASSES]:
    """
    @notice What a chunk of all workers adds to the sums of the serum, once it is known to be theirs.
    @param roots The roots of their labels.
    @param labels The chunk of each.
    @param paths What leads from each to its root.
    @param done How many chunks come before this one.
    @param samples How many labels each has in all.
    @param classes How many classes there are.
    @return As `serum._tally` gives them.
    """
    assert len(labels) == len(roots) and len(paths) == len(roots), "market: lists differ in length"
    count: uint256 = (samples + CHUNK_SAMPLES - 1) // CHUNK_SAMPLES
    here: uint256 = min(CHUNK_SAMPLES, samples - CHUNK_SAMPLES * done)
    words: uint256[MAX_SEATS * CHUNK_WORDS] = empty(uint256[MAX_SEATS * CHUNK_WORDS])
    for w: uint256 in range(len(roots), bound=MAX_SEATS):
        self._check_chunk(labels[w], here)
        assert self._leads(labels[w], done, count, paths[w]) == roots[w], "market: not in the tree"
        for at: uint256 in range(len(labels[w]) // 32, bound=CHUNK_WORDS):
            words[CHUNK_WORDS * w + at] = extract32(labels[w], 32 * at, output_type=uint256)
    return serum._tally(words, len(roots), (here + 63) // 64, classes)


@external
@pure
def amounts(
    sums: uint256[MAX_SEATS * MAX_CLASSES],
    workers: uint256,
    samples: uint256,
    classes: uint256,
    pot: uint256,
    rate: uint256,
) -> DynArray[uint256, MAX_SEATS]:
    """
    @notice What each worker earns by the sums over all chunks.
    @param sums As `serum._tally` gives them.
    @param workers How many there are.
    @param samples How many labels each has.
    @param classes How many classes there are.
    @param pot What there is to earn.
    @param rate What a mean score of one earns.
    @return The amounts, in the workers' order.
    """
    scores: int256[MAX_SEATS] = serum._scores(sums, sums, workers, samples, classes)
    earned: uint256[MAX_SEATS] = serum._pay(scores, workers, 1, samples, pot, rate)
    found: DynArray[uint256, MAX_SEATS] = []
    for w: uint256 in range(workers, bound=MAX_SEATS):
        found.append(earned[w])
    return found


@external
@pure
def drawn(
    words: uint256[MAX_SEATS * CHUNK_WORDS],
    counts: uint256[MAX_SEATS],
    workers: uint256,
    picks: uint256,
    samples: uint256,
    classes: uint256,
) -> int256[MAX_SEATS]:
    """
    @notice The scores by drawn words, where the shares of the labels come from counts of all of them.
    @param words Worker w's words are words[16 w] and those that follow it.
    @param counts How often each worker's labels say each class, 17 bits a class.
    @param workers How many there are.
    @param picks How many words each has.
    @param samples How many samples these words hold.
    @param classes How many classes there are.
    @return The scores, in the workers' order.
    """
    declared: uint256[MAX_SEATS * MAX_CLASSES] = empty(uint256[MAX_SEATS * MAX_CLASSES])
    for w: uint256 in range(workers, bound=MAX_SEATS):
        for kind: uint256 in range(classes, bound=MAX_CLASSES):
            declared[MAX_CLASSES * w + kind] = (counts[w] >> (17 * kind)) & (2**17 - 1)
    return serum._scores(serum._tally(words, workers, picks, classes), declared, workers, samples, classes)


@internal
@pure
def _check_chunk(chunk: Bytes[CHUNK_BYTES], samples: uint256):
    """
    @notice Refuse a chunk that is not as long as so many samples, or has labels behind the last one.
    """
    length: uint256 = (samples + 63) // 64
    assert len(chunk) == 32 * length, "market: wrong length"
    used: uint256 = samples - 64 * (length - 1)
    if used < 64:
        unused: uint256 = max_value(uint256) << (4 * used)
        last: uint256 = extract32(chunk, 32 * (length - 1), output_type=uint256)
        assert last & unused == unused, "market: labels past the samples"


@internal
@pure
def _leads(
    chunk: Bytes[CHUNK_BYTES], place: uint256, count_: uint256, path: DynArray[bytes32, MAX_STEPS]
) -> bytes32:
    """
    @notice The root that a chunk at this place of so many leads to; zero, which is none, for a path of a wrong length.
    """
    node: bytes32 = sha256(concat(x"00", chunk))
    index: uint256 = place
    count: uint256 = count_
    step: uint256 = 0
    for level: uint256 in range(MAX_STEPS):
        if count == 1:
            break
        if index ^ 1 < count:
            if step == len(path):
                return empty(bytes32)
            if index & 1 == 1:
                node = sha256(concat(x"01", path[step], node))
            else:
                node = sha256(concat(x"01", node, path[step]))
            step += 1
        index //= 2
        count = (count + 1) // 2
    if step != len(path):
        return empty(bytes32)
    return node

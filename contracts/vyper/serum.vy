# pragma version 0.4.3
"""
@title The peer truth serum over packed labels
@license Apache-2.0
@notice A module without state, equal to `p2pfd/incentives/ptsc.py` to the last unit.

        Labels are four bits each, 64 to a word, and all 64 are worked on at once. For one class and one word of a
        worker, `places` has a one in the lowest bit of each nibble that holds the class. Summed over the workers this
        counts the votes for the class at 64 places; a nibble overflows after fifteen workers, so the even and the odd
        nibbles are added up apart, in bytes, which hold the 64 workers there can be. A worker's agreements are those
        bytes at its own places.
"""

# Fixed by the packing: 64 labels to a word, 1024 samples to 16 words.
MAX_WORKERS: constant(uint256) = 64
MAX_WORDS: constant(uint256) = 16
MAX_CLASSES: constant(uint256) = 15

SCALE: constant(uint256) = 10**6
KAPPA: constant(uint256) = 3

LOW_32: constant(uint256) = 2**32 - 1

# 0x11…11: the lowest bit of each nibble.
NIBBLES: constant(uint256) = max_value(uint256) // 15
# 0x0101…01: the lowest bit of each byte; and the lower halves of units of 16, 32 bits.
BYTES: constant(uint256) = max_value(uint256) // 255
LOW_8_OF_16: constant(uint256) = max_value(uint256) // 65535 * 255
LOW_16_OF_32: constant(uint256) = max_value(uint256) // 4294967295 * 65535


@internal
@pure
def _sum(bytes_: uint256) -> uint256:
    """
    @notice The sum of a word's thirty-two bytes.
    """
    lanes: uint256 = unsafe_add(bytes_ & LOW_8_OF_16, (bytes_ >> 8) & LOW_8_OF_16)
    return self._sum_16(lanes)


@internal
@pure
def _sum_16(lanes: uint256) -> uint256:
    """
    @notice The sum of a word's sixteen 16-bit lanes.
    """
    wide: uint256 = unsafe_add(lanes & LOW_16_OF_32, (lanes >> 16) & LOW_16_OF_32)
    # A number modulo 2**32 - 1 is the sum of its 32-bit digits, as long as that sum is smaller.
    return wide % 4294967295


@internal
@pure
def _word_counts(word: uint256, classes: uint256, bits: uint256) -> uint256:
    """
    @notice How often a word says each class, so many bits a class.
    """
    counts: uint256 = 0
    for kind: uint256 in range(classes, bound=MAX_CLASSES):
        apart: uint256 = word ^ unsafe_mul(NIBBLES, kind)
        apart |= apart >> 1
        apart = ~(apart | (apart >> 2)) & NIBBLES
        # In bytes at most two; a number modulo 255 is the sum of its bytes, as long as that sum is smaller.
        counts |= (unsafe_add(apart & BYTES, (apart >> 4) & BYTES) % 255) << (bits * kind)
    return counts


@internal
@pure
def _tally(
    words: uint256[MAX_WORKERS * MAX_WORDS], workers: uint256, length: uint256, classes: uint256
) -> uint256[MAX_WORKERS * MAX_CLASSES]:
    """
    @notice How often every worker says each class, and how many say so too.
    @param words Worker w's labels are words[16 w] and those that follow it; unused places hold fifteen.
    @param workers How many there are, at most 64.
    @param length How many words each has, at most sixteen.
    @param classes How many classes there are, at most fifteen.
    @return At 15 w + k, worker w's labels of class k; and from bit 32 on, over those, the other workers that say so.
    """
    sums: uint256[MAX_WORKERS * MAX_CLASSES] = empty(uint256[MAX_WORKERS * MAX_CLASSES])
    # places[16 w + j]: a one in the lowest bit of each nibble of worker w's word j that holds the class at hand. evens, odds:
    # how many workers say it, at the even and at the odd places of a word.
    places: uint256[MAX_WORKERS * MAX_WORDS] = empty(uint256[MAX_WORKERS * MAX_WORDS])
    evens: uint256[MAX_WORDS] = empty(uint256[MAX_WORDS])
    odds: uint256[MAX_WORDS] = empty(uint256[MAX_WORDS])
    for kind: uint256 in range(classes, bound=MAX_CLASSES):
        pattern: uint256 = unsafe_mul(NIBBLES, kind)
        for word: uint256 in range(length, bound=MAX_WORDS):
            even: uint256 = 0
            odd: uint256 = 0
            at: uint256 = word
            for w: uint256 in range(workers, bound=MAX_WORKERS):
                apart: uint256 = words[at] ^ pattern
                apart |= apart >> 1
                apart = ~(apart | (apart >> 2)) & NIBBLES
                places[at] = apart
                even = unsafe_add(even, apart & BYTES)
                odd = unsafe_add(odd, (apart >> 4) & BYTES)
                at = unsafe_add(at, MAX_WORDS)
            evens[word] = even
            odds[word] = odd
        at: uint256 = 0
        for w: uint256 in range(workers, bound=MAX_WORKERS):
            labels: uint256 = 0
            votes: uint256 = 0
            for word: uint256 in range(length, bound=MAX_WORDS):
                held: uint256 = places[unsafe_add(at, word)]
                even: uint256 = held & BYTES
                odd: uint256 = (held >> 4) & BYTES
                # In bytes: at most 16 times 1 + 1.
                labels = unsafe_add(labels, unsafe_add(even, odd))
                # In bytes at most 64 + 64; then in 16-bit lanes, where 16 words come to 4096.
                both: uint256 = unsafe_add(
                    evens[word] & unsafe_mul(even, 255), odds[word] & unsafe_mul(odd, 255)
                )
                votes = unsafe_add(votes, unsafe_add(both & LOW_8_OF_16, (both >> 8) & LOW_8_OF_16))
            at = unsafe_add(at, MAX_WORDS)
            count: uint256 = self._sum(labels)
            sums[w * MAX_CLASSES + kind] = count | ((self._sum_16(votes) - count) << 32)
    return sums


@internal
@pure
def _scores(
    sums: uint256[MAX_WORKERS * MAX_CLASSES],
    declared: uint256[MAX_WORKERS * MAX_CLASSES],
    workers: uint256,
    samples: uint256,
    classes: uint256,
) -> int256[MAX_WORKERS]:
    """
    @notice Every worker's score in millionths, summed over the samples.
    @param sums What `_tally` says of the samples that are scored.
    @param declared Where the shares of the labels come from: in the low 32 bits as in `sums`, often the same.
    @param workers How many there are, at most 64.
    @param samples How many samples are scored.
    @param classes How many classes there are, at most fifteen.
    @return The scores, in the workers' order.
    """
    scores: int256[MAX_WORKERS] = empty(int256[MAX_WORKERS])
    if workers < 2:
        return scores
    said: uint256[MAX_CLASSES] = empty(uint256[MAX_CLASSES])
    all_said: uint256 = classes
    for w: uint256 in range(workers, bound=MAX_WORKERS):
        for kind: uint256 in range(classes, bound=MAX_CLASSES):
            count: uint256 = declared[w * MAX_CLASSES + kind] & LOW_32
            said[kind] += count
            all_said += count
    cap: uint256 = KAPPA * classes * SCALE
    for w: uint256 in range(workers, bound=MAX_WORKERS):
        total: uint256 = all_said
        for kind: uint256 in range(classes, bound=MAX_CLASSES):
            total -= declared[w * MAX_CLASSES + kind] & LOW_32
        weighed: uint256 = 0
        for kind: uint256 in range(classes, bound=MAX_CLASSES):
            count: uint256 = declared[w * MAX_CLASSES + kind] & LOW_32
            worth: uint256 = min(cap, SCALE * total // (said[kind] - count + 1))
            weighed += (sums[w * MAX_CLASSES + kind] >> 32) * worth
        scores[w] = convert(weighed // (workers - 1), int256) - convert(samples * SCALE, int256)
    return scores


@internal
@pure
def _pay(
    scores: int256[MAX_WORKERS], workers: uint256, times: uint256, samples: uint256, pot: uint256, rate: uint256
) -> uint256[MAX_WORKERS]:
    """
    @notice What each worker earns: `rate` for a mean score of one, in proportion where that exceeds the pot.
    @param scores The scores.
    @param workers How many.
    @param times By how much each score is multiplied,
    @param samples and divided, to be a mean.
    @param pot What there is.
    @param rate What a mean score of one earns.
    @return The amounts, in the workers' order.
    """
    due: uint256[MAX_WORKERS] = empty(uint256[MAX_WORKERS])
    sum: uint256 = 0
    for w: uint256 in range(workers, bound=MAX_WORKERS):
        if scores[w] > 0:
            due[w] = rate * (convert(scores[w], uint256) * times // samples) // SCALE
            sum += due[w]
    if sum > pot:
        for w: uint256 in range(workers, bound=MAX_WORKERS):
            due[w] = pot * due[w] // sum
    return due

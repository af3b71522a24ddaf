# pragma version 0.4.3
"""
@title The peer truth serum over packed labels
@license Apache-2.0
@notice A module without state, equal to `p2pfd/incentives/ptsc.py` to the last unit.

        Labels are four bits each, 64 to a word, and all 64 are worked on at once. A worker's two low bits and two high
        bits, each as a one in one of four words, give by sixteen ANDs where it says which class. Summed over the workers
        this counts the votes for a class at 64 places: in nibbles for up to fifteen workers, then in bytes, even and odd
        places apart, which hold the 64 workers there can be. The votes for a worker's labels are those bytes at its places.
"""

# Fixed by the packing: 64 labels to a word, 1024 samples to 16 words.
MAX_WORKERS: constant(uint256) = 64
MAX_WORDS: constant(uint256) = 16
MAX_CLASSES: constant(uint256) = 15

SCALE: constant(uint256) = 10**6
KAPPA: constant(uint256) = 3

LOW_17: constant(uint256) = 2**17 - 1
LOW_32: constant(uint256) = 2**32 - 1

# 0x11…11: the lowest bit of each nibble.
NIBBLES: constant(uint256) = max_value(uint256) // 15
# 0x0101…01: the lowest bit of each byte; and the lower halves of units of 16, 8 bits.
BYTES: constant(uint256) = max_value(uint256) // 255
LOW_8_OF_16: constant(uint256) = max_value(uint256) // 65535 * 255
LOW_4_OF_8: constant(uint256) = BYTES * 15


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
    @notice How often every worker says each class, and how many say so too. Written out class by class, because a
            variable costs a tenth of an array's entry.
    @param words Worker w's labels are words[16 w] and those that follow it; unused places hold fifteen.
    @param workers How many there are, at most 64.
    @param length How many words each has, at most sixteen.
    @param classes How many classes there are, at most fifteen.
    @return At 15 w + k, worker w's labels of class k; and from bit 32 on, over those, the other workers that say so.
    """
    # Of each worker, 17 bits a class: its labels, and the votes for them, its own included: at most 16 times 64 times 64.
    own: uint256[MAX_WORKERS] = empty(uint256[MAX_WORKERS])
    votes: uint256[MAX_WORKERS] = empty(uint256[MAX_WORKERS])
    for word: uint256 in range(length, bound=MAX_WORDS):
        # Votes for each class at the even and at the odd places of the word, in bytes.
        e0: uint256 = 0
        e1: uint256 = 0
        e2: uint256 = 0
        e3: uint256 = 0
        e4: uint256 = 0
        e5: uint256 = 0
        e6: uint256 = 0
        e7: uint256 = 0
        e8: uint256 = 0
        e9: uint256 = 0
        e10: uint256 = 0
        e11: uint256 = 0
        e12: uint256 = 0
        e13: uint256 = 0
        e14: uint256 = 0
        o0: uint256 = 0
        o1: uint256 = 0
        o2: uint256 = 0
        o3: uint256 = 0
        o4: uint256 = 0
        o5: uint256 = 0
        o6: uint256 = 0
        o7: uint256 = 0
        o8: uint256 = 0
        o9: uint256 = 0
        o10: uint256 = 0
        o11: uint256 = 0
        o12: uint256 = 0
        o13: uint256 = 0
        o14: uint256 = 0
        at: uint256 = word
        left: uint256 = workers
        for group: uint256 in range(5):
            # Up to fifteen workers' votes fit into a nibble.
            n0: uint256 = 0
            n1: uint256 = 0
            n2: uint256 = 0
            n3: uint256 = 0
            n4: uint256 = 0
            n5: uint256 = 0
            n6: uint256 = 0
            n7: uint256 = 0
            n8: uint256 = 0
            n9: uint256 = 0
            n10: uint256 = 0
            n11: uint256 = 0
            n12: uint256 = 0
            n13: uint256 = 0
            n14: uint256 = 0
            for w: uint256 in range(min(left, 15), bound=15):
                x: uint256 = words[at]
                at = unsafe_add(at, MAX_WORDS)
                # The two low bits of each label, and the two high ones, as a one in one of four.
                h: uint256 = x & NIBBLES
                i: uint256 = (x >> 1) & NIBBLES
                q3: uint256 = h & i
                q1: uint256 = h ^ q3
                q2: uint256 = i ^ q3
                q0: uint256 = NIBBLES ^ (h | i)
                h = (x >> 2) & NIBBLES
                i = (x >> 3) & NIBBLES
                p3: uint256 = h & i
                p1: uint256 = h ^ p3
                p2: uint256 = i ^ p3
                p0: uint256 = NIBBLES ^ (h | i)
                n0 = unsafe_add(n0, p0 & q0)
                n1 = unsafe_add(n1, p0 & q1)
                n2 = unsafe_add(n2, p0 & q2)
                n3 = unsafe_add(n3, p0 & q3)
                n4 = unsafe_add(n4, p1 & q0)
                if classes > 5:
                    n5 = unsafe_add(n5, p1 & q1)
                    n6 = unsafe_add(n6, p1 & q2)
                    n7 = unsafe_add(n7, p1 & q3)
                    n8 = unsafe_add(n8, p2 & q0)
                    n9 = unsafe_add(n9, p2 & q1)
                if classes > 10:
                    n10 = unsafe_add(n10, p2 & q2)
                    n11 = unsafe_add(n11, p2 & q3)
                    n12 = unsafe_add(n12, p3 & q0)
                    n13 = unsafe_add(n13, p3 & q1)
                    n14 = unsafe_add(n14, p3 & q2)
            e0 = unsafe_add(e0, n0 & LOW_4_OF_8)
            o0 = unsafe_add(o0, (n0 >> 4) & LOW_4_OF_8)
            e1 = unsafe_add(e1, n1 & LOW_4_OF_8)
            o1 = unsafe_add(o1, (n1 >> 4) & LOW_4_OF_8)
            e2 = unsafe_add(e2, n2 & LOW_4_OF_8)
            o2 = unsafe_add(o2, (n2 >> 4) & LOW_4_OF_8)
            e3 = unsafe_add(e3, n3 & LOW_4_OF_8)
            o3 = unsafe_add(o3, (n3 >> 4) & LOW_4_OF_8)
            e4 = unsafe_add(e4, n4 & LOW_4_OF_8)
            o4 = unsafe_add(o4, (n4 >> 4) & LOW_4_OF_8)
            if classes > 5:
                e5 = unsafe_add(e5, n5 & LOW_4_OF_8)
                o5 = unsafe_add(o5, (n5 >> 4) & LOW_4_OF_8)
                e6 = unsafe_add(e6, n6 & LOW_4_OF_8)
                o6 = unsafe_add(o6, (n6 >> 4) & LOW_4_OF_8)
                e7 = unsafe_add(e7, n7 & LOW_4_OF_8)
                o7 = unsafe_add(o7, (n7 >> 4) & LOW_4_OF_8)
                e8 = unsafe_add(e8, n8 & LOW_4_OF_8)
                o8 = unsafe_add(o8, (n8 >> 4) & LOW_4_OF_8)
                e9 = unsafe_add(e9, n9 & LOW_4_OF_8)
                o9 = unsafe_add(o9, (n9 >> 4) & LOW_4_OF_8)
            if classes > 10:
                e10 = unsafe_add(e10, n10 & LOW_4_OF_8)
                o10 = unsafe_add(o10, (n10 >> 4) & LOW_4_OF_8)
                e11 = unsafe_add(e11, n11 & LOW_4_OF_8)
                o11 = unsafe_add(o11, (n11 >> 4) & LOW_4_OF_8)
                e12 = unsafe_add(e12, n12 & LOW_4_OF_8)
                o12 = unsafe_add(o12, (n12 >> 4) & LOW_4_OF_8)
                e13 = unsafe_add(e13, n13 & LOW_4_OF_8)
                o13 = unsafe_add(o13, (n13 >> 4) & LOW_4_OF_8)
                e14 = unsafe_add(e14, n14 & LOW_4_OF_8)
                o14 = unsafe_add(o14, (n14 >> 4) & LOW_4_OF_8)
            if left <= 15:
                break
            left = unsafe_sub(left, 15)
        at = word
        for w: uint256 in range(workers, bound=MAX_WORKERS):
            x: uint256 = words[at]
            at = unsafe_add(at, MAX_WORDS)
            # The same as before, of the even places and of the odd ones, and as whole bytes.
            h: uint256 = unsafe_mul(x & BYTES, 255)
            i: uint256 = unsafe_mul((x >> 1) & BYTES, 255)
            q3: uint256 = h & i
            q1: uint256 = h ^ q3
            q2: uint256 = i ^ q3
            q0: uint256 = ~(h | i)
            h = unsafe_mul((x >> 2) & BYTES, 255)
            i = unsafe_mul((x >> 3) & BYTES, 255)
            p3: uint256 = h & i
            p1: uint256 = h ^ p3
            p2: uint256 = i ^ p3
            p0: uint256 = ~(h | i)
            h = unsafe_mul((x >> 4) & BYTES, 255)
            i = unsafe_mul((x >> 5) & BYTES, 255)
            s3: uint256 = h & i
            s1: uint256 = h ^ s3
            s2: uint256 = i ^ s3
            s0: uint256 = ~(h | i)
            h = unsafe_mul((x >> 6) & BYTES, 255)
            i = unsafe_mul((x >> 7) & BYTES, 255)
            r3: uint256 = h & i
            r1: uint256 = h ^ r3
            r2: uint256 = i ^ r3
            r0: uint256 = ~(h | i)
            # One expression for five classes, because to write a variable costs as much as to read it twice. In bytes at most
            # 64 + 64 votes; in units of sixteen bits twice that; a number modulo 2**16 - 1 is the sum of those units, and
            # one modulo 255 the sum of its bytes, as long as the sum is smaller.
            t0: uint256 = unsafe_add(p0 & q0 & e0, r0 & s0 & o0)
            t1: uint256 = unsafe_add(p0 & q1 & e1, r0 & s1 & o1)
            t2: uint256 = unsafe_add(p0 & q2 & e2, r0 & s2 & o2)
            t3: uint256 = unsafe_add(p0 & q3 & e3, r0 & s3 & o3)
            t4: uint256 = unsafe_add(p1 & q0 & e4, r1 & s0 & o4)
            said: uint256 = (
                (unsafe_add(p0 & q0 & BYTES, r0 & s0 & BYTES) % 255)
                | ((unsafe_add(p0 & q1 & BYTES, r0 & s1 & BYTES) % 255) << 17)
                | ((unsafe_add(p0 & q2 & BYTES, r0 & s2 & BYTES) % 255) << 34)
                | ((unsafe_add(p0 & q3 & BYTES, r0 & s3 & BYTES) % 255) << 51)
                | ((unsafe_add(p1 & q0 & BYTES, r1 & s0 & BYTES) % 255) << 68)
            )
            heard: uint256 = (
                (unsafe_add(t0 & LOW_8_OF_16, (t0 >> 8) & LOW_8_OF_16) % 65535)
                | ((unsafe_add(t1 & LOW_8_OF_16, (t1 >> 8) & LOW_8_OF_16) % 65535) << 17)
                | ((unsafe_add(t2 & LOW_8_OF_16, (t2 >> 8) & LOW_8_OF_16) % 65535) << 34)
                | ((unsafe_add(t3 & LOW_8_OF_16, (t3 >> 8) & LOW_8_OF_16) % 65535) << 51)
                | ((unsafe_add(t4 & LOW_8_OF_16, (t4 >> 8) & LOW_8_OF_16) % 65535) << 68)
            )
            if classes > 5:
                t0 = unsafe_add(p1 & q1 & e5, r1 & s1 & o5)
                t1 = unsafe_add(p1 & q2 & e6, r1 & s2 & o6)
                t2 = unsafe_add(p1 & q3 & e7, r1 & s3 & o7)
                t3 = unsafe_add(p2 & q0 & e8, r2 & s0 & o8)
                t4 = unsafe_add(p2 & q1 & e9, r2 & s1 & o9)
                said |= (
                    ((unsafe_add(p1 & q1 & BYTES, r1 & s1 & BYTES) % 255) << 85)
                    | ((unsafe_add(p1 & q2 & BYTES, r1 & s2 & BYTES) % 255) << 102)
                    | ((unsafe_add(p1 & q3 & BYTES, r1 & s3 & BYTES) % 255) << 119)
                    | ((unsafe_add(p2 & q0 & BYTES, r2 & s0 & BYTES) % 255) << 136)
                    | ((unsafe_add(p2 & q1 & BYTES, r2 & s1 & BYTES) % 255) << 153)
                )
                heard |= (
                    ((unsafe_add(t0 & LOW_8_OF_16, (t0 >> 8) & LOW_8_OF_16) % 65535) << 85)
                    | ((unsafe_add(t1 & LOW_8_OF_16, (t1 >> 8) & LOW_8_OF_16) % 65535) << 102)
                    | ((unsafe_add(t2 & LOW_8_OF_16, (t2 >> 8) & LOW_8_OF_16) % 65535) << 119)
                    | ((unsafe_add(t3 & LOW_8_OF_16, (t3 >> 8) & LOW_8_OF_16) % 65535) << 136)
                    | ((unsafe_add(t4 & LOW_8_OF_16, (t4 >> 8) & LOW_8_OF_16) % 65535) << 153)
                )
            if classes > 10:
                t0 = unsafe_add(p2 & q2 & e10, r2 & s2 & o10)
                t1 = unsafe_add(p2 & q3 & e11, r2 & s3 & o11)
                t2 = unsafe_add(p3 & q0 & e12, r3 & s0 & o12)
                t3 = unsafe_add(p3 & q1 & e13, r3 & s1 & o13)
                t4 = unsafe_add(p3 & q2 & e14, r3 & s2 & o14)
                said |= (
                    ((unsafe_add(p2 & q2 & BYTES, r2 & s2 & BYTES) % 255) << 170)
                    | ((unsafe_add(p2 & q3 & BYTES, r2 & s3 & BYTES) % 255) << 187)
                    | ((unsafe_add(p3 & q0 & BYTES, r3 & s0 & BYTES) % 255) << 204)
                    | ((unsafe_add(p3 & q1 & BYTES, r3 & s1 & BYTES) % 255) << 221)
                    | ((unsafe_add(p3 & q2 & BYTES, r3 & s2 & BYTES) % 255) << 238)
                )
                heard |= (
                    ((unsafe_add(t0 & LOW_8_OF_16, (t0 >> 8) & LOW_8_OF_16) % 65535) << 170)
                    | ((unsafe_add(t1 & LOW_8_OF_16, (t1 >> 8) & LOW_8_OF_16) % 65535) << 187)
                    | ((unsafe_add(t2 & LOW_8_OF_16, (t2 >> 8) & LOW_8_OF_16) % 65535) << 204)
                    | ((unsafe_add(t3 & LOW_8_OF_16, (t3 >> 8) & LOW_8_OF_16) % 65535) << 221)
                    | ((unsafe_add(t4 & LOW_8_OF_16, (t4 >> 8) & LOW_8_OF_16) % 65535) << 238)
                )
            own[w] = unsafe_add(own[w], said)
            votes[w] = unsafe_add(votes[w], heard)
    sums: uint256[MAX_WORKERS * MAX_CLASSES] = empty(uint256[MAX_WORKERS * MAX_CLASSES])
    for w: uint256 in range(workers, bound=MAX_WORKERS):
        said: uint256 = own[w]
        heard: uint256 = votes[w]
        at: uint256 = unsafe_mul(w, MAX_CLASSES)
        for kind: uint256 in range(classes, bound=MAX_CLASSES):
            count: uint256 = said & LOW_17
            sums[at] = count | (unsafe_sub(heard & LOW_17, count) << 32)
            at = unsafe_add(at, 1)
            said >>= 17
            heard >>= 17
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
    # Nothing here comes near 256 bits: counts have 17, votes 23, and a worth at most 26.
    said: uint256[MAX_CLASSES] = empty(uint256[MAX_CLASSES])
    spoken: uint256[MAX_WORKERS] = empty(uint256[MAX_WORKERS])
    all_said: uint256 = classes
    for w: uint256 in range(workers, bound=MAX_WORKERS):
        at: uint256 = unsafe_mul(w, MAX_CLASSES)
        total: uint256 = 0
        for kind: uint256 in range(classes, bound=MAX_CLASSES):
            count: uint256 = declared[unsafe_add(at, kind)] & LOW_32
            said[kind] = unsafe_add(said[kind], count)
            total = unsafe_add(total, count)
        spoken[w] = total
        all_said = unsafe_add(all_said, total)
    cap: uint256 = KAPPA * classes * SCALE
    for w: uint256 in range(workers, bound=MAX_WORKERS):
        at: uint256 = unsafe_mul(w, MAX_CLASSES)
        total: uint256 = unsafe_mul(SCALE, unsafe_sub(all_said, spoken[w]))
        weighed: uint256 = 0
        for kind: uint256 in range(classes, bound=MAX_CLASSES):
            others: uint256 = unsafe_sub(unsafe_add(said[kind], 1), declared[at] & LOW_32)
            worth: uint256 = min(cap, unsafe_div(total, others))
            weighed = unsafe_add(weighed, unsafe_mul(sums[at] >> 32, worth))
            at = unsafe_add(at, 1)
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

# pragma version 0.4.3
"""
@title The sampled label market: the chain sees a few words of labels, drawn when nobody can change them any more
@license Apache-2.0
@notice SPEC.md beside this file says what must hold; `p2pfd/incentives/sampled.py` does the same in Python. How rare a label
        is comes from counts of all labels that the commitments bind, 17 bits a class in one word.
"""
import Court
import rounds
import serum
import staking

initializes: staking
initializes: rounds[staking := staking]

exports: (
    staking.token,
    staking.unbond_seconds,
    staking.ready,
    staking.held,
    staking.balances,
    staking.deposit,
    staking.deposit_with_permit,
    staking.unstake,
    staking.withdraw,
    rounds.terms,
    rounds.tasks,
    rounds.seat_of,
)

MAX_SAMPLES: constant(uint256) = 131_070
MAX_PICKS: constant(uint256) = 16
MAX_STEPS: constant(uint256) = 11
MAX_SEATS: constant(uint256) = 64
MEMORY: constant(uint256) = 256
COUNT_BITS: constant(uint256) = 17
# Every second count in 34 bits, and the number modulo which a sum of such is the sum of its parts.
LOW_17_OF_34: constant(uint256) = (2**17 - 1) * (1 + 2**34 + 2**68 + 2**102 + 2**136 + 2**170 + 2**204 + 2**238)
SUM_34: constant(uint256) = 2**34 - 1
DOMAIN: constant(bytes32) = 0x70327066642d73756d732d310000000000000000000000000000000000000000
DRAW_DOMAIN: constant(bytes32) = 0x70327066642d647261772d310000000000000000000000000000000000000000
PICK_DOMAIN: constant(bytes32) = 0x70327066642d73616d706c696e672d3100000000000000000000000000000000


struct Node:
    hash: bytes32
    counts: uint256


event DrawOpened:
    task: indexed(bytes32)
    round: uint256
    block: uint256


event SamplesDrawn:
    task: indexed(bytes32)
    round: uint256
    seed: bytes32
    deadline: uint256


event WordsRevealed:
    task: indexed(bytes32)
    round: uint256
    worker: address
    counts: uint256
    words: DynArray[bytes32, MAX_PICKS]


event WorkerPaid:
    task: indexed(bytes32)
    round: uint256
    worker: address
    score: int256
    amount: uint256


# Where scores are computed.
court: public(immutable(address))

# What binds a seat in the present round; the block whose hash draws; and the places drawn, sixteen bits each.
_commitments: HashMap[bytes32, HashMap[uint256, bytes32]]
_block: HashMap[bytes32, uint256]
_picked: HashMap[bytes32, uint256]

# What a seat showed last: the counts of all its labels, and the words. Each round overwrites them.
_counts: HashMap[bytes32, HashMap[uint256, uint256]]
_words: HashMap[bytes32, HashMap[uint256, uint256[MAX_PICKS]]]


@deploy
def __init__(token: address, unbond_seconds: uint256, court_: address):
    """
    @notice Fix the token, the unbonding delay and the court for ever.
    @param token An ERC-20 that takes no fee on transfer.
    @param unbond_seconds How long tokens unbond.
    @param court_ `Court.vy`, deployed.
    """
    staking.__init__(token, unbond_seconds)
    court = court_


# -- what participants call ------------------------------------------------------------------------------------------------


@external
def open_task(task: bytes32, terms: rounds.Terms):
    """
    @notice Open a market under an unused name; the caller's free balance pays all rounds' pots.
    @param task The task's name.
    @param terms What it will be held to; nothing is staked or challenged here, so those three are zero.
    """
    rounds._check_terms(task, terms, MAX_SAMPLES)
    most: uint256 = min(MAX_PICKS, (terms.samples + 63) // 64)
    rounds._need(1 <= terms.picks and terms.picks <= most, "market: picks out of range")
    rounds._need(terms.stake | terms.challenge_seconds | terms.dispute_seconds == 0, "market: not of this mode")
    rounds._open(task, terms)


@external
def enrol(task: bytes32):
    """
    @notice Take a free seat and lock the bond. While the task gathers the seat counts at once, later from the next round on.
    @param task The task's name.
    """
    rounds._enrol(task)


@external
def commit(task: bytes32, round: uint256, commitment: bytes32):
    """
    @notice Bind the caller to its labels of a round. The last of the active workers to do so opens the draw.
    @param task The task's name.
    @param round The present round.
    @param commitment What binds the root of the labels and their counts.
    """
    rounds._may_commit(task, round)
    number: uint256 = rounds._free_to_commit(task, msg.sender)
    self._commitments[task][number] = commitment
    rounds._add(task, rounds.COMMITTED, 1 << number)
    log rounds.LabelsCommitted(task=task, round=round, worker=msg.sender, commitment=commitment)
    if rounds._set(task, rounds.COMMITTED) == rounds._set(task, rounds.ACTIVE):
        self._open_draw(task)


@external
def draw(task: bytes32, round: uint256):
    """
    @notice Fix which words are shown, once the block that decides it is a past one. Anyone may.
    @param task The task's name.
    @param round The present round.
    """
    rounds._need(rounds._phase(task) == rounds.DRAW, "market: nothing to draw")
    rounds._in_round(task, round)
    chosen: uint256 = self._block[task]
    rounds._need(block.number > chosen, "market: too early")
    if block.number - chosen > MEMORY:
        # The chain has forgotten that block's hash: another one takes its place.
        self._choose_block(task, round)
        return
    mix: bytes32 = empty(bytes32)
    committed: uint256 = rounds._set(task, rounds.COMMITTED)
    for number: uint256 in range(MAX_SEATS):
        if (committed >> number) & 1 == 1:
            mix = sha256(concat(mix, self._commitments[task][number]))
    seed: bytes32 = sha256(concat(DRAW_DOMAIN, task, convert(round, bytes32), blockhash(chosen), mix))
    self._picked[task] = self._draw(seed, (rounds._samples(task) + 63) // 64, rounds._picks(task))
    deadline: uint256 = rounds._enter(task, rounds.REVEAL, rounds._seconds(task, rounds.REVEAL_SECONDS))
    log SamplesDrawn(task=task, round=round, seed=seed, deadline=deadline)


@external
def reveal(
    task: bytes32,
    round: uint256,
    salt: bytes32,
    top: Node,
    words: DynArray[bytes32, MAX_PICKS],
    paths: DynArray[DynArray[Node, MAX_STEPS], MAX_PICKS],
):
    """
    @notice Open the caller's commitment and show the drawn words. The last one to do so ends the reveals.
    @param task The task's name.
    @param round The present round.
    @param salt The 32 bytes that hid the labels.
    @param top The root over all words, and how often they say each class.
    @param words The drawn words, in rising order of their places.
    @param paths The siblings from each word up to the root.
    """
    rounds._need(rounds._phase(task) == rounds.REVEAL, "market: takes no reveals")
    rounds._in_round(task, round)
    rounds._in_time(rounds._deadline(task))
    number: uint256 = rounds._free_to_reveal(task)
    samples: uint256 = rounds._samples(task)
    classes: uint256 = rounds._classes(task)
    picks: uint256 = rounds._picks(task)
    rounds._need(len(words) == picks and len(paths) == picks, "market: wrong length")
    steps: uint256 = self._depth(samples)
    for path: DynArray[Node, MAX_STEPS] in paths:
        rounds._need(len(path) == steps, "market: wrong length")
    bound: bytes32 = sha256(
        concat(
            DOMAIN,
            task,
            convert(round, bytes32),
            convert(convert(msg.sender, uint256), bytes32),
            salt,
            top.hash,
            convert(top.counts, bytes32),
        )
    )
    rounds._need(bound == self._commitments[task][number], "market: not what was committed")
    picked: uint256 = self._picked[task]
    for index: uint256 in range(picks, bound=MAX_PICKS):
        place: uint256 = picked & 65535
        picked >>= 16
        word: uint256 = convert(words[index], uint256)
        here: uint256 = min(64, samples - 64 * place)
        if here < 64:
            unused: uint256 = max_value(uint256) << (4 * here)
            rounds._need(word & unused == unused, "market: labels past the samples")
        found: Node = self._climb(words[index], place, samples, classes, paths[index])
        rounds._need(found.hash == top.hash and found.counts == top.counts, "market: not in the tree")
        self._words[task][number][index] = word
    self._counts[task][number] = top.counts
    rounds._add(task, rounds.REVEALED, 1 << number)
    log WordsRevealed(task=task, round=round, worker=msg.sender, counts=top.counts, words=words)
    if rounds._set(task, rounds.REVEALED) == rounds._set(task, rounds.COMMITTED):
        rounds._close_reveals(task)


@external
def settle(task: bytes32, round: uint256):
    """
    @notice Score and pay a round whose reveals are over. Anyone may.
    @param task The task's name.
    @param round The present round.
    """
    rounds._need(rounds._phase(task) == rounds.SETTLE, "market: nothing to settle")
    rounds._in_round(task, round)
    samples: uint256 = rounds._samples(task)
    classes: uint256 = rounds._classes(task)
    picks: uint256 = rounds._picks(task)
    words: uint256[MAX_SEATS * MAX_PICKS] = empty(uint256[MAX_SEATS * MAX_PICKS])
    counts: uint256[MAX_SEATS] = empty(uint256[MAX_SEATS])
    revealed: uint256 = rounds._set(task, rounds.REVEALED)
    workers: uint256 = 0
    for number: uint256 in range(MAX_SEATS):
        if (revealed >> number) & 1 == 1:
            for at: uint256 in range(picks, bound=MAX_PICKS):
                words[MAX_PICKS * workers + at] = self._words[task][number][at]
            counts[workers] = self._counts[task][number]
            workers += 1
    scores: int256[MAX_SEATS] = staticcall Court.__interface__(court).drawn(
        words, counts, workers, picks, self._drawn(task, samples, picks), classes
    )
    amounts: uint256[MAX_SEATS] = serum._pay(
        scores, workers, (samples + 63) // 64, picks * samples, rounds._pot(task), rounds._rate(task)
    )
    counted: DynArray[address, MAX_SEATS] = rounds._holders(task, revealed)
    paid: uint256 = 0
    for w: uint256 in range(len(counted), bound=MAX_SEATS):
        paid += amounts[w]
        staking._give(counted[w], amounts[w])
        log WorkerPaid(task=task, round=round, worker=counted[w], score=scores[w], amount=amounts[w])
    rounds._finish(task, True, paid, [])


@external
def advance(task: bytes32):
    """
    @notice Take the timed exit of a phase whose deadline has passed. Anyone may.
    @param task The task's name.
    """
    phase: uint256 = rounds._phase(task)
    rounds._need(phase != rounds.UNUSED and phase != rounds.CLOSED, "market: not running")
    rounds._need(phase != rounds.SETTLE, "market: settle the round first")
    rounds._need(phase != rounds.DRAW, "market: draw first")
    rounds._need(block.timestamp > rounds._deadline(task), "market: too early")
    if phase == rounds.GATHER:
        rounds._gathered(task)
    elif phase == rounds.COMMIT:
        rounds._suspend_absent(task)
        if rounds._enough(task, rounds.COMMITTED):
            self._open_draw(task)
        else:
            rounds._finish(task, False, 0, [])
    else:
        rounds._end_reveals(task)


# -- transitions -----------------------------------------------------------------------------------------------------------


@internal
def _open_draw(task: bytes32):
    """
    @notice The commitments are over.
    """
    rounds._stand(task, rounds.DRAW)
    self._choose_block(task, rounds._round(task))


@internal
def _choose_block(task: bytes32, round: uint256):
    """
    @notice The hash of the next block will draw.
    """
    self._block[task] = block.number + 1
    log DrawOpened(task=task, round=round, block=block.number + 1)


# -- the draw and the tree -------------------------------------------------------------------------------------------------


@internal
@pure
def _draw(seed: bytes32, words: uint256, picks: uint256) -> uint256:
    """
    @notice Different places below `words`, in rising order, sixteen bits each; every set is equally likely.
    """
    places: uint256[MAX_PICKS] = empty(uint256[MAX_PICKS])
    for taken: uint256 in range(picks, bound=MAX_PICKS):
        last: uint256 = words - picks + taken
        place: uint256 = convert(sha256(concat(PICK_DOMAIN, seed, convert(last, bytes32))), uint256) % (last + 1)
        for index: uint256 in range(taken, bound=MAX_PICKS):
            if places[index] == place:
                place = last
                break
        # Into its place among those that are there; the largest possible goes to the end.
        at: uint256 = taken
        for step: uint256 in range(MAX_PICKS):
            if at == 0 or places[at - 1] < place:
                break
            places[at] = places[at - 1]
            at -= 1
        places[at] = place
    packed: uint256 = 0
    for index: uint256 in range(picks, bound=MAX_PICKS):
        packed |= places[index] << (16 * index)
    return packed


@internal
@view
def _drawn(task: bytes32, samples: uint256, picks: uint256) -> uint256:
    """
    @notice How many samples the drawn words hold: the last word of all may be short, and is the last one drawn if it is.
    """
    highest: uint256 = (self._picked[task] >> (16 * (picks - 1))) & 65535
    return 64 * (picks - 1) + min(64, samples - 64 * highest)


@internal
@pure
def _depth(samples: uint256) -> uint256:
    """
    @notice How many steps lead from a word to the root.
    """
    depth: uint256 = 0
    for level: uint256 in range(MAX_STEPS):
        if 64 << depth >= samples:
            break
        depth += 1
    return depth


@internal
@pure
def _climb(
    word: bytes32, place: uint256, samples: uint256, classes: uint256, path: DynArray[Node, MAX_STEPS]
) -> Node:
    """
    @notice The root that a word at this place leads to. No sibling may count more samples than it has.
    """
    node: Node = Node(hash=sha256(word), counts=serum._word_counts(convert(word, uint256), classes, COUNT_BITS))
    height: uint256 = 0
    for sibling: Node in path:
        beside: uint256 = (place >> height) ^ 1
        first: uint256 = (64 * beside) << height
        size: uint256 = 0
        if first < samples:
            size = min(64 << height, samples - first)
        counts: uint256 = sibling.counts
        total: uint256 = unsafe_add(counts & LOW_17_OF_34, (counts >> COUNT_BITS) & LOW_17_OF_34) % SUM_34
        rounds._need(counts >> 255 == 0 and total <= size, "market: counts too many")
        if beside & 1 == 1:
            node.hash = self._joined(node, sibling)
        else:
            node.hash = self._joined(sibling, node)
        node.counts += counts
        height += 1
    return node


@internal
@pure
def _joined(left: Node, right: Node) -> bytes32:
    """
    @notice The hash above two nodes.
    """
    return sha256(
        concat(left.hash, convert(left.counts, bytes32), right.hash, convert(right.counts, bytes32))
    )

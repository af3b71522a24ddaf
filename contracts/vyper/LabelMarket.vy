# pragma version 0.4.3
"""
@title The label market: commit, reveal, and be paid by the peer truth serum
@license Apache-2.0
@notice SPEC.md beside this file says what must hold; `p2pfd/incentives/market.py` does the same in Python. Every phase ends when
        all have acted or, by `advance`, after its deadline. Sets of seats are words with one bit a seat.
"""
import rounds
import serum
import staking

initializes: staking
initializes: rounds[staking := staking]

exports: (
    staking.token,
    staking.unbond_seconds,
    staking.free,
    staking.locked,
    staking.unbonding,
    staking.ready,
    staking.held,
    staking.balances,
    staking.deposit,
    staking.deposit_with_permit,
    staking.unstake,
    staking.withdraw,
    rounds.tasks,
    rounds.seats,
    rounds.seat_of,
)

MAX_SEATS: constant(uint256) = 64
MAX_WORDS: constant(uint256) = 16
MAX_LABELS: constant(uint256) = 32 * MAX_WORDS
MAX_SAMPLES: constant(uint256) = 1024
DOMAIN: constant(bytes32) = 0x70327066642d6c6162656c732d31000000000000000000000000000000000000


# What of `rounds.Terms` this mode has.
struct Terms:
    samples: uint256
    classes: uint256
    rounds: uint256
    pot: uint256
    rate: uint256
    bond: uint256
    forfeit: uint256
    quorum: uint256
    seats: uint256
    enrol_seconds: uint256
    commit_seconds: uint256
    reveal_seconds: uint256


event LabelsRevealed:
    task: indexed(bytes32)
    round: uint256
    worker: address
    labels: Bytes[MAX_LABELS]


event WorkerPaid:
    task: indexed(bytes32)
    round: uint256
    worker: address
    score: int256
    amount: uint256


# What binds a seat in the present round.
commitments: public(HashMap[bytes32, HashMap[uint256, bytes32]])

# The labels that each seat showed last, sixteen words a seat; each round overwrites them, which is cheaper than a fresh place.
words: HashMap[bytes32, uint256[MAX_SEATS * MAX_WORDS]]


@deploy
def __init__(token: address, unbond_seconds: uint256):
    """
    @notice Fix the token and the unbonding delay for ever.
    @param token An ERC-20 that takes no fee on transfer.
    @param unbond_seconds How long tokens unbond.
    """
    staking.__init__(token, unbond_seconds)


# -- what participants call ------------------------------------------------------------------------------------------------


@external
def open_task(task: bytes32, terms: Terms):
    """
    @notice Open a market under an unused name; the caller's free balance pays all rounds' pots.
    @param task The task's name.
    @param terms What it will be held to.
    """
    wanted: rounds.Terms = empty(rounds.Terms)
    wanted.samples = terms.samples
    wanted.classes = terms.classes
    wanted.rounds = terms.rounds
    wanted.pot = terms.pot
    wanted.rate = terms.rate
    wanted.bond = terms.bond
    wanted.forfeit = terms.forfeit
    wanted.quorum = terms.quorum
    wanted.seats = terms.seats
    wanted.enrol_seconds = terms.enrol_seconds
    wanted.commit_seconds = terms.commit_seconds
    wanted.reveal_seconds = terms.reveal_seconds
    rounds._check_terms(task, wanted, MAX_SAMPLES)
    rounds._open(task, wanted)


@external
@view
def terms(task: bytes32) -> Terms:
    """
    @notice What a task was opened with; zeros where there is none.
    @param task The task's name.
    @return The terms.
    """
    kept: rounds.Terms = rounds._terms(task)
    return Terms(
        samples=kept.samples,
        classes=kept.classes,
        rounds=kept.rounds,
        pot=kept.pot,
        rate=kept.rate,
        bond=kept.bond,
        forfeit=kept.forfeit,
        quorum=kept.quorum,
        seats=kept.seats,
        enrol_seconds=kept.enrol_seconds,
        commit_seconds=kept.commit_seconds,
        reveal_seconds=kept.reveal_seconds,
    )


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
    @notice Bind the caller to its labels of a round. The last of the active workers to do so opens the reveals.
    @param task The task's name.
    @param round The present round.
    @param commitment The SHA-256 that `reveal` will check.
    """
    rounds._may_commit(task, round)
    number: uint256 = rounds._free_to_commit(task, msg.sender)
    self.commitments[task][number] = commitment
    rounds._add(task, rounds.COMMITTED, 1 << number)
    log rounds.LabelsCommitted(task=task, round=round, worker=msg.sender, commitment=commitment)
    committed: uint256 = rounds._set(task, rounds.COMMITTED)
    if committed == rounds._set(task, rounds.ACTIVE):
        rounds._open_reveals(task, rounds._holders(task, committed))


@external
def reveal(task: bytes32, round: uint256, salt: bytes32, labels: Bytes[MAX_LABELS]):
    """
    @notice Show the labels that the caller's commitment bound. The last one to do so ends the reveals.
    @param task The task's name.
    @param round The present round.
    @param salt The 32 bytes that hid them.
    @param labels Packed words, exactly as many as the samples need, fifteen in unused places.
    """
    rounds._need(rounds._phase(task) == rounds.REVEAL, "market: takes no reveals")
    rounds._in_round(task, round)
    rounds._in_time(rounds._deadline(task))
    number: uint256 = rounds._free_to_reveal(task)
    samples: uint256 = rounds._samples(task)
    length: uint256 = (samples + 63) // 64
    rounds._need(len(labels) == 32 * length, "market: wrong length")
    used: uint256 = samples - 64 * (length - 1)
    unused: uint256 = 0
    if used < 64:
        unused = max_value(uint256) << (4 * used)
    last: uint256 = extract32(labels, 32 * (length - 1), output_type=uint256)
    rounds._need(last & unused == unused, "market: labels past the samples")
    bound: bytes32 = sha256(
        concat(
            DOMAIN,
            task,
            convert(round, bytes32),
            convert(convert(msg.sender, uint256), bytes32),
            salt,
            labels,
        )
    )
    rounds._need(bound == self.commitments[task][number], "market: not what was committed")
    for at: uint256 in range(length, bound=MAX_WORDS):
        self.words[task][MAX_WORDS * number + at] = extract32(labels, 32 * at, output_type=uint256)
    rounds._add(task, rounds.REVEALED, 1 << number)
    log LabelsRevealed(task=task, round=round, worker=msg.sender, labels=labels)
    if rounds._set(task, rounds.REVEALED) == rounds._set(task, rounds.COMMITTED):
        rounds._close_reveals(task)


@external
def advance(task: bytes32):
    """
    @notice Take the timed exit of a phase whose deadline has passed. Anyone may.
    @param task The task's name.
    """
    phase: uint256 = rounds._phase(task)
    rounds._need(phase != rounds.UNUSED and phase != rounds.CLOSED, "market: not running")
    rounds._need(phase != rounds.SETTLE, "market: settle the round first")
    rounds._need(block.timestamp > rounds._deadline(task), "market: too early")
    if phase == rounds.GATHER:
        rounds._gathered(task)
    elif phase == rounds.COMMIT:
        rounds._suspend_absent(task)
        if rounds._enough(task, rounds.COMMITTED):
            rounds._open_reveals(task, rounds._holders(task, rounds._set(task, rounds.COMMITTED)))
        else:
            rounds._finish(task, False, 0, [])
    else:
        rounds._end_reveals(task)


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
    length: uint256 = (samples + 63) // 64
    words: uint256[MAX_SEATS * MAX_WORDS] = empty(uint256[MAX_SEATS * MAX_WORDS])
    revealed: uint256 = rounds._set(task, rounds.REVEALED)
    workers: uint256 = 0
    for number: uint256 in range(MAX_SEATS):
        if (revealed >> number) & 1 == 1:
            kept: uint256 = MAX_WORDS * number
            place: uint256 = MAX_WORDS * workers
            for at: uint256 in range(length, bound=MAX_WORDS):
                words[unsafe_add(place, at)] = self.words[task][unsafe_add(kept, at)]
            workers += 1
    sums: uint256[MAX_SEATS * serum.MAX_CLASSES] = serum._tally(words, workers, length, classes)
    scores: int256[MAX_SEATS] = serum._scores(sums, sums, workers, samples, classes)
    amounts: uint256[MAX_SEATS] = serum._pay(scores, workers, 1, samples, rounds._pot(task), rounds._rate(task))
    counted: DynArray[address, MAX_SEATS] = rounds._holders(task, revealed)
    paid: uint256 = 0
    for w: uint256 in range(workers, bound=MAX_SEATS):
        paid += amounts[w]
        staking._give(counted[w], amounts[w])
        log WorkerPaid(task=task, round=round, worker=counted[w], score=scores[w], amount=amounts[w])
    rounds._finish(task, True, paid, [])

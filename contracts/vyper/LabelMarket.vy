# pragma version 0.4.3
"""
@title The label market: commit, reveal, and be paid by the peer truth serum
@license Apache-2.0
@notice SPEC.md beside this file says what must hold; `p2pfd/incentives/market.py` does the same in Python. Every phase ends when
        all have acted or, by `advance`, after its deadline. Sets of seats are words with one bit a seat.
"""
import serum
import staking

initializes: staking

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
)

MAX_SEATS: constant(uint256) = 64
MAX_WORDS: constant(uint256) = 16
MAX_LABELS: constant(uint256) = 32 * MAX_WORDS
MAX_SAMPLES: constant(uint256) = 1024
MAX_CLASSES: constant(uint256) = 15
MAX_ROUNDS: constant(uint256) = 10_000
MAX_AMOUNT: constant(uint256) = 2**63
MAX_SECONDS: constant(uint256) = 30 * 86_400
DOMAIN: constant(bytes32) = 0x70327066642d6c6162656c732d31000000000000000000000000000000000000


# The order of the phases is part of the interface: none 0, gather 1, commit 2, reveal 3, settle 4, closed 5.
UNUSED: constant(uint256) = 0
GATHER: constant(uint256) = 1
COMMIT: constant(uint256) = 2
REVEAL: constant(uint256) = 3
SETTLE: constant(uint256) = 4
CLOSED: constant(uint256) = 5


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


struct Task:
    requester: address
    phase: uint256
    round: uint256
    deadline: uint256
    pots: uint256
    taken: uint256
    active: uint256
    committed: uint256
    revealed: uint256


struct Seat:
    holder: address
    bond: uint256
    commitment: bytes32


event TaskOpened:
    task: indexed(bytes32)
    requester: address
    deadline: uint256


event Enrolled:
    task: indexed(bytes32)
    worker: address
    seats_taken: uint256


event RoundOpened:
    task: indexed(bytes32)
    round: uint256
    deadline: uint256
    workers: DynArray[address, MAX_SEATS]


event LabelsCommitted:
    task: indexed(bytes32)
    round: uint256
    worker: address
    commitment: bytes32


event RevealsOpened:
    task: indexed(bytes32)
    round: uint256
    deadline: uint256
    committed: DynArray[address, MAX_SEATS]


event LabelsRevealed:
    task: indexed(bytes32)
    round: uint256
    worker: address
    labels: Bytes[MAX_LABELS]


event RevealsClosed:
    task: indexed(bytes32)
    round: uint256
    counted: DynArray[address, MAX_SEATS]


event WorkerPaid:
    task: indexed(bytes32)
    round: uint256
    worker: address
    score: int256
    amount: uint256


event BondForfeited:
    task: indexed(bytes32)
    round: uint256
    worker: address
    amount: uint256


event WorkerSuspended:
    task: indexed(bytes32)
    round: uint256
    worker: address


event RoundSettled:
    task: indexed(bytes32)
    round: uint256
    counted: bool
    paid: uint256
    refunded: uint256


event TaskClosed:
    task: indexed(bytes32)
    rounds: uint256


# What a task was opened with; it never changes.
terms: public(HashMap[bytes32, Terms])

# Where a task stands.
tasks: public(HashMap[bytes32, Task])

# A task's seats by number, and the number plus one of the seat that an account holds, or zero.
seats: public(HashMap[bytes32, HashMap[uint256, Seat]])
seat_of: public(HashMap[bytes32, HashMap[address, uint256]])

# The labels that a seat showed last; each round overwrites them, which is cheaper than a fresh place.
words: HashMap[bytes32, HashMap[uint256, uint256[MAX_WORDS]]]


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
    assert self.tasks[task].phase == UNUSED, "market: task exists"
    assert 1 <= terms.samples and terms.samples <= MAX_SAMPLES, "market: samples out of range"
    assert 2 <= terms.classes and terms.classes <= MAX_CLASSES, "market: classes out of range"
    assert 1 <= terms.rounds and terms.rounds <= MAX_ROUNDS, "market: rounds out of range"
    assert 1 <= terms.seats and terms.seats <= MAX_SEATS, "market: seats out of range"
    assert 1 <= terms.quorum and terms.quorum <= terms.seats, "market: quorum out of range"
    assert max(terms.pot, max(terms.rate, terms.bond)) <= MAX_AMOUNT, "market: amount out of range"
    assert terms.forfeit <= terms.bond, "market: forfeit exceeds bond"
    for length: uint256 in [terms.enrol_seconds, terms.commit_seconds, terms.reveal_seconds]:
        assert 1 <= length and length <= MAX_SECONDS, "market: phase length out of range"
    pots: uint256 = terms.rounds * terms.pot
    staking._take(msg.sender, pots)
    self.terms[task] = terms
    deadline: uint256 = block.timestamp + terms.enrol_seconds
    self.tasks[task].requester = msg.sender
    self.tasks[task].phase = GATHER
    self.tasks[task].deadline = deadline
    self.tasks[task].pots = pots
    log TaskOpened(task=task, requester=msg.sender, deadline=deadline)


@external
def enrol(task: bytes32):
    """
    @notice Take a free seat and lock the bond. While the task gathers the seat counts at once, later from the next round on.
    @param task The task's name.
    """
    phase: uint256 = self.tasks[task].phase
    assert phase != UNUSED, "market: no such task"
    assert phase != CLOSED, "market: closed"
    assert self.seat_of[task][msg.sender] == 0, "market: already enrolled"
    if phase == GATHER:
        assert block.timestamp <= self.tasks[task].deadline, "market: too late"
    else:
        assert self.tasks[task].round + 1 < self.terms[task].rounds, "market: no further round"
    taken: uint256 = self.tasks[task].taken
    count: uint256 = self._count(taken)
    seats: uint256 = self.terms[task].seats
    assert count < seats, "market: no seat free"
    bond: uint256 = self.terms[task].bond
    staking._lock(msg.sender, bond)
    number: uint256 = 0
    for candidate: uint256 in range(MAX_SEATS):
        if (taken >> candidate) & 1 == 0:
            number = candidate
            break
    self.seats[task][number].holder = msg.sender
    self.seats[task][number].bond = bond
    self.seat_of[task][msg.sender] = number + 1
    self.tasks[task].taken = taken | (1 << number)
    log Enrolled(task=task, worker=msg.sender, seats_taken=count + 1)
    if phase == GATHER and count + 1 == seats:
        self._open_round(task, 0)


@external
def commit(task: bytes32, round: uint256, commitment: bytes32):
    """
    @notice Bind the caller to its labels of a round. The last of the active workers to do so opens the reveals.
    @param task The task's name.
    @param round The present round.
    @param commitment The SHA-256 that `reveal` will check.
    """
    assert self.tasks[task].phase == COMMIT, "market: takes no commitments"
    assert round == self.tasks[task].round, "market: wrong round"
    assert block.timestamp <= self.tasks[task].deadline, "market: too late"
    active: uint256 = self.tasks[task].active
    committed: uint256 = self.tasks[task].committed
    place: uint256 = self.seat_of[task][msg.sender]
    assert place != 0 and (active >> (place - 1)) & 1 == 1, "market: not in this round"
    number: uint256 = place - 1
    assert (committed >> number) & 1 == 0, "market: already committed"
    self.seats[task][number].commitment = commitment
    committed |= 1 << number
    self.tasks[task].committed = committed
    log LabelsCommitted(task=task, round=round, worker=msg.sender, commitment=commitment)
    if committed == active:
        self._open_reveals(task, round, committed)


@external
def reveal(task: bytes32, round: uint256, salt: bytes32, labels: Bytes[MAX_LABELS]):
    """
    @notice Show the labels that the caller's commitment bound. The last one to do so ends the reveals.
    @param task The task's name.
    @param round The present round.
    @param salt The 32 bytes that hid them.
    @param labels Packed words, exactly as many as the samples need, fifteen in unused places.
    """
    assert self.tasks[task].phase == REVEAL, "market: takes no reveals"
    assert round == self.tasks[task].round, "market: wrong round"
    assert block.timestamp <= self.tasks[task].deadline, "market: too late"
    committed: uint256 = self.tasks[task].committed
    revealed: uint256 = self.tasks[task].revealed
    place: uint256 = self.seat_of[task][msg.sender]
    assert place != 0 and (committed >> (place - 1)) & 1 == 1, "market: nothing committed"
    number: uint256 = place - 1
    assert (revealed >> number) & 1 == 0, "market: already revealed"
    samples: uint256 = self.terms[task].samples
    length: uint256 = (samples + 63) // 64
    assert len(labels) == 32 * length, "market: wrong length"
    used: uint256 = samples - 64 * (length - 1)
    unused: uint256 = 0
    if used < 64:
        unused = max_value(uint256) << (4 * used)
    last: uint256 = extract32(labels, 32 * (length - 1), output_type=uint256)
    assert last & unused == unused, "market: labels behind the last sample"
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
    assert bound == self.seats[task][number].commitment, "market: not what was committed"
    for at: uint256 in range(length, bound=MAX_WORDS):
        self.words[task][number][at] = extract32(labels, 32 * at, output_type=uint256)
    revealed |= 1 << number
    self.tasks[task].revealed = revealed
    log LabelsRevealed(task=task, round=round, worker=msg.sender, labels=labels)
    if revealed == committed:
        self._close_reveals(task, round, revealed)


@external
def advance(task: bytes32):
    """
    @notice Take the timed exit of a phase whose deadline has passed. Anyone may.
    @param task The task's name.
    """
    phase: uint256 = self.tasks[task].phase
    assert phase != UNUSED and phase != CLOSED, "market: not running"
    assert phase != SETTLE, "market: settle the round first"
    assert block.timestamp > self.tasks[task].deadline, "market: too early"
    quorum: uint256 = self.terms[task].quorum
    if phase == GATHER:
        if self._count(self.tasks[task].taken) >= quorum:
            self._open_round(task, 0)
        else:
            self._close(task, 0)
        return
    round: uint256 = self.tasks[task].round
    committed: uint256 = self.tasks[task].committed
    if phase == COMMIT:
        absent: uint256 = self.tasks[task].active & ~committed
        for number: uint256 in range(MAX_SEATS):
            if (absent >> number) & 1 == 1:
                self._suspend(task, round, number)
        if self._count(committed) >= quorum:
            self._open_reveals(task, round, committed)
        else:
            self._finish(task, round, False, 0)
        return
    revealed: uint256 = self.tasks[task].revealed
    self._punish(task, round, committed & ~revealed, revealed)
    if self._count(revealed) >= quorum:
        self._close_reveals(task, round, revealed)
    else:
        self._finish(task, round, False, 0)


@external
def settle(task: bytes32, round: uint256):
    """
    @notice Score and pay a round whose reveals are over. Anyone may.
    @param task The task's name.
    @param round The present round.
    """
    assert self.tasks[task].phase == SETTLE, "market: nothing to settle"
    assert round == self.tasks[task].round, "market: wrong round"
    samples: uint256 = self.terms[task].samples
    length: uint256 = (samples + 63) // 64
    counted: DynArray[address, MAX_SEATS] = []
    words: uint256[MAX_SEATS * MAX_WORDS] = empty(uint256[MAX_SEATS * MAX_WORDS])
    revealed: uint256 = self.tasks[task].revealed
    for number: uint256 in range(MAX_SEATS):
        if (revealed >> number) & 1 == 1:
            first: uint256 = len(counted) * MAX_WORDS
            for at: uint256 in range(length, bound=MAX_WORDS):
                words[first + at] = self.words[task][number][at]
            counted.append(self.seats[task][number].holder)
    classes: uint256 = self.terms[task].classes
    sums: uint256[MAX_SEATS * serum.MAX_CLASSES] = serum._tally(words, len(counted), length, classes)
    scores: int256[MAX_SEATS] = serum._scores(sums, sums, len(counted), samples, classes)
    amounts: uint256[MAX_SEATS] = serum._pay(
        scores, len(counted), 1, samples, self.terms[task].pot, self.terms[task].rate
    )
    paid: uint256 = 0
    for w: uint256 in range(len(counted), bound=MAX_SEATS):
        paid += amounts[w]
        staking._give(counted[w], amounts[w])
        log WorkerPaid(task=task, round=round, worker=counted[w], score=scores[w], amount=amounts[w])
    self._finish(task, round, True, paid)


# -- transitions -----------------------------------------------------------------------------------------------------------


@internal
def _open_round(task: bytes32, round: uint256):
    """
    @notice All who hold a seat play.
    """
    taken: uint256 = self.tasks[task].taken
    deadline: uint256 = block.timestamp + self.terms[task].commit_seconds
    self.tasks[task].phase = COMMIT
    self.tasks[task].round = round
    self.tasks[task].deadline = deadline
    self.tasks[task].active = taken
    self.tasks[task].committed = 0
    self.tasks[task].revealed = 0
    log RoundOpened(task=task, round=round, deadline=deadline, workers=self._holders(task, taken))


@internal
def _open_reveals(task: bytes32, round: uint256, committed: uint256):
    """
    @notice Whoever committed may reveal.
    """
    deadline: uint256 = block.timestamp + self.terms[task].reveal_seconds
    self.tasks[task].phase = REVEAL
    self.tasks[task].deadline = deadline
    log RevealsOpened(task=task, round=round, deadline=deadline, committed=self._holders(task, committed))


@internal
def _close_reveals(task: bytes32, round: uint256, revealed: uint256):
    """
    @notice Whoever revealed counts.
    """
    self.tasks[task].phase = SETTLE
    log RevealsClosed(task=task, round=round, counted=self._holders(task, revealed))


@internal
def _punish(task: bytes32, round: uint256, silent: uint256, revealed: uint256):
    """
    @notice The silent forfeit to those who revealed; what does not divide is the requester's.
    """
    forfeit: uint256 = self.terms[task].forfeit
    total: uint256 = 0
    for number: uint256 in range(MAX_SEATS):
        if (silent >> number) & 1 == 1:
            holder: address = self.seats[task][number].holder
            bond: uint256 = self.seats[task][number].bond
            amount: uint256 = min(bond, forfeit)
            staking._seize(holder, amount)
            self.seats[task][number].bond = bond - amount
            total += amount
            log BondForfeited(task=task, round=round, worker=holder, amount=amount)
            if bond - amount < forfeit:
                self._suspend(task, round, number)
    share: uint256 = 0
    revealers: DynArray[address, MAX_SEATS] = self._holders(task, revealed)
    if len(revealers) > 0:
        share = total // len(revealers)
    for worker: address in revealers:
        staking._give(worker, share)
    staking._give(self.tasks[task].requester, total - share * len(revealers))


@internal
def _suspend(task: bytes32, round: uint256, number: uint256):
    """
    @notice Vacate a seat and release what is left of its bond. Who is active matters until the commitments are over, and
            no seat is vacated before that, so that set is left alone.
    """
    holder: address = self.seats[task][number].holder
    self._vacate(task, number)
    self.tasks[task].taken &= ~(1 << number)
    log WorkerSuspended(task=task, round=round, worker=holder)


@internal
def _vacate(task: bytes32, number: uint256):
    """
    @notice Release a seat's bond and forget its holder; the caller clears its bits.
    """
    seat: Seat = self.seats[task][number]
    staking._release(seat.holder, seat.bond)
    self.seat_of[task][seat.holder] = 0
    self.seats[task][number].holder = empty(address)
    self.seats[task][number].bond = 0


@internal
def _finish(task: bytes32, round: uint256, counted: bool, paid: uint256):
    """
    @notice The rest of the round's pot goes back; the next round opens where there is one, else the task closes.
    """
    pot: uint256 = self.terms[task].pot
    self.tasks[task].pots -= pot
    staking._give(self.tasks[task].requester, pot - paid)
    log RoundSettled(task=task, round=round, counted=counted, paid=paid, refunded=pot - paid)
    following: uint256 = round + 1
    if following < self.terms[task].rounds and self._count(self.tasks[task].taken) >= self.terms[task].quorum:
        self._open_round(task, following)
    else:
        self._close(task, following)


@internal
def _close(task: bytes32, played: uint256):
    """
    @notice Release all bonds and pots.
    """
    taken: uint256 = self.tasks[task].taken
    for number: uint256 in range(MAX_SEATS):
        if (taken >> number) & 1 == 1:
            self._vacate(task, number)
    self.tasks[task].phase = CLOSED
    self.tasks[task].taken = 0
    self.tasks[task].active = 0
    staking._give(self.tasks[task].requester, self.tasks[task].pots)
    self.tasks[task].pots = 0
    log TaskClosed(task=task, rounds=played)


@internal
@view
def _holders(task: bytes32, members: uint256) -> DynArray[address, MAX_SEATS]:
    """
    @notice Who sits in these seats, by seat number.
    """
    holders: DynArray[address, MAX_SEATS] = []
    for number: uint256 in range(MAX_SEATS):
        if (members >> number) & 1 == 1:
            holders.append(self.seats[task][number].holder)
    return holders


@internal
@pure
def _count(members: uint256) -> uint256:
    """
    @notice How many seats a set holds.
    """
    count: uint256 = 0
    left: uint256 = members
    for step: uint256 in range(MAX_SEATS):
        if left == 0:
            break
        left &= left - 1
        count += 1
    return count

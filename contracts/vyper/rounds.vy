# pragma version 0.4.3
"""
@title What all label markets share: seats, rounds, pots, and what silence costs
@license Apache-2.0
@notice A module: a market is this and what lies between the commitments and the pay. SPEC.md beside this file says what
        must hold; `p2pfd/incentives/rounds.py` does the same in Python. Sets of seats are words with one bit a seat.
        Terms and tasks lie packed in few words of storage, for a word costs more to read than to take apart.
"""
import staking

uses: staking

MAX_SEATS: constant(uint256) = 64
MAX_CLASSES: constant(uint256) = 15
MAX_ROUNDS: constant(uint256) = 10_000
MAX_AMOUNT: constant(uint256) = 2**63
MAX_SECONDS: constant(uint256) = 30 * 86_400
LOW_24: constant(uint256) = 2**24 - 1
LOW_64: constant(uint256) = 2**64 - 1
LOW_160: constant(uint256) = 2**160 - 1
# Where the four sets begin in their word, and the lengths in theirs.
TAKEN: constant(uint256) = 0
ACTIVE: constant(uint256) = 64
COMMITTED: constant(uint256) = 128
REVEALED: constant(uint256) = 192
COMMIT_SECONDS: constant(uint256) = 96
REVEAL_SECONDS: constant(uint256) = 120
CHALLENGE_SECONDS: constant(uint256) = 144
DISPUTE_SECONDS: constant(uint256) = 168

# The numbers of the phases are part of the interface. In an optimistic round SETTLE is the challenge window.
UNUSED: constant(uint256) = 0
GATHER: constant(uint256) = 1
COMMIT: constant(uint256) = 2
REVEAL: constant(uint256) = 3
SETTLE: constant(uint256) = 4
CLOSED: constant(uint256) = 5
DISPUTE: constant(uint256) = 6
SHOW: constant(uint256) = 7
PROVE: constant(uint256) = 8
DRAW: constant(uint256) = 9


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
    stake: uint256
    challenge_seconds: uint256
    dispute_seconds: uint256
    picks: uint256


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


event RevealsClosed:
    task: indexed(bytes32)
    round: uint256
    counted: DynArray[address, MAX_SEATS]


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


# Terms, which never change: numbers and lengths, the four amounts of 64 bits each, and the stake.
_limits: HashMap[bytes32, uint256]
_amounts: HashMap[bytes32, uint256]
_stake: HashMap[bytes32, uint256]

# Where a task stands: requester, phase, round, deadline; the four sets of 64 seats each; what is left of the pots.
_head: HashMap[bytes32, uint256]
_sets: HashMap[bytes32, uint256]
_pots: HashMap[bytes32, uint256]

# A seat's holder and bond in one word, and the number plus one of the seat that an account holds, or zero.
_seats: HashMap[bytes32, HashMap[uint256, uint256]]
seat_of: public(HashMap[bytes32, HashMap[address, uint256]])

# The hash of who plays in the present round, by seat: a full batch of signatures is checked against this one word.
_roster: HashMap[bytes32, bytes32]


# -- views -----------------------------------------------------------------------------------------------------------------


@external
@view
def terms(task: bytes32) -> Terms:
    """
    @notice What a task was opened with; zeros where there is none.
    @param task The task's name.
    @return The terms.
    """
    return self._terms(task)


@external
@view
def tasks(task: bytes32) -> Task:
    """
    @notice Where a task stands.
    @param task The task's name.
    @return Its state; the last four are sets of seats.
    """
    head: uint256 = self._head[task]
    sets: uint256 = self._sets[task]
    return Task(
        requester=self._requester(task),
        phase=(head >> 160) & 255,
        round=(head >> 168) & LOW_24,
        deadline=head >> 192,
        pots=self._pots[task],
        taken=sets & LOW_64,
        active=(sets >> 64) & LOW_64,
        committed=(sets >> 128) & LOW_64,
        revealed=sets >> 192,
    )


@external
@view
def seats(task: bytes32, number: uint256) -> Seat:
    """
    @notice Who holds a seat, and what is left of its bond.
    @param task The task's name.
    @param number The seat's.
    @return Holder and bond.
    """
    word: uint256 = self._seats[task][number]
    return Seat(holder=convert(word & LOW_160, address), bond=word >> 160)


@internal
@pure
def _need(holds: bool, reason: String[32]):
    """
    @notice Refuse for a reason unless it holds: one place for it, because each `assert` with a reason takes a hundred bytes
            of code, and a contract may have 24,576.
    """
    assert holds, reason


# -- storage ---------------------------------------------------------------------------------------------------------------


@internal
@view
def _terms(task: bytes32) -> Terms:
    """
    @notice All terms, for whoever asks; the markets themselves take the few they need.
    """
    limits: uint256 = self._limits[task]
    amounts: uint256 = self._amounts[task]
    return Terms(
        samples=self._samples(task),
        classes=self._classes(task),
        rounds=(limits >> 40) & (2**16 - 1),
        pot=self._pot(task),
        rate=self._rate(task),
        bond=(amounts >> 128) & LOW_64,
        forfeit=amounts >> 192,
        quorum=(limits >> 56) & 255,
        seats=(limits >> 64) & 255,
        enrol_seconds=self._seconds(task, 72),
        commit_seconds=self._seconds(task, COMMIT_SECONDS),
        reveal_seconds=self._seconds(task, REVEAL_SECONDS),
        stake=self._stake[task],
        challenge_seconds=self._seconds(task, CHALLENGE_SECONDS),
        dispute_seconds=self._seconds(task, DISPUTE_SECONDS),
        picks=self._picks(task),
    )


@internal
@view
def _samples(task: bytes32) -> uint256:
    return self._limits[task] & (2**32 - 1)


@internal
@view
def _classes(task: bytes32) -> uint256:
    return (self._limits[task] >> 32) & 255


@internal
@view
def _quorum(task: bytes32) -> uint256:
    return (self._limits[task] >> 56) & 255


@internal
@view
def _picks(task: bytes32) -> uint256:
    return self._limits[task] >> 192


@internal
@view
def _seconds(task: bytes32, which: uint256) -> uint256:
    """
    @notice One of the lengths.
    """
    return (self._limits[task] >> which) & LOW_24


@internal
@view
def _pot(task: bytes32) -> uint256:
    return self._amounts[task] & LOW_64


@internal
@view
def _rate(task: bytes32) -> uint256:
    return (self._amounts[task] >> 64) & LOW_64


@internal
@view
def _requester(task: bytes32) -> address:
    return convert(self._head[task] & LOW_160, address)


@internal
@view
def _phase(task: bytes32) -> uint256:
    return (self._head[task] >> 160) & 255


@internal
@view
def _round(task: bytes32) -> uint256:
    return (self._head[task] >> 168) & LOW_24


@internal
@view
def _deadline(task: bytes32) -> uint256:
    return self._head[task] >> 192


@internal
@view
def _set(task: bytes32, which: uint256) -> uint256:
    """
    @notice One of the four sets of seats.
    """
    return (self._sets[task] >> which) & LOW_64


@internal
def _add(task: bytes32, which: uint256, members: uint256):
    """
    @notice Put seats into a set.
    """
    self._sets[task] |= members << which


@internal
def _enter(task: bytes32, phase: uint256, seconds: uint256) -> uint256:
    """
    @notice Begin a phase that lasts so long, and say until when.
    """
    deadline: uint256 = block.timestamp + seconds
    self._head[task] = (self._head[task] & (LOW_160 | (LOW_24 << 168))) | (phase << 160) | (deadline << 192)
    return deadline


@internal
def _stand(task: bytes32, phase: uint256):
    """
    @notice Begin a phase without a deadline; the last one's stays to be read.
    """
    self._head[task] = (self._head[task] & ~(255 << 160)) | (phase << 160)


@internal
@view
def _in_round(task: bytes32, round: uint256):
    """
    @notice Refuse another round than the present one.
    """
    self._need(round == (self._head[task] >> 168) & LOW_24, "market: wrong round")


@internal
@view
def _in_time(deadline: uint256):
    """
    @notice Refuse what comes after the deadline.
    """
    self._need(block.timestamp <= deadline, "market: too late")


# -- what participants call ------------------------------------------------------------------------------------------------


@internal
@view
def _check_terms(task: bytes32, terms: Terms, max_samples: uint256):
    """
    @notice Refuse a used name and terms out of range; a market checks what is its own after this.
    """
    self._need(self._phase(task) == UNUSED, "market: task exists")
    self._need(1 <= terms.samples and terms.samples <= max_samples, "market: samples out of range")
    self._need(2 <= terms.classes and terms.classes <= MAX_CLASSES, "market: classes out of range")
    self._need(1 <= terms.rounds and terms.rounds <= MAX_ROUNDS, "market: rounds out of range")
    self._need(1 <= terms.seats and terms.seats <= MAX_SEATS, "market: seats out of range")
    self._need(1 <= terms.quorum and terms.quorum <= terms.seats, "market: quorum out of range")
    self._need(max(max(terms.pot, terms.stake), max(terms.rate, terms.bond)) <= MAX_AMOUNT, "market: amount out of range")
    self._need(terms.forfeit <= terms.bond, "market: forfeit exceeds bond")
    self._check_seconds(terms.enrol_seconds)
    self._check_seconds(terms.commit_seconds)
    self._check_seconds(terms.reveal_seconds)


@internal
@pure
def _check_seconds(length: uint256):
    """
    @notice Refuse a phase of no length or a very long one.
    """
    self._need(1 <= length and length <= MAX_SECONDS, "market: seconds out of range")


@internal
def _open(task: bytes32, terms: Terms):
    """
    @notice Keep the terms, which are in range, and gather; the caller's free balance pays all rounds' pots.
    """
    pots: uint256 = terms.rounds * terms.pot
    staking._take(msg.sender, pots)
    self._limits[task] = (
        terms.samples
        | (terms.classes << 32)
        | (terms.rounds << 40)
        | (terms.quorum << 56)
        | (terms.seats << 64)
        | (terms.enrol_seconds << 72)
        | (terms.commit_seconds << COMMIT_SECONDS)
        | (terms.reveal_seconds << REVEAL_SECONDS)
        | (terms.challenge_seconds << CHALLENGE_SECONDS)
        | (terms.dispute_seconds << DISPUTE_SECONDS)
        | (terms.picks << 192)
    )
    self._amounts[task] = terms.pot | (terms.rate << 64) | (terms.bond << 128) | (terms.forfeit << 192)
    self._stake[task] = terms.stake
    self._pots[task] = pots
    self._head[task] = convert(msg.sender, uint256)
    log TaskOpened(task=task, requester=msg.sender, deadline=self._enter(task, GATHER, terms.enrol_seconds))


@internal
def _enrol(task: bytes32):
    """
    @notice Give the caller the lowest free seat and lock its bond.
    """
    phase: uint256 = self._phase(task)
    self._need(phase != UNUSED, "market: no such task")
    self._need(phase != CLOSED, "market: closed")
    self._need(self.seat_of[task][msg.sender] == 0, "market: already enrolled")
    limits: uint256 = self._limits[task]
    if phase == GATHER:
        self._in_time(self._deadline(task))
    else:
        self._need(self._round(task) + 1 < (limits >> 40) & (2**16 - 1), "market: no further round")
    taken: uint256 = self._set(task, TAKEN)
    count: uint256 = self._count(taken)
    seats: uint256 = (limits >> 64) & 255
    self._need(count < seats, "market: no seat free")
    bond: uint256 = (self._amounts[task] >> 128) & LOW_64
    staking._lock(msg.sender, bond)
    number: uint256 = 0
    for candidate: uint256 in range(MAX_SEATS):
        if (taken >> candidate) & 1 == 0:
            number = candidate
            break
    self._seats[task][number] = convert(msg.sender, uint256) | (bond << 160)
    self.seat_of[task][msg.sender] = number + 1
    self._add(task, TAKEN, 1 << number)
    log Enrolled(task=task, worker=msg.sender, seats_taken=count + 1)
    if phase == GATHER and count + 1 == seats:
        self._open_round(task, 0, [])


@internal
@view
def _may_commit(task: bytes32, round: uint256):
    """
    @notice Refuse where no commitments are taken.
    """
    self._need(self._phase(task) == COMMIT, "market: takes no commitments")
    self._in_round(task, round)
    self._in_time(self._deadline(task))


@internal
@view
def _free_to_commit(task: bytes32, who: address) -> uint256:
    """
    @notice The number of the seat of an account that plays and is not bound yet.
    """
    place: uint256 = self.seat_of[task][who]
    sets: uint256 = self._sets[task]
    self._need(place != 0 and (sets >> ACTIVE >> (place - 1)) & 1 == 1, "market: not in this round")
    self._need((sets >> COMMITTED >> (place - 1)) & 1 == 0, "market: already committed")
    return place - 1


@internal
@view
def _free_to_reveal(task: bytes32) -> uint256:
    """
    @notice The number of the caller's seat, which is bound and has not revealed yet.
    """
    place: uint256 = self.seat_of[task][msg.sender]
    sets: uint256 = self._sets[task]
    self._need(place != 0 and (sets >> COMMITTED >> (place - 1)) & 1 == 1, "market: nothing committed")
    self._need((sets >> REVEALED >> (place - 1)) & 1 == 0, "market: already revealed")
    return place - 1


# -- transitions -----------------------------------------------------------------------------------------------------------


@internal
@view
def _enough(task: bytes32, which: uint256) -> bool:
    """
    @notice Whether a set has a quorum.
    """
    return self._count(self._set(task, which)) >= self._quorum(task)


@internal
def _gathered(task: bytes32):
    """
    @notice The end of gathering by time.
    """
    if self._enough(task, TAKEN):
        self._open_round(task, 0, [])
    else:
        self._close(task, 0)


@internal
def _open_round(task: bytes32, round: uint256, known: DynArray[address, MAX_SEATS]):
    """
    @notice All who hold a seat play. Who played before, by seat, may be known from all of them having been counted: then
            no seat has changed hands, and where no seat was taken since either, nobody needs to be looked up.
    """
    same: bool = len(known) > 0 and self._set(task, TAKEN) == self._set(task, ACTIVE)
    deadline: uint256 = self._enter(task, COMMIT, self._seconds(task, COMMIT_SECONDS))
    self._head[task] = (self._head[task] & ~(LOW_24 << 168)) | (round << 168)
    taken: uint256 = self._set(task, TAKEN)
    self._sets[task] = taken | (taken << ACTIVE)
    workers: DynArray[address, MAX_SEATS] = known
    if not same:
        workers = self._holders(task, taken)
        self._roster[task] = keccak256(abi_encode(workers))
    log RoundOpened(task=task, round=round, deadline=deadline, workers=workers)


@internal
def _open_reveals(task: bytes32, committed: DynArray[address, MAX_SEATS]):
    """
    @notice Whoever is bound may reveal: these, by seat.
    """
    deadline: uint256 = self._enter(task, REVEAL, self._seconds(task, REVEAL_SECONDS))
    log RevealsOpened(task=task, round=self._round(task), deadline=deadline, committed=committed)


@internal
def _close_reveals(task: bytes32):
    """
    @notice Whoever revealed counts.
    """
    self._stand(task, SETTLE)
    log RevealsClosed(
        task=task, round=self._round(task), counted=self._holders(task, self._set(task, REVEALED))
    )


@internal
def _end_reveals(task: bytes32):
    """
    @notice The end of the reveals by time: the silent forfeit, and without a quorum the round is void.
    """
    revealed: uint256 = self._set(task, REVEALED)
    self._punish(task, self._set(task, COMMITTED) & ~revealed, revealed)
    if self._enough(task, REVEALED):
        self._close_reveals(task)
    else:
        self._finish(task, False, 0, [])


@internal
def _suspend_absent(task: bytes32):
    """
    @notice Whoever plays and is not bound when the commitments end leaves its seat, with its bond.
    """
    absent: uint256 = self._set(task, ACTIVE) & ~self._set(task, COMMITTED)
    for number: uint256 in range(MAX_SEATS):
        if absent >> number == 0:
            break
        if (absent >> number) & 1 == 1:
            self._suspend(task, number)


@internal
def _punish(task: bytes32, silent: uint256, counted: uint256):
    """
    @notice The silent forfeit to those who count; what does not divide is the requester's.
    """
    if silent == 0:
        return
    forfeit: uint256 = self._amounts[task] >> 192
    total: uint256 = 0
    for number: uint256 in range(MAX_SEATS):
        if silent >> number == 0:
            break
        if (silent >> number) & 1 == 1:
            word: uint256 = self._seats[task][number]
            holder: address = convert(word & LOW_160, address)
            amount: uint256 = min(word >> 160, forfeit)
            staking._seize(holder, amount)
            self._seats[task][number] = word - (amount << 160)
            total += amount
            log BondForfeited(task=task, round=self._round(task), worker=holder, amount=amount)
            if (word >> 160) - amount < forfeit:
                self._suspend(task, number)
    self._share(task, total, counted)


@internal
def _share(task: bytes32, total: uint256, counted: uint256):
    """
    @notice Equal parts to these seats; what does not divide is the requester's.
    """
    share: uint256 = 0
    workers: DynArray[address, MAX_SEATS] = self._holders(task, counted)
    if len(workers) > 0:
        share = total // len(workers)
    for worker: address in workers:
        staking._give(worker, share)
    staking._give(self._requester(task), total - share * len(workers))


@internal
def _suspend(task: bytes32, number: uint256):
    """
    @notice Vacate a seat. Who is active matters until the commitments are over, and no seat is vacated before that, so
            that set is left alone.
    """
    holder: address = self._vacate(task, number)
    self._sets[task] &= ~(1 << number)
    log WorkerSuspended(task=task, round=self._round(task), worker=holder)


@internal
def _vacate(task: bytes32, number: uint256) -> address:
    """
    @notice Release a seat's bond and forget its holder; the caller clears its bits.
    """
    word: uint256 = self._seats[task][number]
    holder: address = convert(word & LOW_160, address)
    staking._release(holder, word >> 160)
    self.seat_of[task][holder] = 0
    self._seats[task][number] = 0
    return holder


@internal
def _finish(task: bytes32, counted: bool, paid: uint256, known: DynArray[address, MAX_SEATS]):
    """
    @notice The rest of the round's pot goes back; the next round opens where there is one, else the task closes. Who
            plays, by seat, may be known if all of them count.
    """
    pot: uint256 = self._pot(task)
    round: uint256 = self._round(task)
    self._pots[task] -= pot
    staking._give(self._requester(task), pot - paid)
    log RoundSettled(task=task, round=round, counted=counted, paid=paid, refunded=pot - paid)
    if round + 1 < (self._limits[task] >> 40) & (2**16 - 1) and self._enough(task, TAKEN):
        self._open_round(task, round + 1, known)
    else:
        self._close(task, round + 1)


@internal
def _close(task: bytes32, played: uint256):
    """
    @notice Release all bonds and pots.
    """
    taken: uint256 = self._set(task, TAKEN)
    for number: uint256 in range(MAX_SEATS):
        if (taken >> number) & 1 == 1:
            self._vacate(task, number)
    self._stand(task, CLOSED)
    self._sets[task] = 0
    staking._give(self._requester(task), self._pots[task])
    self._pots[task] = 0
    log TaskClosed(task=task, rounds=played)


@internal
@view
def _holders(task: bytes32, members: uint256) -> DynArray[address, MAX_SEATS]:
    """
    @notice Who sits in these seats, by seat number.
    """
    holders: DynArray[address, MAX_SEATS] = []
    left: uint256 = members
    for number: uint256 in range(MAX_SEATS):
        if left == 0:
            break
        if left & 1 == 1:
            holders.append(convert(self._seats[task][number] & LOW_160, address))
        left >>= 1
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

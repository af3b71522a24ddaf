# pragma version 0.4.3
"""
@title The optimistic label market: a staked claim says what a round pays, and a dispute computes it
@license Apache-2.0
@notice SPEC.md beside this file says what must hold; `p2pfd/incentives/optimistic.py` does the same in Python. Labels stay off
        chain unless somebody contradicts or is left out.
"""
import Court
import rounds
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

MAX_SAMPLES: constant(uint256) = 65_536
CHUNK_SAMPLES: constant(uint256) = 1024
CHUNK_BYTES: constant(uint256) = 512
MAX_CHUNKS: constant(uint256) = 64
MAX_STEPS: constant(uint256) = 6
MAX_SEATS: constant(uint256) = 64
MAX_CLASSES: constant(uint256) = 15
DOMAIN: constant(bytes32) = 0x70327066642d726f6f74732d3100000000000000000000000000000000000000
EIP712_DOMAIN: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
EIP712_LABELS: constant(bytes32) = keccak256("Labels(bytes32 task,uint256 round,bytes32 commitment)")
NAME: constant(bytes32) = keccak256("p2pfd-labels")
VERSION: constant(bytes32) = keccak256("1")
# Half the order of secp256k1: each signature has a twin whose s is larger.
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
LOW_255: constant(uint256) = 2**255 - 1


struct Signature:
    r: uint256
    vs: uint256


event CommitmentsPosted:
    task: indexed(bytes32)
    round: uint256
    workers: DynArray[address, MAX_SEATS]
    commitments: DynArray[bytes32, MAX_SEATS]


event LabelsRevealed:
    task: indexed(bytes32)
    round: uint256
    worker: address
    labels: DynArray[Bytes[CHUNK_BYTES], MAX_CHUNKS]


event RoundClaimed:
    task: indexed(bytes32)
    round: uint256
    claimer: address
    deadline: uint256
    counted: uint256
    amounts: DynArray[uint256, MAX_SEATS]


event ClaimDropped:
    task: indexed(bytes32)
    round: uint256
    claimer: address


event RoundChallenged:
    task: indexed(bytes32)
    round: uint256
    challenger: address
    deadline: uint256


event LabelsDemanded:
    task: indexed(bytes32)
    round: uint256
    deadline: uint256


event ProofWanted:
    task: indexed(bytes32)
    round: uint256
    deadline: uint256
    counted: DynArray[address, MAX_SEATS]


event ProofOpened:
    task: indexed(bytes32)
    round: uint256
    roots: DynArray[bytes32, MAX_SEATS]


event ChunkProved:
    task: indexed(bytes32)
    round: uint256
    done: uint256


event DisputeDecided:
    task: indexed(bytes32)
    round: uint256
    right: bool
    loser: address
    amount: uint256


event WorkersPaid:
    task: indexed(bytes32)
    round: uint256
    counted: uint256
    amounts: DynArray[uint256, MAX_SEATS]


# Where disputes are computed.
court: public(immutable(address))

# For the chain that the contract was made on; another chain after a split gets its own.
home: immutable(uint256)
home_separator: immutable(bytes32)

# The rolling hash of the commitments of the present round; it begins anew with the first of a round.
bound: public(HashMap[bytes32, bytes32])

# The standing claim: the claimer and, above, the seats that it counts; the hash of those seats and the amounts; and who
# challenged it. They mean something in SETTLE and DISPUTE alone.
_claims: HashMap[bytes32, uint256]
_claimed: HashMap[bytes32, bytes32]
_challengers: HashMap[bytes32, address]

# The hash of the roots in a proof, zero until it is opened, and how many chunks are in the sums.
_opened: HashMap[bytes32, bytes32]
_done: HashMap[bytes32, uint256]

# The sums of the serum so far, four classes to a word: of 64 bits each, as `serum._tally` gives them.
_sums: HashMap[bytes32, HashMap[uint256, uint256[4]]]


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
    home = chain.id
    home_separator = keccak256(abi_encode(EIP712_DOMAIN, NAME, VERSION, chain.id, self))


# -- what participants call ------------------------------------------------------------------------------------------------


@external
def open_task(task: bytes32, terms: rounds.Terms):
    """
    @notice Open a market under an unused name; the caller's free balance pays all rounds' pots.
    @param task The task's name.
    @param terms What it will be held to; no words are drawn here, so `picks` is zero.
    """
    rounds._check_terms(task, terms, MAX_SAMPLES)
    rounds._check_seconds(terms.challenge_seconds)
    rounds._check_seconds(terms.dispute_seconds)
    rounds._need(terms.picks == 0, "market: picks out of range")
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
    @notice Bind the caller to its labels of a round, where nobody posts its signature. The last one opens the reveals.
    @param task The task's name.
    @param round The present round.
    @param commitment What binds the root of the labels.
    """
    rounds._may_commit(task, round)
    number: uint256 = rounds._free_to_commit(task, msg.sender)
    self.bound[task] = self._rolled(self._rolled_so_far(task), number, commitment)
    rounds._add(task, rounds.COMMITTED, 1 << number)
    log rounds.LabelsCommitted(task=task, round=round, worker=msg.sender, commitment=commitment)
    self._maybe_reveal(task)


@external
def commit_signed(
    task: bytes32, round: uint256, commitments: DynArray[bytes32, MAX_SEATS], signatures: DynArray[Signature, MAX_SEATS]
):
    """
    @notice Bind all who signed. Anyone may. Cheapest with all who play, by seat.
    @param task The task's name.
    @param round The present round.
    @param commitments What binds the roots of their labels.
    @param signatures Of each of them: r, and s with the parity of the point on top.
    """
    rounds._may_commit(task, round)
    self._same(len(signatures), len(commitments))
    separator: bytes32 = self._separator()
    workers: DynArray[address, MAX_SEATS] = []
    for index: uint256 in range(len(commitments), bound=MAX_SEATS):
        vs: uint256 = signatures[index].vs
        assert vs & LOW_255 <= HALF_ORDER, "market: malleable signature"
        labels: bytes32 = keccak256(abi_encode(EIP712_LABELS, task, round, commitments[index]))
        signed: bytes32 = keccak256(concat(x"1901", separator, labels))
        workers.append(ecrecover(signed, 27 + (vs >> 255), signatures[index].r, vs & LOW_255))
    rolled: bytes32 = self._rolled_so_far(task)
    if rolled == empty(bytes32) and keccak256(abi_encode(workers)) == rounds._roster[task]:
        # All who play, by seat: nobody needs to be looked up.
        number: uint256 = 0
        active: uint256 = rounds._set(task, rounds.ACTIVE)
        for commitment: bytes32 in commitments:
            for step: uint256 in range(MAX_SEATS):
                if (active >> number) & 1 == 1:
                    break
                number += 1
            rolled = self._rolled(rolled, number, commitment)
            number += 1
        rounds._add(task, rounds.COMMITTED, active)
        self._bind(task, round, rolled, workers, commitments)
        rounds._open_reveals(task, workers)
    else:
        for index: uint256 in range(len(workers), bound=MAX_SEATS):
            number: uint256 = rounds._free_to_commit(task, workers[index])
            rolled = self._rolled(rolled, number, commitments[index])
            rounds._add(task, rounds.COMMITTED, 1 << number)
        self._bind(task, round, rolled, workers, commitments)
        self._maybe_reveal(task)


@external
def reveal(
    task: bytes32,
    round: uint256,
    order: DynArray[uint256, MAX_SEATS],
    commitments: DynArray[bytes32, MAX_SEATS],
    salt: bytes32,
    labels: DynArray[Bytes[CHUNK_BYTES], MAX_CHUNKS],
):
    """
    @notice Show all the caller's labels on chain: it must be counted now. A claim that left it out falls.
    @param task The task's name.
    @param round The present round.
    @param order The seats in the order in which they were bound.
    @param commitments Their commitments.
    @param salt The 32 bytes that hid the labels.
    @param labels Packed words in chunks of sixteen, fifteen in unused places.
    """
    phase: uint256 = rounds._phase(task)
    rounds._need(phase == rounds.REVEAL or phase == rounds.SETTLE or phase == rounds.SHOW, "market: takes no reveals")
    rounds._in_round(task, round)
    rounds._in_time(self._until(task))
    number: uint256 = rounds._free_to_reveal(task)
    if phase == rounds.SETTLE:
        rounds._need((self._claims[task] >> 160 >> number) & 1 == 0, "market: already counted")
    root: bytes32 = staticcall Court.__interface__(court).root(labels, rounds._samples(task))
    by_seat: bytes32[MAX_SEATS] = self._listed(task, order, commitments)
    self._opens(task, round, number, salt, root, by_seat[number])
    rounds._add(task, rounds.REVEALED, 1 << number)
    log LabelsRevealed(task=task, round=round, worker=msg.sender, labels=labels)
    if phase == rounds.SETTLE:
        log ClaimDropped(task=task, round=round, claimer=self._unstaked(task))
        rounds._enter(task, rounds.REVEAL, 0)
    elif phase == rounds.SHOW and rounds._set(task, rounds.REVEALED) == rounds._set(task, rounds.COMMITTED):
        self._want_proof(task)


@external
def claim(task: bytes32, round: uint256, counted: uint256, amounts: DynArray[uint256, MAX_SEATS]):
    """
    @notice Stake that these workers revealed and that the serum pays them this.
    @param task The task's name.
    @param round The present round.
    @param counted The set of their seats.
    @param amounts What each of them earns, by seat.
    """
    rounds._need(rounds._phase(task) == rounds.REVEAL, "market: takes no claims")
    rounds._in_round(task, round)
    rounds._in_time(self._until(task))
    committed: uint256 = rounds._set(task, rounds.COMMITTED)
    rounds._need(counted & ~committed == 0, "market: not bound")
    if block.timestamp <= rounds._deadline(task):
        rounds._need(counted == committed, "market: others may still reveal")
    rounds._need(rounds._set(task, rounds.REVEALED) & ~counted == 0, "market: leaves out a reveal")
    number: uint256 = rounds._count(counted)
    rounds._need(number >= rounds._quorum(task), "market: too few")
    self._same(len(amounts), number)
    left: uint256 = rounds._pot(task)
    for amount: uint256 in amounts:
        rounds._need(amount <= left, "market: more than the pot")
        left = unsafe_sub(left, amount)
    staking._lock(msg.sender, rounds._stake[task])
    self._claims[task] = convert(msg.sender, uint256) | (counted << 160)
    self._claimed[task] = keccak256(abi_encode(counted, amounts))
    log RoundClaimed(
        task=task,
        round=round,
        claimer=msg.sender,
        deadline=rounds._enter(task, rounds.SETTLE, rounds._seconds(task, rounds.CHALLENGE_SECONDS)),
        counted=counted,
        amounts=amounts,
    )


@external
def challenge(task: bytes32, round: uint256):
    """
    @notice Stake that the standing claim is wrong: now it must be computed on chain.
    @param task The task's name.
    @param round The present round.
    """
    rounds._need(rounds._phase(task) == rounds.SETTLE, "market: nothing to challenge")
    rounds._in_round(task, round)
    rounds._in_time(rounds._deadline(task))
    staking._lock(msg.sender, rounds._stake[task])
    self._challengers[task] = msg.sender
    self._opened[task] = empty(bytes32)
    deadline: uint256 = rounds._enter(task, rounds.DISPUTE, rounds._seconds(task, rounds.DISPUTE_SECONDS))
    log RoundChallenged(task=task, round=round, challenger=msg.sender, deadline=deadline)


@external
def open_proof(
    task: bytes32,
    round: uint256,
    order: DynArray[uint256, MAX_SEATS],
    commitments: DynArray[bytes32, MAX_SEATS],
    salts: DynArray[bytes32, MAX_SEATS],
    roots: DynArray[bytes32, MAX_SEATS],
):
    """
    @notice Open the commitments of all who count. Anyone may.
    @param task The task's name.
    @param round The present round.
    @param order The seats in the order in which they were bound.
    @param commitments Their commitments.
    @param salts What hid each of those who count, by seat.
    @param roots The roots of their labels, by seat.
    """
    counted: uint256 = self._proving(task, round)
    rounds._need(self._opened[task] == empty(bytes32), "market: already opened")
    by_seat: bytes32[MAX_SEATS] = self._listed(task, order, commitments)
    self._same(len(salts), rounds._count(counted))
    self._same(len(salts), len(roots))
    index: uint256 = 0
    for seat: uint256 in range(MAX_SEATS):
        if (counted >> seat) & 1 == 1:
            self._opens(task, round, seat, salts[index], roots[index], by_seat[seat])
            index += 1
    self._opened[task] = keccak256(abi_encode(roots))
    self._done[task] = 0
    log ProofOpened(task=task, round=round, roots=roots)


@external
def prove_chunk(
    task: bytes32,
    round: uint256,
    roots: DynArray[bytes32, MAX_SEATS],
    labels: DynArray[Bytes[CHUNK_BYTES], MAX_SEATS],
    paths: DynArray[DynArray[bytes32, MAX_STEPS], MAX_SEATS],
):
    """
    @notice Show the next chunk of the labels of all who count. Anyone may. The last one pays, and decides the dispute.
    @param task The task's name.
    @param round The present round.
    @param roots As they were opened.
    @param labels The chunk of each, by seat.
    @param paths What leads from each to its root.
    """
    counted: uint256 = self._proving(task, round)
    opened: bytes32 = self._opened[task]
    rounds._need(opened != empty(bytes32), "market: not opened")
    rounds._need(keccak256(abi_encode(roots)) == opened, "market: not the roots")
    samples: uint256 = rounds._samples(task)
    classes: uint256 = rounds._classes(task)
    done: uint256 = self._done[task]
    sums: uint256[MAX_SEATS * MAX_CLASSES] = staticcall Court.__interface__(court).tally(
        roots, labels, paths, done, samples, classes
    )
    count: uint256 = (samples + CHUNK_SAMPLES - 1) // CHUNK_SAMPLES
    if count > 1:
        sums = self._added(task, sums, len(roots), done > 0)
    done += 1
    self._done[task] = done
    log ChunkProved(task=task, round=round, done=done)
    if done == count:
        amounts: DynArray[uint256, MAX_SEATS] = staticcall Court.__interface__(court).amounts(
            sums, len(roots), samples, classes, rounds._pot(task), rounds._rate(task)
        )
        silent: uint256 = 0
        if rounds._phase(task) == rounds.DISPUTE:
            silent = rounds._set(task, rounds.COMMITTED) & ~counted
            self._decide(task, keccak256(abi_encode(counted, amounts)) == self._claimed[task], counted)
        self._pay(task, counted, silent, amounts, [])


@external
def settle(
    task: bytes32,
    round: uint256,
    counted: uint256,
    amounts: DynArray[uint256, MAX_SEATS],
    workers: DynArray[address, MAX_SEATS],
):
    """
    @notice Pay as claimed, once nobody can challenge it any more. Anyone may.
    @param task The task's name.
    @param round The present round.
    @param counted The set of seats that was claimed.
    @param amounts The amounts that were claimed.
    @param workers All who play, by seat, to save looking them up where all of them count; anything else changes nothing.
    """
    rounds._need(rounds._phase(task) == rounds.SETTLE, "market: nothing to settle")
    rounds._in_round(task, round)
    rounds._need(block.timestamp > rounds._deadline(task), "market: too early")
    rounds._need(keccak256(abi_encode(counted, amounts)) == self._claimed[task], "market: not the claim")
    self._unstaked(task)
    known: DynArray[address, MAX_SEATS] = []
    if counted == rounds._set(task, rounds.ACTIVE) and keccak256(abi_encode(workers)) == rounds._roster[task]:
        known = workers
    self._pay(task, counted, rounds._set(task, rounds.COMMITTED) & ~counted, amounts, known)


@external
def advance(task: bytes32):
    """
    @notice Take the timed exit of a phase whose deadline has passed. Anyone may.
    @param task The task's name.
    """
    phase: uint256 = rounds._phase(task)
    rounds._need(phase != rounds.UNUSED and phase != rounds.CLOSED, "market: not running")
    rounds._need(phase != rounds.SETTLE, "market: settle the round first")
    rounds._need(block.timestamp > self._until(task), "market: too early")
    committed: uint256 = rounds._set(task, rounds.COMMITTED)
    if phase == rounds.GATHER:
        rounds._gathered(task)
    elif phase == rounds.COMMIT:
        rounds._suspend_absent(task)
        if rounds._enough(task, rounds.COMMITTED):
            rounds._open_reveals(task, rounds._holders(task, committed))
        else:
            rounds._finish(task, False, 0, [])
    elif phase == rounds.REVEAL or phase == rounds.DISPUTE:
        if phase == rounds.DISPUTE:
            self._decide(task, False, committed)
        self._demand(task)
    elif phase == rounds.SHOW:
        revealed: uint256 = rounds._set(task, rounds.REVEALED)
        rounds._punish(task, committed & ~revealed, revealed)
        if rounds._enough(task, rounds.REVEALED):
            self._want_proof(task)
        else:
            rounds._finish(task, False, 0, [])
    else:
        rounds._finish(task, False, 0, [])


# -- transitions -----------------------------------------------------------------------------------------------------------


@internal
def _bind(
    task: bytes32,
    round: uint256,
    rolled: bytes32,
    workers: DynArray[address, MAX_SEATS],
    commitments: DynArray[bytes32, MAX_SEATS],
):
    """
    @notice Keep the rolling hash, and say what is in it.
    """
    self.bound[task] = rolled
    log CommitmentsPosted(task=task, round=round, workers=workers, commitments=commitments)


@internal
def _maybe_reveal(task: bytes32):
    """
    @notice The last one to be bound opens the reveals.
    """
    committed: uint256 = rounds._set(task, rounds.COMMITTED)
    if committed == rounds._set(task, rounds.ACTIVE):
        rounds._open_reveals(task, rounds._holders(task, committed))


@internal
def _demand(task: bytes32):
    """
    @notice No claim stands: whoever wants to count shows its labels on chain, unless all have.
    """
    if rounds._set(task, rounds.REVEALED) == rounds._set(task, rounds.COMMITTED):
        self._want_proof(task)
    else:
        deadline: uint256 = rounds._enter(task, rounds.SHOW, rounds._seconds(task, rounds.REVEAL_SECONDS))
        log LabelsDemanded(task=task, round=rounds._round(task), deadline=deadline)


@internal
def _want_proof(task: bytes32):
    """
    @notice Whoever showed its labels counts; the computation is wanted.
    """
    self._opened[task] = empty(bytes32)
    deadline: uint256 = rounds._enter(task, rounds.PROVE, rounds._seconds(task, rounds.DISPUTE_SECONDS))
    log ProofWanted(
        task=task,
        round=rounds._round(task),
        deadline=deadline,
        counted=rounds._holders(task, rounds._set(task, rounds.REVEALED)),
    )


@internal
def _unstaked(task: bytes32) -> address:
    """
    @notice Give the claimer its stake back, and say who it is.
    """
    claimer: address = convert(self._claims[task] & (2**160 - 1), address)
    staking._release(claimer, rounds._stake[task])
    return claimer


@internal
def _decide(task: bytes32, right: bool, among: uint256):
    """
    @notice Half of the loser's stake is the winner's, the rest the workers'.
    """
    stake: uint256 = rounds._stake[task]
    claimer: address = convert(self._claims[task] & (2**160 - 1), address)
    winner: address = claimer
    loser: address = self._challengers[task]
    if not right:
        winner = loser
        loser = claimer
    staking._release(winner, stake)
    staking._seize(loser, stake)
    staking._give(winner, stake // 2)
    rounds._share(task, stake - stake // 2, among)
    log DisputeDecided(task=task, round=rounds._round(task), right=right, loser=loser, amount=stake)


@internal
def _pay(
    task: bytes32,
    counted: uint256,
    silent: uint256,
    amounts: DynArray[uint256, MAX_SEATS],
    known: DynArray[address, MAX_SEATS],
):
    """
    @notice Pay, punish the silent, and end the round.
    """
    workers: DynArray[address, MAX_SEATS] = known
    if len(known) == 0:
        workers = rounds._holders(task, counted)
    paid: uint256 = 0
    for index: uint256 in range(len(workers), bound=MAX_SEATS):
        staking._give(workers[index], amounts[index])
        paid += amounts[index]
    log WorkersPaid(task=task, round=rounds._round(task), counted=counted, amounts=amounts)
    rounds._punish(task, silent, counted)
    rounds._finish(task, True, paid, known)


# -- checks ----------------------------------------------------------------------------------------------------------------


@internal
@pure
def _same(one: uint256, other: uint256):
    """
    @notice Refuse lists of different lengths.
    """
    rounds._need(one == other, "market: lists differ in length")


@internal
@view
def _until(task: bytes32) -> uint256:
    """
    @notice The end of a phase: after the reveals' deadline there is time for claims, and for whoever they might leave out.
    """
    if rounds._phase(task) == rounds.REVEAL:
        return rounds._deadline(task) + rounds._seconds(task, rounds.CHALLENGE_SECONDS)
    return rounds._deadline(task)


@internal
@view
def _proving(task: bytes32, round: uint256) -> uint256:
    """
    @notice The seats whose labels are to be computed: as claimed, or those that were shown.
    """
    phase: uint256 = rounds._phase(task)
    rounds._need(phase == rounds.DISPUTE or phase == rounds.PROVE, "market: nothing to prove")
    rounds._in_round(task, round)
    rounds._in_time(rounds._deadline(task))
    if phase == rounds.DISPUTE:
        return self._claims[task] >> 160
    return rounds._set(task, rounds.REVEALED)


@internal
@view
def _rolled_so_far(task: bytes32) -> bytes32:
    """
    @notice The rolling hash of this round: what the last round left counts for nothing.
    """
    if rounds._set(task, rounds.COMMITTED) == 0:
        return empty(bytes32)
    return self.bound[task]


@internal
@view
def _separator() -> bytes32:
    """
    @notice The EIP-712 domain of this contract on this chain.
    """
    if chain.id == home:
        return home_separator
    return keccak256(abi_encode(EIP712_DOMAIN, NAME, VERSION, chain.id, self))


@internal
@pure
def _rolled(rolled: bytes32, number: uint256, commitment: bytes32) -> bytes32:
    """
    @notice The rolling hash with one more commitment in it.
    """
    return keccak256(abi_encode(rolled, number, commitment))


@internal
@view
def _listed(
    task: bytes32, order: DynArray[uint256, MAX_SEATS], commitments: DynArray[bytes32, MAX_SEATS]
) -> bytes32[MAX_SEATS]:
    """
    @notice The commitments by seat, if they are those of the round.
    """
    self._same(len(order), len(commitments))
    by_seat: bytes32[MAX_SEATS] = empty(bytes32[MAX_SEATS])
    rolled: bytes32 = empty(bytes32)
    for index: uint256 in range(len(order), bound=MAX_SEATS):
        rolled = self._rolled(rolled, order[index], commitments[index])
        by_seat[order[index] % MAX_SEATS] = commitments[index]
    rounds._need(rolled == self.bound[task], "market: not the commitments")
    return by_seat


@internal
@view
def _opens(task: bytes32, round: uint256, seat: uint256, salt: bytes32, root: bytes32, commitment: bytes32):
    """
    @notice Refuse what does not open the commitment of a seat.
    """
    who: uint256 = rounds._seats[task][seat] & (2**160 - 1)
    opened: bytes32 = sha256(concat(DOMAIN, task, convert(round, bytes32), convert(who, bytes32), salt, root))
    rounds._need(opened == commitment, "market: not what was committed")


@internal
def _added(
    task: bytes32, sums_: uint256[MAX_SEATS * MAX_CLASSES], workers: uint256, more: bool
) -> uint256[MAX_SEATS * MAX_CLASSES]:
    """
    @notice The sums with those of the chunks before, kept for the next one. No part of 32 bits can overflow: a worker says a
            class at most 65,536 times, and at most 63 others say so too.
    """
    sums: uint256[MAX_SEATS * MAX_CLASSES] = sums_
    for w: uint256 in range(workers, bound=MAX_SEATS):
        kept: uint256[4] = empty(uint256[4])
        if more:
            kept = self._sums[task][w]
        for kind: uint256 in range(MAX_CLASSES):
            lane: uint256 = 64 * (kind % 4)
            kept[kind // 4] += sums[w * MAX_CLASSES + kind] << lane
            sums[w * MAX_CLASSES + kind] = (kept[kind // 4] >> lane) & (2**64 - 1)
        self._sums[task][w] = kept
    return sums

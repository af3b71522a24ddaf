# pragma version 0.4.3
"""
@title Encounters: a learner pays a neighbor for help if validators drawn by lot find the learner's model better for it
@license Apache-2.0
@notice SPEC.md beside this file says what must hold; `p2pfd/incentives/encounters.py` does the same in Python. An account is one
        word: tag 176 | phase 2 | ballot 14 | free 64, from the top. All but the free tokens is lane zero of a learner; other
        lanes are words of their own. An idle lane's tag is its nonce. In play the tag is the cut hash of all that the encounter
        is, and every call brings that along.
"""
import papers
import purse
import registry

initializes: purse
initializes: registry[purse := purse]
initializes: papers

exports: (
    purse.token,
    purse.unbond_seconds,
    purse.held,
    purse.balances,
    purse.deposit,
    purse.deposit_with_permit,
    purse.unstake,
    purse.withdraw,
    registry.bond,
    registry.longest,
    registry.join,
    registry.top_up,
    registry.collect,
    registry.leave,
    registry.come_back,
    registry.vacate,
    registry.seat_of,
    registry.seat_count,
)

MAX_SIZE: constant(uint256) = 7
MAX_BATCH: constant(uint256) = 20
PART: constant(uint256) = 8
# Three numbers a vote, and two for the neighbor's signature.
MAX_VOTES: constant(uint256) = 3 * MAX_SIZE + 2
MAX_CALL: constant(uint256) = 4 + 32 * (7 + MAX_VOTES)
ONE: constant(uint256) = 1
WHOLE: constant(uint256) = 10**6
# How many blocks back a hash can be read, less one.
PERIOD: constant(uint256) = 255
M8: constant(uint256) = 2**8 - 1
M14: constant(uint256) = 2**14 - 1
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1
M64: constant(uint256) = 2**64 - 1

SCALE: constant(uint256) = 10**6
CAP: constant(uint256) = 3 * 2 * SCALE
PAPER: constant(uint256) = 0
SYMMETRIC: constant(uint256) = 1
SERUM: constant(uint256) = 2
TAG: constant(uint256) = (2**176 - 1) * 2**80
M15: constant(uint256) = 2**15 - 1
M30: constant(uint256) = 2**30 - 1
# One vote for valid in a seat's word.
ONE_VALID: constant(uint256) = 2**15
FULL: constant(uint256) = registry.HISTORY * 2**15
SETTLE: constant(bytes4) = method_id(
    "settle(uint256,address,bytes32,uint256,bytes32,uint256[])", output_type=bytes4
)

# The phases of a lane, and the lower bit of each of the seven places of a ballot.
IDLE: constant(uint256) = 0
OPEN: constant(uint256) = 1
DRAWN: constant(uint256) = 2
REPORTED: constant(uint256) = 3
PLACES: constant(uint256) = (2**14 - 1) // 3
ODD: constant(uint256) = 2 * PLACES


# An encounter's key: learner 160 | unused 48 | lane 8 | nonce 40, from the top. `where` says how it stands, as calls need it. No
# field is a topic: topics cost more than what they save whoever reads all of this contract.
# In the unused bits of the key (from bit 48 on): how many seats there are. The other half of `where` is the log's own block.
event Opened:
    key: uint256


event Drawn:
    key: uint256
    where: uint256


event Reported:
    key: uint256
    result: bytes32
    where: uint256
    bound: DynArray[bytes32, MAX_SIZE]


event Committed:
    key: uint256
    place: uint256
    commitment: bytes32


event Revealed:
    key: uint256
    ballot: uint256


# What the learner (64 bits) and the neighbor (64 bits) were credited, and the ballot (lowest 64 bits).
event Settled:
    key: uint256
    outcome: uint256


event Defaulted:
    key: uint256
    damages: uint256


event Voided:
    key: uint256


# What a learner and a neighbor must have free to begin an encounter, whatever it costs.
threshold: public(immutable(uint256))

# Lanes other than zero, by learner << 96 | lane.
lanes: HashMap[uint256, uint256]


@deploy
def __init__(token: address, unbond_seconds: uint256, longest: uint256, bond: uint256, threshold_: uint256):
    """
    @notice Fix everything for ever.
    @param token An ERC-20 that takes no fee on transfer.
    @param unbond_seconds How long tokens unbond.
    @param longest How long an encounter may last, in seconds.
    @param bond What a validator's seat costs.
    @param threshold_ What a party must have free to begin.
    """
    papers.__init__()
    purse.__init__(token, unbond_seconds)
    registry.__init__(bond, longest)
    threshold = threshold_


# -- beginning -------------------------------------------------------------------------------------------------------------


@external
def open(terms: uint256, neighbor: address, details: bytes32, r: uint256, vs: uint256):
    """
    @notice Begin an encounter as its learner.
    @param terms The packed terms.
    @param neighbor Who helps.
    @param details The hash of what was signed at check-in.
    @param r The neighbor's signature of the encounter.
    @param vs Its second half.
    """
    encounter: bytes32 = papers._encounter(terms, msg.sender, neighbor, details)
    signer: address = papers._signer(papers._digest(encounter), r, vs)
    assert signer == neighbor and signer != empty(address), "encounters: unsigned by neighbor"
    self._open(terms, msg.sender, neighbor, encounter)


@external
def open_many(parts: DynArray[uint256[PART], MAX_BATCH]):
    """
    @notice Begin encounters that both parties signed. Anyone may; all or none.
    @param parts Of each: terms, learner, neighbor, details, the learner's signature, the neighbor's; zeros for the caller's.
    """
    for part: uint256[PART] in parts:
        learner: address = convert(part[1], address)
        neighbor: address = convert(part[2], address)
        encounter: bytes32 = papers._encounter(part[0], learner, neighbor, convert(part[3], bytes32))
        digest: bytes32 = papers._digest(encounter)
        assert self._agreed(digest, learner, part[4], part[5]), "encounters: unsigned by learner"
        assert self._agreed(digest, neighbor, part[6], part[7]), "encounters: unsigned by neighbor"
        self._open(part[0], learner, neighbor, encounter)


@external
def draw(terms: uint256, learner: address, neighbor: address, name: bytes32, where: uint256):
    """
    @notice Fix the committee as it is drawn now. Anyone may. Where too few are found, both parties have theirs back.
    @param terms The packed terms.
    @param learner Who learns.
    @param neighbor Who helps.
    @param name The encounter's name.
    @param where How the encounter stands.
    """
    lane: uint256 = self._lane(terms, learner)
    assert (lane >> 78) & 3 == OPEN, "encounters: not open"
    self._require_tag(lane, terms, learner, neighbor, name, where)
    assert block.timestamp <= (terms >> 104) & M40, "encounters: too late"
    panel: registry.Panel = self._drawn(terms, learner, neighbor, name, where)
    if panel.found < (terms >> 232) & M8:
        purse._give(neighbor, terms & M64)
        self._end(terms, learner, terms & M64)
        log Voided(key=self._key(terms, learner))
        return
    self._go_on(terms, learner, neighbor, name, panel.seats, lane, DRAWN << 14)
    log Drawn(key=self._key(terms, learner), where=panel.seats)


# -- the fast path ---------------------------------------------------------------------------------------------------------


@external
def settle(
    terms: uint256,
    learner: address,
    name: bytes32,
    where: uint256,
    after: bytes32,
    votes: DynArray[uint256, MAX_VOTES],
):
    """
    @notice End an encounter with the votes of its whole committee. Its neighbor may, and anyone who has the neighbor's signature.
    @param terms The packed terms.
    @param learner Who learns.
    @param name The encounter's name.
    @param where How the encounter stands.
    @param after The hash of the model after.
    @param votes In the committee's order, of each: signature of the ballot, and the opening. Behind them, unless the neighbor
        itself calls, its signature of the result.
    """
    # This is the common way, and is written for it: all in one place, because to hand arrays around costs more than the work.
    size: uint256 = (terms >> 232) & M8
    result: bytes32 = keccak256(abi_encode(papers.RESULT, name, after))
    neighbor: address = msg.sender
    if len(votes) != unsafe_mul(size, 3):
        assert len(votes) == unsafe_add(unsafe_mul(size, 3), 2), "encounters: not all votes"
        neighbor = self._liable(result, votes)
    account: uint256 = purse.words[learner]
    lane: uint256 = account
    if terms >> 248 != 0:
        lane = self._lane(terms, learner)
    phase: uint256 = (lane >> 78) & 3
    assert phase == OPEN or phase == DRAWN, "encounters: not in play"
    tag: bytes32 = keccak256(abi_encode(terms, learner, neighbor, name, where))
    assert lane & TAG == convert(tag, uint256) & TAG, "encounters: not these terms"
    assert block.timestamp <= (terms >> 104) & M40, "encounters: too late"
    words: uint256[MAX_SIZE] = empty(uint256[MAX_SIZE])
    seats: uint256 = where
    if phase == DRAWN:
        words = registry._same(where, size).words
    else:
        # As `registry._draw` does.
        block_drawn: uint256 = self._scheduled(where)
        seed: bytes32 = keccak256(abi_encode(blockhash(block_drawn), name))
        slices: uint256 = convert(seed, uint256)
        found: uint256 = 0
        known: uint256 = 0
        seats = block_drawn << 168
        count: uint256 = where >> 40
        for pick: uint256 in range(1, registry.MAX_PICKS + 1):
            seat: uint256 = (slices & M32) % count
            slices >>= 32
            if pick & 7 == 0:
                seed = keccak256(seed)
                slices = convert(seed, uint256)
            word: uint256 = registry.seats[seat]
            who: uint256 = word >> 96
            if who == convert(learner, uint256) or who == convert(neighbor, uint256) or who == 0:
                continue
            if word & registry.MARKED != 0 and not registry._serves(seat, block_drawn):
                continue
            # One bit an account tells apart most of those that are not drawn twice.
            bit: uint256 = ONE << (who & M8)
            if known & bit != 0 and registry._among(words, found, who):
                continue
            known |= bit
            words[found] = word
            seats |= seat << unsafe_mul(found, 24)
            found = unsafe_add(found, 1)
            if found == size:
                break
        assert found == size, "encounters: too few validators"
    root: bytes32 = empty(bytes32)
    agreed: uint256 = 1
    said: uint256 = 0
    at: uint256 = 2
    for place: uint256 in range(size, bound=MAX_SIZE):
        opening: uint256 = votes[at]
        at = unsafe_add(at, 3)
        seat: uint256 = (seats >> unsafe_mul(place, 24)) & M24
        root = keccak256(abi_encode(root, keccak256(abi_encode(result, seat, opening))))
        agreed &= opening
        said = unsafe_add(said, words[place] & M30)
    digest: bytes32 = papers._digest(keccak256(abi_encode(papers.BALLOT, result, root)))
    prepayment: uint256 = terms & M64
    credit: uint256 = unsafe_div(unsafe_mul(prepayment, (terms >> 208) & M24), WHOLE)
    # All agree that the model is better, under the default rule: what most encounters come to.
    pool: uint256 = unsafe_sub(prepayment, credit)
    credit = unsafe_add(credit, prepayment)
    rest: uint256 = pool
    rate: uint256 = unsafe_div(pool, size)
    plain: bool = agreed != 0 and size > 1 and (terms >> 240) & M8 == SERUM
    at = 0
    for place: uint256 in range(size, bound=MAX_SIZE):
        word: uint256 = words[place]
        vs: uint256 = votes[unsafe_add(at, 1)]
        signer: address = ecrecover(digest, unsafe_add(27, vs >> 255), votes[at], vs & papers.M255)
        assert (
            convert(signer, uint256) == word >> 96 and signer != empty(address) and vs & papers.M255 <= papers.HALF_ORDER
        ), "encounters: unsigned by member"
        at = unsafe_add(at, 3)
        if plain:
            others: uint256 = unsafe_sub(said, word & M30)
            same: uint256 = unsafe_add(others >> 15, 1)
            all_others: uint256 = unsafe_add(same, unsafe_add(others & M15, 1))
            gain: uint256 = unsafe_div(unsafe_mul(SCALE, all_others), same)
            gain = unsafe_sub(unsafe_div(unsafe_mul(rate, gain), SCALE), rate)
            word = unsafe_add(word, unsafe_add(gain << 32, ONE_VALID))
            if others & M15 >= same or word & FULL != 0:
                # Then all together may earn more than the pool, or a history is full: the long way, which writes all anew.
                plain = False
            else:
                rest = unsafe_sub(rest, gain)
                registry.seats[(seats >> unsafe_mul(place, 24)) & M24] = word
    ballot: uint256 = ODD & unsafe_sub(ONE << unsafe_mul(size, 2), 1)
    if not plain:
        for place: uint256 in range(size, bound=MAX_SIZE):
            # Two becomes three where the vote is for invalid.
            ballot |= unsafe_sub(1, votes[unsafe_add(unsafe_mul(place, 3), 2)] & 1) << unsafe_mul(place, 2)
        self._judge(terms, learner, neighbor, seats, words, ballot)
        return
    purse.words[neighbor] = unsafe_add(purse.words[neighbor], credit)
    if terms >> 248 == 0:
        purse.words[learner] = (unsafe_add((terms >> 144) & M40, 1) << 80) | unsafe_add(account & M64, rest)
    else:
        self._end(terms, learner, rest)
    log Settled(key=self._key(terms, learner), outcome=(rest << 128) | (credit << 64) | ballot)


@external
def settle_many(calls: DynArray[Bytes[MAX_CALL], MAX_BATCH]):
    """
    @notice End many encounters; all or none.
    @param calls Calls of `settle`.
    """
    for call: Bytes[MAX_CALL] in calls:
        assert len(call) > 4 and convert(slice(call, 0, 4), bytes4) == SETTLE, "encounters: not a batch"
        # By delegation, so that the caller stays who it is.
        raw_call(self, call, is_delegate_call=True)


# -- the slow path ---------------------------------------------------------------------------------------------------------


@external
def report(
    terms: uint256,
    learner: address,
    name: bytes32,
    where: uint256,
    after: bytes32,
    signed: DynArray[uint256, MAX_VOTES],
):
    """
    @notice Fix the hash after, and the committee where it is not, and begin the votes. Its neighbor may, and anyone who has the
            neighbor's signature.
    @param terms The packed terms.
    @param learner Who learns.
    @param name The encounter's name.
    @param where How the encounter stands.
    @param after The hash of the model after.
    @param signed In the committee's order, of each: a commitment and its signature; a zero for one that is not there. Behind
        them, unless the neighbor itself calls, its signature of the result.
    """
    result: bytes32 = papers._result(name, after)
    size: uint256 = (terms >> 232) & M8
    count: uint256 = len(signed) // 3
    neighbor: address = msg.sender
    assert count <= size and len(signed) % 3 != 1, "encounters: not of the committee"
    if len(signed) % 3 == 2:
        neighbor = self._liable(result, signed)
    lane: uint256 = self._lane(terms, learner)
    self._require_play(lane, terms, learner, neighbor, name, where)
    panel: registry.Panel = empty(registry.Panel)
    if (lane >> 78) & 3 == DRAWN:
        panel = registry._same(where, size)
    else:
        panel = self._drawn(terms, learner, neighbor, name, where)
        assert panel.found == size, "encounters: too few validators"
    ballot: uint256 = 0
    bound: DynArray[bytes32, MAX_SIZE] = []
    at: uint256 = 0
    for place: uint256 in range(size, bound=MAX_SIZE):
        commitment: bytes32 = empty(bytes32)
        if place < count:
            commitment = convert(signed[at], bytes32)
        bound.append(commitment)
        if commitment != empty(bytes32):
            digest: bytes32 = papers._digest(papers._bound(result, commitment))
            self._require_validator(
                digest, panel.words[place], signed[unsafe_add(at, 1)], signed[unsafe_add(at, 2)]
            )
            ballot |= ONE << unsafe_mul(place, 2)
        at = unsafe_add(at, 3)
    fixed: uint256 = panel.seats | (block.timestamp << 208)
    paper: bytes32 = self._paper(result, bound)
    self._go_on(terms, learner, neighbor, paper, fixed, lane, (REPORTED << 14) | ballot)
    log Reported(key=self._key(terms, learner), result=result, where=fixed, bound=bound)


@external
def commit(
    terms: uint256,
    learner: address,
    neighbor: address,
    result: bytes32,
    where: uint256,
    bound: DynArray[bytes32, MAX_SIZE],
    place: uint256,
    commitment: bytes32,
    r: uint256,
    vs: uint256,
):
    """
    @notice Bind a member of the committee to a vote. Anyone may who has its signature; the member itself needs none.
    @param terms The packed terms.
    @param learner Who learns.
    @param neighbor Who helps.
    @param result The hash of the result.
    @param where How the encounter stands.
    @param bound The commitments that there are, zero for each that is not.
    @param place The member's place in the committee.
    @param commitment What binds it.
    @param r Its signature of the commitment.
    @param vs The second half.
    """
    lane: uint256 = self._reported(terms, learner, neighbor, result, where, bound)
    assert block.timestamp <= unsafe_add(where >> 208, (terms >> 184) & M24), "encounters: too late to commit"
    assert place < (terms >> 232) & M8, "encounters: not of the committee"
    assert (lane >> unsafe_add(64, unsafe_mul(place, 2))) & 3 == 0, "encounters: already committed"
    word: uint256 = registry._word_at(where, place)
    if word == 0 or word >> 96 != convert(msg.sender, uint256):
        self._require_validator(papers._digest(papers._bound(result, commitment)), word, r, vs)
    changed: DynArray[bytes32, MAX_SIZE] = bound
    changed[place] = commitment
    ballot: uint256 = ((lane >> 64) & M14) | (ONE << unsafe_mul(place, 2))
    self._go_on(terms, learner, neighbor, self._paper(result, changed), where, lane, (REPORTED << 14) | ballot)
    log Committed(key=self._key(terms, learner), place=place, commitment=commitment)


@external
def reveal(
    terms: uint256,
    learner: address,
    neighbor: address,
    result: bytes32,
    where: uint256,
    bound: DynArray[bytes32, MAX_SIZE],
    place: uint256,
    opening: uint256,
):
    """
    @notice Open a commitment. Anyone may who knows how. With the last one the encounter ends.
    @param terms The packed terms.
    @param learner Who learns.
    @param neighbor Who helps.
    @param result The hash of the result.
    @param where How the encounter stands.
    @param bound The commitments that there are, zero for each that is not.
    @param place The member's place in the committee.
    @param opening The vote in the lowest bit, and what hid it.
    """
    lane: uint256 = self._reported(terms, learner, neighbor, result, where, bound)
    window: uint256 = (terms >> 184) & M24
    assert (
        block.timestamp <= unsafe_add(where >> 208, unsafe_mul(window, 2))
    ), "encounters: too late to reveal"
    size: uint256 = (terms >> 232) & M8
    ballot: uint256 = (lane >> 64) & M14
    if block.timestamp <= unsafe_add(where >> 208, window):
        all_places: uint256 = PLACES & unsafe_sub(ONE << unsafe_mul(size, 2), 1)
        assert (ballot | (ballot >> 1)) & PLACES == all_places, "encounters: commitments not over"
    assert place < size, "encounters: not of the committee"
    assert (ballot >> unsafe_mul(place, 2)) & 3 == 1, "encounters: nothing to open"
    seat: uint256 = (where >> unsafe_mul(place, 24)) & M24
    assert bound[place] == keccak256(abi_encode(result, seat, opening)), "encounters: not its commitment"
    # One becomes two (valid) or three (invalid).
    shown: uint256 = unsafe_sub(2, opening & 1) << unsafe_mul(place, 2)
    ballot = unsafe_add(ballot, shown)
    if self._unopened(ballot) == 0:
        self._judge(terms, learner, neighbor, where, registry._same(where, size).words, ballot)
        return
    self._keep(terms, learner, unsafe_add(lane, shown << 64))
    log Revealed(key=self._key(terms, learner), ballot=ballot)


@external
def close(terms: uint256, learner: address, neighbor: address, paper: bytes32, where: uint256):
    """
    @notice End an encounter whose time is over. Anyone may.
    @param terms The packed terms.
    @param learner Who learns.
    @param neighbor Who helps.
    @param paper The encounter's name if nothing was reported, else the hash of the result and the commitments.
    @param where How the encounter stands.
    """
    lane: uint256 = self._lane(terms, learner)
    phase: uint256 = (lane >> 78) & 3
    assert phase != IDLE, "encounters: not in play"
    self._require_tag(lane, terms, learner, neighbor, paper, where)
    if phase == REPORTED:
        ballot: uint256 = (lane >> 64) & M14
        window: uint256 = (terms >> 184) & M24
        if self._unopened(ballot) != 0:
            window = unsafe_mul(window, 2)
        assert block.timestamp > unsafe_add(where >> 208, window), "encounters: too early"
        self._judge(
            terms, learner, neighbor, where, registry._same(where, (terms >> 232) & M8).words, ballot
        )
        return
    assert block.timestamp > (terms >> 104) & M40, "encounters: too early"
    prepayment: uint256 = terms & M64
    damages: uint256 = unsafe_div(unsafe_mul(prepayment, (terms >> 208) & M24), WHOLE)
    purse._give(neighbor, unsafe_sub(prepayment, damages))
    self._end(terms, learner, unsafe_add(prepayment, damages))
    log Defaulted(key=self._key(terms, learner), damages=damages)


# -- what can be read ------------------------------------------------------------------------------------------------------


@external
@view
def lane_of(learner: address, lane: uint256) -> (uint256, uint256, uint256):
    """
    @notice How a learner's lane stands.
    @param learner Whose.
    @param lane Its number.
    @return Phase (0 idle, 1 open, 2 drawn, 3 reported), nonce or tag, ballot.
    """
    word: uint256 = self._lane(lane << 248, learner)
    return (word >> 78) & 3, word >> 80, (word >> 64) & M14


# -- steps -----------------------------------------------------------------------------------------------------------------


@internal
def _open(terms: uint256, learner: address, neighbor: address, encounter: bytes32):
    """
    @notice Put both prepayments into escrow, and tag the lane.
    """
    prepayment: uint256 = terms & M64
    open_by: uint256 = (terms >> 64) & M40
    learn_by: uint256 = (terms >> 104) & M40
    window: uint256 = (terms >> 184) & M24
    size: uint256 = (terms >> 232) & M8
    assert block.timestamp <= open_by, "encounters: too late to open"
    # Less one, a zero is very large.
    assert (
        unsafe_sub(prepayment, 1) < registry.bond
        and unsafe_sub(size, 1) < MAX_SIZE
        and open_by < learn_by
        and window != 0
        and (terms >> 208) & M24 <= WHOLE
        and (terms >> 240) & M8 <= SERUM
    ), "encounters: terms out of range"
    assert unsafe_add(learn_by, unsafe_mul(window, 2)) <= block.timestamp + registry.longest, "encounters: lasts too long"
    assert learner != neighbor, "encounters: own neighbor"
    account: uint256 = purse.words[learner]
    lane: uint256 = account
    if terms >> 248 != 0:
        lane = self._lane(terms, learner)
    assert (lane >> 78) & 3 == IDLE, "encounters: lane in use"
    assert lane >> 80 == (terms >> 144) & M40, "encounters: wrong nonce"
    needed: uint256 = max(prepayment, threshold)
    assert account & M64 >= needed, "encounters: learner's stake low"
    other: uint256 = purse.words[neighbor]
    assert other & M64 >= needed, "encounters: neighbor's stake low"
    seats: uint256 = registry.state & M32
    assert seats >= size, "encounters: too few seats"
    where: uint256 = (seats << 40) | block.number
    hashed: bytes32 = keccak256(abi_encode(terms, learner, neighbor, encounter, where))
    tag: uint256 = convert(hashed, uint256) & TAG
    purse.words[neighbor] = unsafe_sub(other, prepayment)
    if terms >> 248 == 0:
        purse.words[learner] = tag | (OPEN << 78) | (unsafe_sub(account, prepayment) & M64)
    else:
        purse.words[learner] = unsafe_sub(account, prepayment)
        self._keep(terms, learner, tag | (OPEN << 78))
    log Opened(key=self._key(terms, learner) | (seats << 48))


@internal
@view
def _liable(result: bytes32, votes: DynArray[uint256, MAX_VOTES]) -> address:
    """
    @notice Who signed a result, behind the votes.
    """
    end: uint256 = len(votes)
    return papers._signer(papers._digest(result), votes[unsafe_sub(end, 2)], votes[unsafe_sub(end, 1)])


@internal
@view
def _require_play(
    lane: uint256, terms: uint256, learner: address, neighbor: address, name: bytes32, where: uint256
):
    """
    @notice The encounter must be open or drawn, and in time.
    """
    phase: uint256 = (lane >> 78) & 3
    assert phase == OPEN or phase == DRAWN, "encounters: not in play"
    self._require_tag(lane, terms, learner, neighbor, name, where)
    assert block.timestamp <= (terms >> 104) & M40, "encounters: too late"


@internal
def _judge(
    terms: uint256, learner: address, neighbor: address, seats: uint256, words: uint256[MAX_SIZE], ballot: uint256
):
    """
    @notice Pay by the votes and end the encounter.
    """
    size: uint256 = (terms >> 232) & M8
    # Who has voted, and how the voters have voted before: valid in the upper fifteen bits, invalid in the lower.
    voters: uint256 = 0
    invalid: uint256 = 0
    said: uint256 = 0
    for place: uint256 in range(size, bound=MAX_SIZE):
        vote: uint256 = (ballot >> unsafe_mul(place, 2)) & 3
        if vote > 1:
            voters = unsafe_add(voters, 1)
            invalid = unsafe_add(invalid, vote & 1)
            said = unsafe_add(said, words[place] & M30)
    valid: uint256 = unsafe_sub(voters, invalid)
    prepayment: uint256 = terms & M64
    rule: uint256 = (terms >> 240) & M8
    to_neighbor: uint256 = unsafe_div(unsafe_mul(prepayment, (terms >> 208) & M24), WHOLE)
    pool: uint256 = unsafe_sub(prepayment, to_neighbor)
    counted: bool = voters > unsafe_div(size, 2) and valid != invalid
    winners: uint256 = max(valid, invalid)
    # What a vote costs whoever casts it, under `serum`; what it costs the losers, under `symmetric`.
    rate: uint256 = 0
    if counted:
        if rule == SERUM and voters > 1:
            rate = unsafe_div(pool, voters)
        elif rule == SYMMETRIC:
            rate = unsafe_div(pool, winners)
    # What each seat has then. Gains and losses are summed up: the learner gets what nobody else does.
    after: uint256[MAX_SIZE] = empty(uint256[MAX_SIZE])
    gained: uint256 = 0
    lost: uint256 = 0
    forfeited: uint256 = 0
    for place: uint256 in range(size, bound=MAX_SIZE):
        word: uint256 = words[place]
        before: uint256 = (word >> 32) & M64
        balance: uint256 = before
        vote: uint256 = (ballot >> unsafe_mul(place, 2)) & 3
        if vote < 2:
            # Who slept forfeits half the pool.
            balance = unsafe_sub(before, min(unsafe_div(pool, 2), before))
            forfeited = unsafe_add(forfeited, unsafe_sub(before, balance))
        elif counted:
            agreed: uint256 = valid
            if vote == 3:
                agreed = invalid
            if rule == SERUM:
                # A vote earns by the voters who agree, weighed by how rare it is in the histories of the others.
                others: uint256 = unsafe_sub(said, word & M30)
                same: uint256 = unsafe_add(others >> 15, 1)
                apart: uint256 = unsafe_add(others & M15, 1)
                worth: uint256 = unsafe_mul(SCALE, unsafe_add(same, apart))
                if vote == 3:
                    same = apart
                worth = unsafe_mul(unsafe_sub(agreed, 1), min(CAP, unsafe_div(worth, same)))
                worth = unsafe_div(worth, unsafe_sub(voters, 1))
                balance = unsafe_add(before, unsafe_div(unsafe_mul(rate, worth), SCALE))
                balance = unsafe_sub(balance, min(balance, rate))
            elif rule == SYMMETRIC:
                if agreed != winners:
                    balance = unsafe_sub(before, min(before, rate))
            elif vote == 2:
                balance = unsafe_mul(unsafe_sub(WHOLE, (terms >> 208) & M24), prepayment)
                balance = unsafe_add(before, unsafe_div(balance, unsafe_mul(WHOLE, voters)))
            else:
                balance = unsafe_add(before, unsafe_div(prepayment, voters))
            if balance > before:
                gained = unsafe_add(gained, unsafe_sub(balance, before))
            else:
                lost = unsafe_add(lost, unsafe_sub(before, balance))
        after[place] = balance
    credit: uint256 = prepayment
    if counted:
        if rule == PAPER:
            credit = unsafe_add(
                prepayment,
                unsafe_div(
                    unsafe_mul(unsafe_mul(valid, (terms >> 208) & M24), prepayment), unsafe_mul(WHOLE, voters)
                ),
            )
            penalty: uint256 = unsafe_add(unsafe_mul(invalid, prepayment), unsafe_sub(voters, 1))
            credit = unsafe_sub(credit, unsafe_div(penalty, voters))
        elif valid > invalid:
            credit = unsafe_add(prepayment, to_neighbor)
        else:
            credit = 0
    if voters == 0:
        # Nobody voted on what the neighbor delivered.
        credit = unsafe_add(credit, forfeited)
    rest: uint256 = unsafe_sub(unsafe_mul(prepayment, 2), credit)
    limit: uint256 = unsafe_add(pool, lost)
    for place: uint256 in range(size, bound=MAX_SIZE):
        word: uint256 = words[place]
        if word == 0:
            continue
        vote: uint256 = (ballot >> unsafe_mul(place, 2)) & 3
        before: uint256 = (word >> 32) & M64
        balance: uint256 = after[place]
        if vote > 1:
            if counted and rule == SYMMETRIC:
                # The winners share the pool and what the losers forfeit.
                if (vote == 2) == (valid > invalid):
                    balance = unsafe_add(balance, unsafe_div(limit, winners))
            elif gained > limit and rule == SERUM:
                # In proportion where all would earn more than the pool.
                due: uint256 = unsafe_sub(gained, lost)
                if balance > before:
                    balance = unsafe_div(unsafe_mul(pool, unsafe_sub(balance, before)), due)
                    balance = unsafe_add(before, balance)
                else:
                    balance = unsafe_add(unsafe_mul(pool, unsafe_sub(before, balance)), unsafe_sub(due, 1))
                    balance = unsafe_sub(before, unsafe_div(balance, due))
            if forfeited != 0:
                balance = unsafe_add(balance, unsafe_div(forfeited, voters))
        rest = unsafe_sub(unsafe_add(rest, before), balance)
        registry._award((seats >> unsafe_mul(place, 24)) & M24, word, balance, vote)
    purse._give(neighbor, credit)
    self._end(terms, learner, rest)
    log Settled(key=self._key(terms, learner), outcome=(rest << 128) | (credit << 64) | ballot)


@internal
@view
def _scheduled(where: uint256) -> uint256:
    """
    @notice The block whose hash draws: the last of opened, opened + 256, opened + 512 and so on that is over.
    """
    opened: uint256 = where & M40
    assert block.number > opened, "encounters: no block since"
    return unsafe_add(opened, unsafe_sub(unsafe_sub(block.number, opened), 1) & ~PERIOD)


@internal
@view
def _drawn(
    terms: uint256, learner: address, neighbor: address, name: bytes32, where: uint256
) -> registry.Panel:
    """
    @notice Whom chance picks.
    """
    at: uint256 = self._scheduled(where)
    return registry._draw(
        keccak256(abi_encode(blockhash(at), name)),
        where >> 40,
        (terms >> 232) & M8,
        at,
        convert(learner, uint256),
        convert(neighbor, uint256),
    )


@internal
@view
def _reported(
    terms: uint256,
    learner: address,
    neighbor: address,
    result: bytes32,
    where: uint256,
    bound: DynArray[bytes32, MAX_SIZE],
) -> uint256:
    """
    @notice The lane's word of an encounter whose votes are on.
    """
    lane: uint256 = self._lane(terms, learner)
    assert (lane >> 78) & 3 == REPORTED, "encounters: not reported"
    self._require_tag(lane, terms, learner, neighbor, self._paper(result, bound), where)
    return lane


@internal
@pure
def _paper(result: bytes32, bound: DynArray[bytes32, MAX_SIZE]) -> bytes32:
    """
    @notice The hash of a result and of who is bound to which commitment.
    """
    return keccak256(abi_encode(result, bound))


@internal
def _end(terms: uint256, learner: address, amount: uint256):
    """
    @notice Credit the learner, and leave the lane idle with its next nonce.
    """
    idle: uint256 = unsafe_add((terms >> 144) & M40, 1) << 80
    account: uint256 = unsafe_add(purse.words[learner], amount)
    if terms >> 248 == 0:
        purse.words[learner] = idle | (account & M64)
    else:
        purse.words[learner] = account
        self._keep(terms, learner, idle)


@internal
def _go_on(
    terms: uint256,
    learner: address,
    neighbor: address,
    paper: bytes32,
    where: uint256,
    lane: uint256,
    below: uint256,
):
    """
    @notice Tag the lane anew, with this phase and ballot.
    """
    self._keep(terms, learner, self._tag(terms, learner, neighbor, paper, where) | (below << 64) | (lane & M64))


# -- small things ----------------------------------------------------------------------------------------------------------


@internal
@view
def _lane(terms: uint256, learner: address) -> uint256:
    """
    @notice The word of the lane that the terms name.
    """
    lane: uint256 = terms >> 248
    if lane == 0:
        return purse.words[learner]
    return self.lanes[(convert(learner, uint256) << 96) | lane]


@internal
def _keep(terms: uint256, learner: address, word: uint256):
    """
    @notice Write the word of the lane that the terms name.
    """
    lane: uint256 = terms >> 248
    if lane == 0:
        purse.words[learner] = word
    else:
        self.lanes[(convert(learner, uint256) << 96) | lane] = word


@internal
@pure
def _key(terms: uint256, learner: address) -> uint256:
    """
    @notice What events call an encounter.
    """
    return (convert(learner, uint256) << 96) | ((terms >> 248) << 40) | ((terms >> 144) & M40)


@internal
@pure
def _unopened(ballot: uint256) -> uint256:
    """
    @notice The places that committed and did not reveal, one bit each.
    """
    return ballot & ~(ballot >> 1) & PLACES


@internal
@pure
def _tag(terms: uint256, learner: address, neighbor: address, paper: bytes32, where: uint256) -> uint256:
    """
    @notice What a lane keeps of an encounter, at its place in the lane's word. The paper is the name, or the result's hash.
    """
    return convert(keccak256(abi_encode(terms, learner, neighbor, paper, where)), uint256) & TAG


@internal
@pure
def _require_tag(
    lane: uint256, terms: uint256, learner: address, neighbor: address, paper: bytes32, where: uint256
):
    """
    @notice These must be what the lane was tagged with.
    """
    assert lane & TAG == self._tag(terms, learner, neighbor, paper, where), "encounters: not these terms"


@internal
@view
def _agreed(digest: bytes32, who: address, r: uint256, vs: uint256) -> bool:
    """
    @notice Whether an account signed, or calls itself.
    """
    if r == 0:
        return msg.sender == who
    signer: address = papers._signer(digest, r, vs)
    return signer == who and signer != empty(address)


@internal
@pure
def _require_validator(digest: bytes32, word: uint256, r: uint256, vs: uint256):
    """
    @notice The holder of a seat must have signed.
    """
    signer: uint256 = convert(papers._signer(digest, r, vs), uint256)
    assert signer == word >> 96 and signer != 0, "encounters: unsigned by member"

# pragma version 0.4.3
"""
@title The validators' seats, and the draw of a committee from them
@license Apache-2.0
@notice A seat is one ticket and costs a fixed bond, so a draw in proportion to stake takes as many picks as the committee has
        members. A seat's word holds all that an award touches: holder 160 | balance 64 | marked 1 | unused 1 | votes for valid 15 |
        votes for invalid 15, from the top. Who can be drawn at a block depends on blocks alone, never on balances, so a draw
        comes out the same whenever it is made.
"""
import purse

uses: purse


event SeatTaken:
    seat: indexed(uint256)
    holder: indexed(address)


event SeatLeft:
    seat: indexed(uint256)


event SeatBack:
    seat: indexed(uint256)


event SeatVacated:
    seat: indexed(uint256)


# Seats that were drawn: how many, their numbers (24 bits each, the first lowest) with the block that drew them above (from bit
# 168 on), and their words.
struct Panel:
    found: uint256
    seats: uint256
    words: uint256[MAX_SIZE]


MAX_SIZE: constant(uint256) = 7
MAX_PICKS: constant(uint256) = 64
MAX_SEATS: constant(uint256) = 2**24
# A power of two: when a seat has voted either way so often, both counts are halved.
HISTORY: constant(uint256) = 512
ONE: constant(uint256) = 1
M8: constant(uint256) = 2**8 - 1
M15: constant(uint256) = 2**15 - 1
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1
M64: constant(uint256) = 2**64 - 1
MARKED: constant(uint256) = 2**31

# What a seat costs.
bond: public(immutable(uint256))

# How long an encounter may last, in seconds.
longest: public(immutable(uint256))

# A seat's word; a hole's is the number of the next hole plus one.
seats: HashMap[uint256, uint256]

# Of a marked seat: block taken 64 | block left 64 | second left 64, from bit 191 down.
spans: HashMap[uint256, uint256]

# How many seats were ever taken (lowest 32 bits), and the first hole plus one.
state: uint256


@deploy
def __init__(bond_: uint256, longest_: uint256):
    """
    @notice Fix the bond and the longest encounter for ever.
    @param bond_ What a seat costs.
    @param longest_ How long an encounter may last, in seconds.
    """
    assert longest_ <= purse.unbond_seconds, "registry: unbonds too soon"
    assert bond_ > 0 and bond_ <= 2**63, "registry: bond out of range"
    bond = bond_
    longest = longest_


# -- what validators call ---------------------------------------------------------------------------------------------------


@external
def join() -> uint256:
    """
    @notice Take a seat for the caller's free tokens. An account may have many.
    @return The seat's number.
    """
    purse._take(msg.sender, bond)
    state: uint256 = self.state
    count: uint256 = state & M32
    hole: uint256 = state >> 32
    word: uint256 = (convert(msg.sender, uint256) << 96) | (bond << 32)
    seat: uint256 = count
    if hole == 0:
        assert count < MAX_SEATS, "registry: full"
        self.state = unsafe_add(count, 1)
    else:
        # A seat that somebody had: draws from blocks before this one must not find the new holder.
        seat = unsafe_sub(hole, 1)
        self.state = (self.seats[seat] << 32) | count
        self.spans[seat] = block.number << 128
        word |= MARKED
    self.seats[seat] = word
    log SeatTaken(seat=seat, holder=msg.sender)
    return seat


@external
def top_up(seat: uint256, amount: uint256):
    """
    @notice Move the caller's free tokens into its seat.
    @param seat The seat.
    @param amount How many.
    """
    word: uint256 = self._own(seat)
    purse._take(msg.sender, amount)
    self.seats[seat] = unsafe_add(word, amount << 32)


@external
def collect(seat: uint256):
    """
    @notice Move what a seat has above the bond to its holder's free balance.
    @param seat The seat.
    """
    word: uint256 = self._own(seat)
    balance: uint256 = (word >> 32) & M64
    assert balance > bond, "registry: nothing to collect"
    self.seats[seat] = unsafe_sub(word, unsafe_sub(balance, bond) << 32)
    purse._give(msg.sender, unsafe_sub(balance, bond))


@external
def leave(seat: uint256):
    """
    @notice Be drawn no more from this block on. What was drawn before still counts, and can still cost.
    @param seat The seat.
    """
    word: uint256 = self._own(seat)
    assert word & MARKED == 0 or self._left(seat) == 0, "registry: already left"
    self.seats[seat] = self._leave(seat, word)


@external
def come_back(seat: uint256):
    """
    @notice Be drawn again, from the next block on.
    @param seat The seat, whose encounters from before it was left must be over.
    """
    word: uint256 = self._left_own(seat)
    assert (word >> 32) & M64 >= bond, "registry: under the bond"
    assert block.timestamp > unsafe_add(self.spans[seat] & M64, longest), "registry: too early"
    self.spans[seat] = block.number << 128
    log SeatBack(seat=seat)


@external
def vacate(seat: uint256):
    """
    @notice Give a seat up: its balance becomes its holder's free tokens.
    @param seat The seat, left long enough ago.
    """
    word: uint256 = self._left_own(seat)
    assert block.timestamp > unsafe_add(self.spans[seat] & M64, purse.unbond_seconds), "registry: still unbonding"
    state: uint256 = self.state
    self.seats[seat] = state >> 32
    self.state = (unsafe_add(seat, 1) << 32) | (state & M32)
    purse._give(msg.sender, (word >> 32) & M64)
    log SeatVacated(seat=seat)


@external
@view
def seat_of(seat: uint256) -> (address, uint256, uint256, uint256, uint256, uint256, uint256):
    """
    @notice What there is to know about a seat.
    @param seat The seat's number.
    @return Holder, balance, votes for valid, votes for invalid; block taken, block left, second left where it is marked.
    """
    word: uint256 = self.seats[seat]
    if word >> 96 == 0:
        return empty(address), 0, 0, 0, 0, 0, 0
    span: uint256 = 0
    if word & MARKED != 0:
        span = self.spans[seat]
    return (
        convert(word >> 96, address),
        (word >> 32) & M64,
        (word >> 15) & M15,
        word & M15,
        span >> 128,
        (span >> 64) & M64,
        span & M64,
    )


@external
@view
def seat_count() -> uint256:
    """
    @notice How many seats there are to draw from, holes included.
    @return The number.
    """
    return self.state & M32


# -- what the importing contract does ---------------------------------------------------------------------------------------


@internal
@view
def _draw(seed: bytes32, seats: uint256, size: uint256, at: uint256, one: uint256, other: uint256) -> Panel:
    """
    @notice Up to `size` seats of different holders.
    @param seed What decides.
    @param seats How many seats to draw from.
    @param size How many to find.
    @param at The block whose hash the seed was made from.
    @param one An account that is passed over.
    @param other Another one.
    @return Those found.
    """
    panel: Panel = empty(Panel)
    found: uint256 = 0
    drawn: uint256 = 0
    known: uint256 = 0
    state: bytes32 = seed
    slices: uint256 = convert(seed, uint256)
    for pick: uint256 in range(1, MAX_PICKS + 1):
        seat: uint256 = (slices & M32) % seats
        if pick & 7 == 0:
            state = keccak256(state)
            slices = convert(state, uint256)
        else:
            slices >>= 32
        word: uint256 = self.seats[seat]
        holder: uint256 = word >> 96
        if holder == 0 or holder == one or holder == other:
            continue
        if word & MARKED != 0 and not self._serves(seat, at):
            continue
        # One bit an account tells apart most of those that are not drawn twice.
        bit: uint256 = ONE << (holder & M8)
        if known & bit != 0 and self._among(panel.words, found, holder):
            continue
        known |= bit
        panel.words[found] = word
        drawn |= seat << unsafe_mul(found, 24)
        found = unsafe_add(found, 1)
        if found == size:
            break
    panel.found = found
    panel.seats = drawn | (at << 168)
    return panel


@internal
@pure
def _among(words: uint256[MAX_SIZE], found: uint256, holder: uint256) -> bool:
    """
    @notice Whether one of the first so many words is this holder's.
    """
    for before: uint256 in range(found, bound=MAX_SIZE):
        if words[before] >> 96 == holder:
            return True
    return False


@internal
@view
def _same(seats: uint256, size: uint256) -> Panel:
    """
    @notice The words of seats that were drawn before; zero for one that changed hands since.
    """
    panel: Panel = empty(Panel)
    panel.found = size
    panel.seats = seats
    for place: uint256 in range(size, bound=MAX_SIZE):
        panel.words[place] = self._word_at(seats, place)
    return panel


@internal
@view
def _word_at(seats: uint256, place: uint256) -> uint256:
    """
    @notice The word of a seat that was drawn before, or zero if who was drawn has it no more.
    """
    seat: uint256 = (seats >> unsafe_mul(place, 24)) & M24
    word: uint256 = self.seats[seat]
    if word >> 96 == 0:
        return 0
    if word & MARKED != 0 and self.spans[seat] >> 128 >= (seats >> 168) & M40:
        return 0
    return word


@internal
def _award(seat: uint256, word: uint256, balance: uint256, ballot: uint256):
    """
    @notice Write a seat's new balance, add its vote to its history, and bench it if it has too little.
    @param seat The seat.
    @param word What it was.
    @param balance Its new balance.
    @param ballot 2 if it voted valid, 3 if invalid, less if not.
    """
    valid: uint256 = (word >> 15) & M15
    invalid: uint256 = word & M15
    if ballot == 2:
        valid = unsafe_add(valid, 1)
    elif ballot == 3:
        invalid = unsafe_add(invalid, 1)
    if max(valid, invalid) >= HISTORY:
        valid >>= 1
        invalid >>= 1
    new: uint256 = ((word >> 96) << 96) | (balance << 32) | (word & MARKED) | (valid << 15) | invalid
    if balance < bond // 2 and (word & MARKED == 0 or self._left(seat) == 0):
        new = self._leave(seat, new)
    self.seats[seat] = new


@internal
@view
def _own(seat: uint256) -> uint256:
    """
    @notice A seat's word, if it is the caller's.
    """
    word: uint256 = self.seats[seat]
    assert word >> 96 == convert(msg.sender, uint256), "registry: not your seat"
    return word


@internal
@view
def _left_own(seat: uint256) -> uint256:
    """
    @notice A seat's word, if it is the caller's and was left.
    """
    word: uint256 = self._own(seat)
    assert word & MARKED != 0 and self._left(seat) != 0, "registry: not left"
    return word


@internal
@view
def _left(seat: uint256) -> uint256:
    """
    @notice The block in which a marked seat was left, or zero.
    """
    return (self.spans[seat] >> 64) & M64


@internal
@view
def _serves(seat: uint256, at: uint256) -> bool:
    """
    @notice Whether a marked seat can be drawn by the hash of this block.
    """
    span: uint256 = self.spans[seat]
    left: uint256 = (span >> 64) & M64
    return span >> 128 < at and (left == 0 or at < left)


@internal
def _leave(seat: uint256, word: uint256) -> uint256:
    """
    @notice Note that a seat is left now.
    @return The seat's word with its mark.
    """
    taken: uint256 = 0
    if word & MARKED != 0:
        taken = self.spans[seat] >> 128
    self.spans[seat] = (taken << 128) | (block.number << 64) | block.timestamp
    log SeatLeft(seat=seat)
    return word | MARKED

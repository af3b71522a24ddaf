# pragma version 0.4.3
"""
@title Who gets what after the votes
@license Apache-2.0
@notice A module without state, equal to `p2pfd/incentives/payouts.py` to the unit. Nothing is lost and nothing is made: whatever
        the neighbor and the seats do not have in the end is the learner's.
"""

# What the learner and the neighbor are credited, out of r of each in escrow, and each seat's balance after it.
struct Award:
    learner: uint256
    neighbor: uint256
    balances: uint256[MAX_SIZE]


MAX_SIZE: constant(uint256) = 7
WHOLE: constant(uint256) = 10**6
SCALE: constant(uint256) = 10**6
CAP: constant(uint256) = 3 * 2 * SCALE
PAPER: constant(uint256) = 0
SYMMETRIC: constant(uint256) = 1
M30: constant(uint256) = 2**30 - 1
M15: constant(uint256) = 2**15 - 1
M64: constant(uint256) = 2**64 - 1


@internal
@pure
def _shares(
    rule: uint256, prepayment: uint256, share: uint256, size: uint256, ballot: uint256, words: uint256[MAX_SIZE]
) -> Award:
    """
    @notice What everyone has after the votes.
    @param rule 0 paper, 1 symmetric, else serum.
    @param prepayment What each party has in escrow, at most 2**63.
    @param share The neighbor's share of it, in millionths.
    @param size The committee's.
    @param ballot Two bits a place: 2 valid, 3 invalid, less for none.
    @param words The seats' words; zero for one that changed hands.
    @return What the parties are credited, and what the seats have.
    """
    award: Award = empty(Award)
    to_neighbor: uint256 = unsafe_div(unsafe_mul(prepayment, share), WHOLE)
    pool: uint256 = unsafe_sub(prepayment, to_neighbor)
    voters: uint256 = 0
    invalid: uint256 = 0
    said: uint256 = 0
    # All there is to share: both parties' escrow and what the seats have.
    rest: uint256 = unsafe_mul(prepayment, 2)
    for place: uint256 in range(size, bound=MAX_SIZE):
        word: uint256 = words[place]
        balance: uint256 = (word >> 32) & M64
        award.balances[place] = balance
        rest = unsafe_add(rest, balance)
        vote: uint256 = (ballot >> unsafe_mul(place, 2)) & 3
        if vote > 1:
            voters = unsafe_add(voters, 1)
            invalid = unsafe_add(invalid, vote & 1)
            # Both counts of a history at once: seven of them do not reach over fifteen bits.
            said = unsafe_add(said, word & M30)
    valid: uint256 = unsafe_sub(voters, invalid)
    award.neighbor = prepayment
    if voters > unsafe_div(size, 2) and valid != invalid:
        if rule == PAPER:
            reward: uint256 = unsafe_div(
                unsafe_mul(unsafe_mul(valid, share), prepayment), unsafe_mul(WHOLE, voters)
            )
            penalty: uint256 = unsafe_mul(invalid, prepayment)
            penalty = unsafe_div(unsafe_add(penalty, unsafe_sub(voters, 1)), voters)
            award.neighbor = unsafe_sub(unsafe_add(prepayment, reward), penalty)
        elif valid > invalid:
            award.neighbor = unsafe_add(prepayment, to_neighbor)
        else:
            award.neighbor = 0
        award.balances = self._voters(
            rule, prepayment, share, pool, ballot, words, award.balances, valid, invalid, said
        )
    if voters < size:
        # Who slept forfeits to those who voted, or to the neighbor where nobody did.
        forfeited: uint256 = 0
        for place: uint256 in range(size, bound=MAX_SIZE):
            if (ballot >> unsafe_mul(place, 2)) & 3 < 2:
                forfeit: uint256 = min(unsafe_div(pool, 2), award.balances[place])
                award.balances[place] = unsafe_sub(award.balances[place], forfeit)
                forfeited = unsafe_add(forfeited, forfeit)
        if voters == 0:
            award.neighbor = unsafe_add(award.neighbor, forfeited)
        else:
            for place: uint256 in range(size, bound=MAX_SIZE):
                if (ballot >> unsafe_mul(place, 2)) & 3 > 1:
                    award.balances[place] = unsafe_add(award.balances[place], unsafe_div(forfeited, voters))
    for place: uint256 in range(size, bound=MAX_SIZE):
        if words[place] != 0:
            rest -= award.balances[place]
    award.learner = rest - award.neighbor
    return award


@internal
@pure
def _voters(
    rule: uint256,
    prepayment: uint256,
    share: uint256,
    pool: uint256,
    ballot: uint256,
    words: uint256[MAX_SIZE],
    balances: uint256[MAX_SIZE],
    valid: uint256,
    invalid: uint256,
    said: uint256,
) -> uint256[MAX_SIZE]:
    """
    @notice What the seats have after a verdict. Under `symmetric` the winners share the pool and what the losers forfeit: a
            winner's share of the pool each. Under `serum` a vote earns by the voters who agree, weighed by how rare it is in the
            histories of the others, and costs what all get by chance; in proportion where all would earn more than the pool.
            A vote never costs more than its seat has.
    """
    after: uint256[MAX_SIZE] = balances
    voters: uint256 = unsafe_add(valid, invalid)
    winners: uint256 = max(valid, invalid)
    rate: uint256 = unsafe_div(pool, voters)
    gained: uint256 = 0
    lost: uint256 = 0
    for place: uint256 in range(MAX_SIZE):
        vote: uint256 = (ballot >> unsafe_mul(place, 2)) & 3
        if vote < 2:
            continue
        agreed: uint256 = valid
        if vote == 3:
            agreed = invalid
        gain: uint256 = 0
        cost: uint256 = 0
        if rule > SYMMETRIC:
            if voters > 1:
                others: uint256 = unsafe_sub(said, words[place] & M30)
                same: uint256 = unsafe_add(others >> 15, 1)
                apart: uint256 = unsafe_add(others & M15, 1)
                worth: uint256 = unsafe_mul(SCALE, unsafe_add(same, apart))
                if vote == 3:
                    same = apart
                worth = min(CAP, unsafe_div(worth, same))
                worth = unsafe_div(unsafe_mul(unsafe_sub(agreed, 1), worth), unsafe_sub(voters, 1))
                gain = unsafe_div(unsafe_mul(rate, worth), SCALE)
                cost = rate
        elif rule == SYMMETRIC:
            if agreed != winners:
                cost = unsafe_div(pool, winners)
        elif vote == 2:
            gain = unsafe_div(unsafe_mul(unsafe_sub(WHOLE, share), prepayment), unsafe_mul(WHOLE, voters))
        else:
            gain = unsafe_div(prepayment, voters)
        before: uint256 = after[place]
        balance: uint256 = unsafe_add(before, gain)
        balance = unsafe_sub(balance, min(balance, cost))
        after[place] = balance
        if balance > before:
            gained = unsafe_add(gained, unsafe_sub(balance, before))
        else:
            lost = unsafe_add(lost, unsafe_sub(before, balance))
    if rule == PAPER:
        return after
    limit: uint256 = unsafe_add(lost, pool)
    if rule == SYMMETRIC:
        for place: uint256 in range(MAX_SIZE):
            vote: uint256 = (ballot >> unsafe_mul(place, 2)) & 3
            if (vote == 2 and valid == winners) or (vote == 3 and invalid == winners):
                after[place] = unsafe_add(after[place], unsafe_div(limit, winners))
    elif gained > limit:
        due: uint256 = unsafe_sub(gained, lost)
        for place: uint256 in range(MAX_SIZE):
            held: uint256 = balances[place]
            if after[place] >= held:
                up: uint256 = unsafe_mul(pool, unsafe_sub(after[place], held))
                after[place] = unsafe_add(held, unsafe_div(up, due))
            else:
                down: uint256 = unsafe_mul(pool, unsafe_sub(held, after[place]))
                down = unsafe_div(unsafe_add(down, unsafe_sub(due, 1)), due)
                after[place] = unsafe_sub(held, down)
    return after

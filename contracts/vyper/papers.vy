# pragma version 0.4.3
"""
@title What the participants of encounters sign: EIP-712 structs, compact signatures
@license Apache-2.0
@notice The terms of an encounter are one word: lane 8 | rule 8 | size 8 | share 24 | vote_seconds 24 | nonce 40 | learn_by 40 |
        open_by 40 | prepayment 64, from the top. They are signed as that word. Every signature covers this contract and its
        chain, and has one form only (the lower s).
"""
HALF_ORDER: constant(
    uint256
) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
M255: constant(uint256) = 2**255 - 1

DOMAIN: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME: constant(bytes32) = keccak256("p2pfd encounters")
VERSION: constant(bytes32) = keccak256("1")
ENCOUNTER: constant(bytes32) = keccak256(
    "Encounter(address learner,address neighbor,uint256 terms,CheckIn checkIn)CheckIn(bytes32 task,bytes32 before,uint32 tolerance,bytes32 learnerSalt,bytes32 neighborSalt)"
)
RESULT: constant(bytes32) = keccak256("Result(bytes32 encounter,bytes32 after)")
BALLOT: constant(bytes32) = keccak256(
    "Ballot(Result result,bytes32 commitments)Result(bytes32 encounter,bytes32 after)"
)
COMMITMENT: constant(bytes32) = keccak256(
    "Commitment(Result result,bytes32 commitment)Result(bytes32 encounter,bytes32 after)"
)


# The chain that this was deployed on, and the domain there: a chain that splits off has another.
home: immutable(uint256)
domain: immutable(bytes32)


@deploy
def __init__():
    """
    @notice Compute the domain once.
    """
    home = chain.id
    domain = self._domain()


@internal
@pure
def _encounter(terms: uint256, learner: address, neighbor: address, details: bytes32) -> bytes32:
    """
    @notice The encounter's name: the hash of its struct, whose check-in is given by its own hash.
    """
    return keccak256(abi_encode(ENCOUNTER, learner, neighbor, terms, details))


@internal
@pure
def _result(encounter: bytes32, after: bytes32) -> bytes32:
    """
    @notice The hash of an encounter's result.
    """
    return keccak256(abi_encode(RESULT, encounter, after))


@internal
@view
def _digest(struct_hash: bytes32) -> bytes32:
    """
    @notice What is signed for a struct.
    """
    separator: bytes32 = domain
    if chain.id != home:
        separator = self._domain()
    return keccak256(concat(b"\x19\x01", separator, struct_hash))


@internal
@view
def _domain() -> bytes32:
    """
    @notice The hash of this contract on this chain.
    """
    return keccak256(abi_encode(DOMAIN, NAME, VERSION, chain.id, self))


@internal
@pure
def _signer(digest: bytes32, r: uint256, vs: uint256) -> address:
    """
    @notice Who signed, or nobody: of a signature's two forms only one counts.
    """
    s: uint256 = vs & M255
    if s > HALF_ORDER:
        return empty(address)
    return ecrecover(digest, unsafe_add(27, vs >> 255), r, s)


@internal
@pure
def _bound(result: bytes32, commitment: bytes32) -> bytes32:
    """
    @notice The hash of what a validator signs to be bound without a transaction of its own.
    """
    return keccak256(abi_encode(COMMITMENT, result, commitment))

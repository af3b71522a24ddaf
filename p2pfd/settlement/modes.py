"""The other modes of the label market on an EVM chain: claims as calls, logs as events, and signed commitments.

Some calls need more than their claim says: the commitments so far, the standing claim, the roots of a proof. All of it
is in the events that the contract emitted; a `Ledger` of them supplies it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from eth_abi import encode

from p2pfd.core import claims, modes
from p2pfd.core.claims import (
    Advance,
    ChainEvent,
    CommitLabels,
    Deposit,
    Enrol,
    Enrolled,
    LabelsCommitted,
    MarketTerms,
    OpenTask,
    RevealLabels,
    RoundOpened,
    SettleRound,
    TaskClosed,
    Unstake,
    Withdraw,
    WorkerSuspended,
)
from p2pfd.core.ids import Account, Digest, RoundId, TaskId, account
from p2pfd.core.labels import WORD_BYTES
from p2pfd.core.modes import (
    ChallengeRound,
    ClaimRound,
    CommitmentsPosted,
    DrawSamples,
    ModeClaim,
    ModeEvent,
    OpenProof,
    PostCommitments,
    ProofOpened,
    ProveChunk,
    RevealWords,
    RoundClaimed,
    SignedCommitment,
)
from p2pfd.core.trees import chunks
from p2pfd.errors import ChainError
from p2pfd.settlement import compact
from p2pfd.settlement.abi import Interface
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.keccak import keccak

CONTRACTS = {"optimistic": "OptimisticMarket", "sampled": "SampledMarket"}
_TERMS = [entry.name for entry in dataclasses.fields(MarketTerms) if entry.name not in ("task", "mode")]
_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_LABELS = keccak(b"Labels(bytes32 task,uint256 round,bytes32 commitment)")
_NAME, _VERSION = keccak(b"p2pfd-labels"), keccak(b"1")
_ALONE = {
    "optimistic": (PostCommitments, RevealLabels, ClaimRound, ChallengeRound, OpenProof, ProveChunk),
    "sampled": (DrawSamples, RevealWords),
}
"""The claims that one mode alone takes."""
_RECALL = (RevealLabels, ClaimRound, OpenProof, ProveChunk, SettleRound)


@cache
def interface(mode: str) -> Interface:
    """The contract of a mode, staking included."""
    return Interface.of(artifact(CONTRACTS[mode]))


# -- signatures --------------------------------------------------------------------------------------------------------


def signed_hash(chain_id: int, market: Account, task: TaskId, rnd: RoundId, commitment: Digest) -> bytes:
    """The 32 bytes that a worker signs (EIP-712): good on one chain, for one contract, one task and one round."""
    types = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
    domain = keccak(encode(types, [_DOMAIN, _NAME, _VERSION, chain_id, market]))
    labels = keccak(encode(["bytes32", "bytes32", "uint256", "bytes32"], [_LABELS, task, rnd, commitment]))
    return keccak(b"\x19\x01" + domain + labels)


def sign(
    key: AccountKey, chain_id: int, market: Account, task: TaskId, rnd: RoundId, commitment: Digest
) -> SignedCommitment:
    """A commitment as its worker signs it."""
    digest = signed_hash(chain_id, market, task, rnd, commitment)
    return SignedCommitment(commitment, *compact.sign(key, digest))


def signer(chain_id: int, market: Account, task: TaskId, rnd: RoundId, signed: SignedCommitment) -> Account | None:
    """Who signed; None where nobody can have, or where it is the twin of another signature."""
    return compact.signer(signed_hash(chain_id, market, task, rnd, signed.commitment), signed.r, signed.vs)


# -- what the events add up to -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Ledger:
    """One task as its events tell it: who sits where, what is bound, what is claimed."""

    seats: dict[Account, int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    commitments: list[Digest] = field(default_factory=list)
    counted: int = 0
    amounts: tuple[int, ...] = ()
    roots: tuple[bytes, ...] = ()
    playing: tuple[Account, ...] = ()

    def see(self, event: ModeEvent) -> None:
        """Take in the next event."""
        match event:
            case Enrolled(worker=worker):
                taken = set(self.seats.values())
                self.seats[worker] = next(number for number in range(len(taken) + 1) if number not in taken)
            case WorkerSuspended(worker=worker):
                del self.seats[worker]
            case TaskClosed():
                self.seats.clear()
            case RoundOpened(workers=workers):
                self.order, self.commitments, self.playing = [], [], workers
            case LabelsCommitted(worker=worker, commitment=bound):
                self.order.append(self.seats[worker])
                self.commitments.append(bound)
            case CommitmentsPosted(workers=workers, commitments=bound_all):
                self.order += [self.seats[worker] for worker in workers]
                self.commitments += bound_all
            case RoundClaimed(counted=counted, amounts=amounts):
                self.counted, self.amounts = counted, amounts
            case ProofOpened(roots=roots):
                self.roots = roots
            case _:
                pass

    def members(self, workers: Sequence[Account]) -> int:
        """The set of these workers' seats, one bit a seat."""
        missing = [worker for worker in workers if worker not in self.seats]
        if missing:
            raise ChainError(f"{missing[0]} holds no seat in this task", "mend the claim: it was not sent")
        return sum(1 << self.seats[worker] for worker in workers)


# -- calls -------------------------------------------------------------------------------------------------------------


def check(mode: str, claim: ModeClaim) -> None:
    """ChainError for a claim that is another mode's, or with a value that would not come out as it went in."""
    if any(isinstance(claim, kinds) for other, kinds in _ALONE.items() if other != mode):
        raise ChainError(f"{type(claim).__name__} is no claim of the {mode} mode", "mend the claim: it was not sent")
    short = [word for word in _words(claim) if len(word) != WORD_BYTES]
    if short:
        raise ChainError(f"{len(short[0])} bytes where {WORD_BYTES} belong", "mend the claim: it was not sent")
    if isinstance(claim, OpenTask) and claim.terms.mode != mode:
        raise ChainError(f"this market is {mode}, not {claim.terms.mode}", "open the task on a market of its mode")


def call_of(mode: str, claim: ModeClaim, seen: Ledger) -> bytes:
    """The call that carries a claim to the contract of a mode; ChainError for one that no call can carry."""
    check(mode, claim)
    of = interface(mode)
    match claim:
        case Deposit(amount):
            return of["deposit"].call(amount)
        case Unstake(amount):
            return of["unstake"].call(amount)
        case Withdraw():
            return of["withdraw"].call()
        case OpenTask(terms):
            return of["open_task"].call(terms.task, tuple(getattr(terms, name) for name in _TERMS))
        case Enrol(task):
            return of["enrol"].call(task)
        case CommitLabels(task, rnd, bound):
            return of["commit"].call(task, rnd, bound)
        case Advance(task):
            return of["advance"].call(task)
        case DrawSamples(task, rnd):
            return of["draw"].call(task, rnd)
        case RevealWords(task, rnd, salt, top, words, paths):
            return of["reveal"].call(task, rnd, salt, top, words, paths)
        case SettleRound(task, rnd) if mode == "sampled":
            return of["settle"].call(task, rnd)
        case _:
            return _optimistic(of, claim, seen)


def _words(claim: ModeClaim) -> list[bytes]:
    """All values of a claim that fill a word: an encoder would pad shorter ones, silently."""
    found: list[bytes] = [claim.task] if hasattr(claim, "task") else []
    match claim:
        case OpenTask(terms):
            found.append(terms.task)
        case CommitLabels(commitment=bound):
            found.append(bound)
        case PostCommitments(signed=signed):
            found += [one.commitment for one in signed]
        case RevealLabels(salt=salt):
            found.append(salt)
        case OpenProof(salts=salts, roots=roots):
            found += [*salts, *roots]
        case ProveChunk(paths=paths):
            found += [step for path in paths for step in path]
        case RevealWords(salt=salt, top=top, words=words, paths=steps):
            found += [salt, top[0], *words, *(step[0] for path in steps for step in path)]
    return found


def _optimistic(of: Interface, claim: ModeClaim, seen: Ledger) -> bytes:
    match claim:
        case PostCommitments(task, rnd, signed):
            pairs = [(one.r, one.vs) for one in signed]
            return of["commit_signed"].call(task, rnd, [one.commitment for one in signed], pairs)
        case RevealLabels(task, rnd, salt, labels):
            return of["reveal"].call(task, rnd, seen.order, seen.commitments, salt, chunks(labels))
        case ClaimRound(task, rnd, counted, amounts):
            if len(counted) != len(amounts):
                return of["claim"].call(task, rnd, seen.members(counted), amounts)
            by_seat = sorted(zip(counted, amounts, strict=True), key=lambda entry: seen.seats.get(entry[0], 0))
            return of["claim"].call(task, rnd, seen.members(counted), [amount for _, amount in by_seat])
        case ChallengeRound(task, rnd):
            return of["challenge"].call(task, rnd)
        case OpenProof(task, rnd, salts, roots):
            return of["open_proof"].call(task, rnd, seen.order, seen.commitments, salts, roots)
        case ProveChunk(task, rnd, labels, paths):
            return of["prove_chunk"].call(task, rnd, seen.roots, labels, paths)
        case SettleRound(task, rnd):
            return of["settle"].call(task, rnd, seen.counted, seen.amounts, seen.playing)
        case _:
            raise ChainError(f"{type(claim).__name__} is no claim of this mode", "mend the claim: it was not sent")


def recalls(mode: str, claim: object) -> bool:
    """Whether a claim's call says more than the claim: then its task's ledger must have seen what happened there."""
    return mode == "optimistic" and isinstance(claim, _RECALL)


def gas_for(claim: ModeClaim) -> int:
    """A gas limit that no valid call of this kind reaches, whatever the number of seats."""
    match claim:
        case Deposit() | Unstake() | Withdraw() | OpenTask() | Enrol() | CommitLabels() | ChallengeRound():
            return 1_000_000
        case ProveChunk() | SettleRound():
            return 2**24
        case _:
            return 5_000_000


# -- events ------------------------------------------------------------------------------------------------------------


def terms_of(mode: str, task: TaskId, answer: Sequence[int]) -> MarketTerms | None:
    """A task's terms as the contract of a mode tells them; None where there is no such task."""
    values: dict[str, Any] = dict(zip(_TERMS, answer, strict=True))
    return MarketTerms(task=task, mode=mode, **values) if values["seats"] else None


def event_of(mode: str, topics: Sequence[bytes], data: bytes) -> ModeEvent | None:
    """The chain event that a log of a mode's contract tells; None for one that concerns no task."""
    shape = interface(mode).events.get(topics[0]) if topics else None
    kind = None if shape is None else getattr(modes, shape.name, None) or getattr(claims, shape.name, None)
    if shape is None or kind is None:
        return None
    values = {name: _plain(value) for name, value in shape.values(topics, data).items()}
    if shape.name == "LabelsRevealed":
        values["labels"] = b"".join(values["labels"])
    event: ModeEvent | ChainEvent = kind(**values)
    return event


def _plain(value: Any) -> Any:
    """Accounts in their one spelling, lists as tuples."""
    if isinstance(value, str):
        return account(value)
    if isinstance(value, (tuple, list)):
        return tuple(_plain(member) for member in value)
    return value

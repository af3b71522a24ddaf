"""Claims with one thing wrong in them: a number, a hash, a signature, or something too much."""

from __future__ import annotations

import dataclasses
from typing import Any

from p2pfd.core.encounter_claims import EncounterClaim, EncounterTerms, Signature, Vote
from p2pfd.core.rng import Rng
from p2pfd.settlement.accounts import ORDER

_BITS = {"place": 3, "nonce": 2, "size": 2, "rule": 2, "lane": 1, "opening": 128, "where": 256}


def spoiled(rng: Rng, claim: EncounterClaim) -> EncounterClaim:
    """The same claim, but for one part of it; sometimes that one does not matter."""
    return _spoil(rng, claim)  # type: ignore[no-any-return]


def twin(signature: Signature) -> Signature:
    """The other form of a signature, with the higher s."""
    s = ORDER - (signature.vs & (1 << 255) - 1)
    odd = 1 - (signature.vs >> 255)
    return Signature(signature.r, s % (1 << 255) | odd << 255)


def _spoil(rng: Rng, value: Any) -> Any:
    if isinstance(value, Signature):
        return rng.choice([twin(value), Signature(value.r ^ 1, value.vs), Signature(0, 0), Signature(value.r, 0)])
    if isinstance(value, tuple):
        if not value or rng.chance(1, 4):
            return value[1:]
        if rng.chance(1, 4):
            return (*value, value[0]) if len(value) < 7 else value
        at = rng.below(len(value))
        return (*value[:at], _spoil(rng, value[at]), *value[at + 1 :])
    if dataclasses.is_dataclass(value):
        fields = [entry.name for entry in dataclasses.fields(value)]
        if isinstance(value, EncounterTerms):
            fields = [name for name in fields if name not in ("learner", "neighbor")]
        elif isinstance(value, Vote):
            fields = ["signature", "opening"]
        name = rng.choice(fields)
        old = getattr(value, name)
        new = _number(rng, name, old) if isinstance(old, int) else _spoil(rng, old)
        return dataclasses.replace(value, **{name: new})  # type: ignore[type-var]
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    return value


def _number(rng: Rng, name: str, old: int) -> int:
    bits = _BITS.get(name, 24)
    return (old ^ 1 << rng.below(min(bits, 200))) if rng.chance(1, 2) else max(0, old + rng.choice([-1, 1]))

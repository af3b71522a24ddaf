"""Whether a chain holds a task to the terms that its spec says: looked at before anybody takes part.

A chain's events carry no terms, and anyone can open a task under another's name.
"""

from __future__ import annotations

import dataclasses

from p2pfd.core.spec import TaskSpec
from p2pfd.core.terms import terms_of
from p2pfd.errors import ChainError
from p2pfd.settlement.api import EncounterSettlement, Settlement


async def check_terms(settlement: Settlement, spec: TaskSpec) -> None:
    """ChainError where the chain does not know the task, or means something else by it."""
    found, expected = await settlement.terms(spec.id), terms_of(spec)
    if found is None:
        raise ChainError(f"the chain knows no task {spec.id.hex()[:16]}…", "ask whoever gave you the task to open it")
    if found != expected:
        different = [
            f"{entry.name} is {getattr(found, entry.name)} and not {getattr(expected, entry.name)}"
            for entry in dataclasses.fields(expected)
            if getattr(found, entry.name) != getattr(expected, entry.name)
        ]
        raise ChainError(
            f"the chain holds the task {spec.name} to other terms: {'; '.join(different)}",
            "somebody else opened it under this name: do not take part",
        )


async def check_rules(desk: EncounterSettlement, spec: TaskSpec) -> None:
    """A task says what its contract asks of everyone; ChainError where the contract says something else."""
    found, terms = await desk.rules(), spec.encounters
    for name in ("bond", "threshold", "longest", "unbond_seconds"):
        if getattr(found, name) != getattr(terms, name):
            raise ChainError(
                f"the contract's {name} is {getattr(found, name)}, and the task says {getattr(terms, name)}",
                "ask whoever gave you the task: do not take part",
            )

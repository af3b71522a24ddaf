"""Whose code decides what comes of a mesh, beside what plugs in and what all learning rests on."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

from p2pfd.behaviours import api, payloads
from p2pfd.experiment import classroom, course, encounters, result, roles, stage
from p2pfd.experiment.plan import ENCOUNTERS
from p2pfd.incentives import encounters as ledger
from p2pfd.incentives import market, ptsc, rounds, staking
from p2pfd.learning.bench.cache import code_digest
from p2pfd.roles import ballot, circle, work
from p2pfd.roles.distill import gossip, seat, settled
from p2pfd.roles.distill import round as distill_round
from p2pfd.roles.encounter import case, device, learner, neighbor, office, part, side, tutor, validator
from p2pfd.roles.encounter import work as encounter_work
from p2pfd.sim import chain, encounter_bench, encounter_chain, encounter_world, graphs, heap, world
from p2pfd.sim import encounters as meshes

_ALL: tuple[ModuleType, ...] = (api, graphs, heap, world, result, roles)
_MARKET: tuple[ModuleType, ...] = (
    *(classroom, stage, chain, ballot, circle, work, distill_round, gossip, seat, settled),
    *(market, ptsc, rounds, staking),
)
_ENCOUNTERS: tuple[ModuleType, ...] = (
    *(
        payloads,
        course,
        encounters,
        meshes,
        encounter_bench,
        encounter_chain,
        encounter_world,
        ledger,
        ptsc,
        encounter_work,
    ),
    *(case, device, learner, neighbor, office, part, side, tutor, validator),
)


@lru_cache(maxsize=4)
def digest_of(kind: str) -> str:
    """The digest of the code that decides meshes of a kind."""
    return code_digest((*_ALL, *(_ENCOUNTERS if kind == ENCOUNTERS else _MARKET)))

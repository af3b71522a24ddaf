"""Whether a plan's script of chaos can be carried out on its mesh: asked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from p2pfd.errors import PlanError, UsageError
from p2pfd_localnet.chaos import ENCOUNTER, READY, Act
from p2pfd_localnet.deeds import (
    Add,
    ChainDown,
    ChainReorg,
    ChainUp,
    Delay,
    Kill,
    Loss,
    Partition,
    Pause,
    Resume,
    Revive,
    SlowDisk,
    groups_of,
    select,
)
from p2pfd_localnet.plan import Plan, is_url


def check(plan: Plan) -> None:
    """PlanError for the first act of a plan that its mesh could not carry out, or that would keep it for ever."""
    names = plan.names()
    for number, act in enumerate(plan.chaos, start=1):
        try:
            _check(act, plan, names)
        except (PlanError, UsageError) as error:
            raise PlanError(f"chaos {number} ({act}): {error.what}", error.fix) from None


def _check(act: Act, plan: Plan, names: Sequence[str]) -> None:
    for when in (act.at, act.until):
        if when is not None and when.what == ENCOUNTER and not plan.meets:
            raise PlanError("this mesh has rounds and no encounters", 'write "round>=2"')
        if when is not None and when.what != READY and when.what != ENCOUNTER and plan.meets:
            raise PlanError("this mesh has encounters and no rounds", 'write "encounter>=2"')
        if when is not None and when.what != READY and when.number > plan.rounds * (plan.nodes if plan.meets else 1):
            raise PlanError(f"there is no {when.what} {when.number} in this mesh", "name an earlier one")
    match act.deed:
        case Kill(nodes) | Revive(nodes) | Resume(nodes) | Loss(nodes=nodes) | Delay(nodes=nodes):
            select(nodes, names)
        case SlowDisk(nodes=nodes):
            select(nodes, names)
        case Pause(nodes):
            held = select(nodes, names)
            if act.until is None and act.hold is None and not _freed(held, plan, names):
                raise PlanError("nobody lets these go on", "say until when: `for = 10`, or `to`")
        case Partition(groups):
            groups_of(groups, names)
        case ChainDown() | ChainUp() | ChainReorg() as deed:
            if plan.chain == "none" or is_url(plan.chain):
                raise PlanError(f"{deed.name}: this mesh has no chain of its own", "take one: --chain embedded")
            open_end = act.until is None and act.hold is None
            if isinstance(deed, ChainDown) and open_end and not _comes_up(plan):
                raise PlanError("nobody lets the chain go on", "say until when: `for = 10`, or `to`")
            if isinstance(deed, ChainReorg):
                from p2pfd_localnet.reorg import check_reorg  # which knows the chains, and they take their time

                check_reorg(plan.chain, deed.depth)
        case Add(count) if count > plan.spare:
            raise PlanError(f"{count} are to join, and {plan.spare} seats are kept", f"write spare = {count}")
        case _:
            pass


def _freed(held: Sequence[str], plan: Plan, names: Sequence[str]) -> bool:
    """Whether another act resumes or kills all of these."""
    freed: set[str] = set()
    for act in plan.chaos:
        if isinstance(act.deed, (Kill, Resume)):
            freed.update(select(act.deed.nodes, names))
    return freed.issuperset(held)


def _comes_up(plan: Plan) -> bool:
    return any(isinstance(act.deed, ChainUp) for act in plan.chaos)

"""`p2pfd leave`: take all that an account has in a task's contract back to its wallet, as soon as each part is free."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import trio

from p2pfd.cli import consent, exits, passphrase, where
from p2pfd.cli.app import Command
from p2pfd.cli.money import tokens
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd.core.claims import Balances, Included, Unstake, Withdraw
from p2pfd.core.encounter_claims import Leave, Vacate
from p2pfd.core.ids import Account
from p2pfd.core.spec import TaskSpec
from p2pfd.core.ticks import SECOND
from p2pfd.errors import ChainError
from p2pfd.node import keystore
from p2pfd.node.clock import SystemClock
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.evm_encounters import EvmEncounters

_LOOK_SECONDS = 1.0
_EARLY = ": still unbonding"
"""How the contracts say that it is too early."""
_SLOW_SECONDS = 2
"""By so much this machine's clock may be ahead of the chain's."""
Desk = EvmSettlement | EvmEncounters


@dataclass(frozen=True, slots=True)
class Left:
    """What is still in the contract, why, and from which second on something more can be done; 0 where nobody knows."""

    held: Balances
    why: str
    at: int

    @property
    def out(self) -> bool:
        """Whether all is in the wallet."""
        return self.held.total == self.held.wallet


async def step(desk: Desk, task: TaskSpec, who: Account, screen: Screen) -> Left:
    """Do all that can be done now. It may be repeated, also after it was cut off: nothing is done twice."""
    now, times, why = await _now(desk), [], []
    if isinstance(desk, EvmEncounters):
        unbond = task.encounters.unbond_seconds
        for number, seat in enumerate(await desk.seats()):
            if seat is None or seat.holder != who:
                continue
            if not seat.left:
                await _do(desk, "leave", Leave(number), screen)
                seat_free = now + unbond
            else:
                seat_free = seat.left_at + unbond
            if now <= seat_free or not await _do(desk, "vacate", Vacate(number), screen):
                times.append(seat_free + 1)
                why.append("a validator's seat answers for its votes for a while")
    held = await desk.account(who)
    waits = held.unbonding > 0
    if waits:
        ready = await desk.ready(who)
        waits = ready > now or not await _do(desk, "withdraw", Withdraw(), screen)
        if waits:
            times.append(ready)
            why.append("tokens unbond for a while")
    if held.free and not waits:  # what unbonds would begin anew
        await _do(desk, "unstake", Unstake(held.free), screen)
        times.append(await desk.ready(who))
        why.append("tokens unbond for a while")
    if held.locked and isinstance(desk, EvmSettlement):
        why.append("the bond is free again when the task is over")
    return Left(await desk.account(who), "; ".join(dict.fromkeys(why)), min(times, default=0))


async def _do(desk: Desk, name: str, claim: Leave | Vacate | Withdraw | Unstake, screen: Screen) -> bool:
    """Claim something; whether the chain took it. It may find that the time has not come: blocks that were undone took
    their time with them."""
    receipt = await desk.final(await desk.submit(claim))  # type: ignore[arg-type]  # each claim is of its own contract
    if not isinstance(receipt, Included):
        why = getattr(receipt, "reason", "nobody knows what became of it")
        if why.endswith(_EARLY):
            return False
        raise ChainError(f"the chain did not take {name}: {why}", "say it again: what was done stays done")
    screen.say(f"{name:<8} in block {receipt.block} · {receipt.cost:,} gas · {receipt.ref}")
    return True


def _run(args: argparse.Namespace, screen: Screen) -> int:
    place = where.find(args)
    mine = place.own_keys(passphrase.current(args.passphrase_file).get)
    who = mine.account.account

    async def main() -> Left:
        async with where.opened(place, args.max_gwei) as chain:
            desk = chain.desk(mine.account, chain.market)
            if chain.caps.live:
                assert place.keys_at is not None, "keys were read there"
                label = f"{chain.caps.profile} ({chain.caps.chain_id})"
                keystore.require_encrypted(place.keys_at, label)
                consent.agree(f"leave on chain {label}, with real funds for gas?", args.yes, screen)
            left = await step(desk, place.task, who, screen)
            while args.wait and not left.out:
                _say(left, screen)
                await _until(desk, left.at)
                left = await step(desk, place.task, who, screen)
            return left

    left = trio.run(main)
    _say(left, screen)
    if not left.out:
        screen.say(f"next    p2pfd leave --home {args.home}, then; or --wait for it now")
    told = {name: getattr(left.held, name) for name in ("wallet", "free", "locked", "unbonding", "total")}
    screen.result({"account": who, "out": left.out, "why": left.why, "at": left.at, **told})
    return exits.OK.code


async def _now(desk: Desk) -> int:
    """The second that the next block will show at least: where nobody sends anything, the newest one is an old one."""
    return max((await desk.now()).seconds, SystemClock().now() // SECOND - _SLOW_SECONDS)


async def _until(desk: Desk, second: int) -> None:
    """Wait a moment, and until that second."""
    await trio.sleep(_LOOK_SECONDS)
    while await _now(desk) < second:  # noqa: ASYNC110 - only the chain knows its clock
        await trio.sleep(_LOOK_SECONDS)


def _say(left: Left, screen: Screen) -> None:
    if left.out:
        screen.say(f"out     all of {tokens(left.held.wallet)} tokens is in the wallet")
        return
    inside = tokens(left.held.total - left.held.wallet)
    when = time.strftime(" until %Y-%m-%d %H:%M:%S UTC", time.gmtime(left.at)) if left.at else ""
    screen.say(f"left    {inside} tokens stay in the contract{when}: {left.why}")


def _options(parser: Parser) -> None:
    where.options(parser)
    passphrase.options(parser)
    where.gas_option(parser)
    parser.add_argument("--wait", action="store_true", help="stay until all is in the wallet")
    parser.add_argument("--yes", action="store_true", help="spend real funds for gas without asking")


LEAVE = Command(
    "leave",
    "take all that an account has in its task's contract back to its wallet",
    "p2pfd leave --home p2pfd-node --wait",
    _options,
    _run,
)

"""`p2pfd balance`, `stake`, `unstake` and `withdraw`: tokens, seen and moved by hand."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from decimal import Decimal

import trio

from p2pfd.cli import consent, exits, passphrase, where
from p2pfd.cli.app import Command
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd.core.claims import Balances, Deposit, Included, Reverted, Unstake, Withdraw
from p2pfd.core.ids import Account, Amount, account
from p2pfd.errors import ChainError, DecodeError, UsageError
from p2pfd.node import keys, keystore
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.evm_encounters import EvmEncounters
from p2pfd.settlement.profiles import Chain

DECIMALS = 6
Move = Deposit | Unstake | Withdraw
_AMOUNT = re.compile(rf"\d{{1,20}}(\.\d{{1,{DECIMALS}}})?")
_FIXES = {
    "erc20: transfer amount exceeds balance": "the wallet holds less than that: p2pfd balance",
    "staking: not enough free": "p2pfd balance shows what is free; what is locked is freed when its task closes",
    "staking: still unbonding": "wait until the delay is over; p2pfd withdraw can then be said again",
    "purse: not enough free": "p2pfd balance shows what is free; what is in a seat comes back when it is given up",
    "purse: still unbonding": "wait until the delay is over; p2pfd withdraw can then be said again",
    "purse: nothing to withdraw": "p2pfd unstake AMOUNT begins a withdrawal",
    "staking: nothing to withdraw": "p2pfd unstake AMOUNT begins a withdrawal",
}


def tokens(units: int) -> str:
    """Units as tokens, to the last unit."""
    return f"{Decimal(units).scaleb(-DECIMALS):,.{DECIMALS}f}"


def _balance(args: argparse.Namespace, screen: Screen) -> int:
    place = where.find(args)
    if args.account is not None:
        who = args.account
    elif place.keys_at is not None:
        who = keystore.identity(place.keys_at).account
    else:
        raise UsageError("whose balance? a mesh or a task has many accounts", "name one: p2pfd balance 0x...")
    reader = keys.fresh()  # looking takes no key of anybody's

    async def main() -> Balances:
        async with where.opened(place) as chain:
            return await (await _desk(chain, reader.account, args.contract)).account(who)

    _show(screen, who, trio.run(main))
    return exits.OK.code


def _move(make: Callable[[argparse.Namespace], Move], verb: str) -> Callable[[argparse.Namespace, Screen], int]:
    def run(args: argparse.Namespace, screen: Screen) -> int:
        place = where.find(args)
        mine = place.own_keys(passphrase.current(args.passphrase_file).get)
        claim = make(args)

        async def main() -> tuple[Balances, Balances, Included]:
            async with where.opened(place, args.max_gwei) as chain:
                settlement = await _desk(chain, mine.account, args.contract)
                if chain.caps.live:
                    assert place.keys_at is not None, "keys were read there"
                    keystore.require_encrypted(place.keys_at, f"{chain.caps.profile} ({chain.caps.chain_id})")
                    await _agree(chain, settlement, mine.account.account, claim, verb, args.yes, screen)
                before = await settlement.account(mine.account.account)
                receipt = await settlement.final(await settlement.submit(claim))
                if isinstance(receipt, Reverted):
                    raise ChainError(f"the chain refused: {receipt.reason}", _FIXES.get(receipt.reason, ""))
                if not isinstance(receipt, Included):
                    raise ChainError(
                        f"nobody knows what became of it: {receipt}", "look with p2pfd balance before you try again"
                    )
                return before, await settlement.account(mine.account.account), receipt

        before, after, receipt = trio.run(main)
        screen.say(f"{verb}    in block {receipt.block} · {receipt.cost:,} gas · {receipt.ref}")
        moved = abs(after.wallet - before.wallet) or abs(after.unbonding - before.unbonding)
        _show(screen, mine.account.account, after, moved=moved, receipt=receipt.ref, gas=receipt.cost)
        return exits.OK.code

    return run


async def _desk(chain: Chain, key: AccountKey, address: Account | None) -> EvmSettlement | EvmEncounters:
    """The task's market, or another of our contracts on its chain, as an account uses it."""
    return chain.desk(key, chain.market if address is None else await chain.find(address))


async def _agree(
    chain: Chain,
    settlement: EvmSettlement | EvmEncounters,
    who: Account,
    claim: Move,
    verb: str,
    yes: bool,
    screen: Screen,
) -> None:
    """Say what it costs; money that is not throw-away moves only after an explicit yes."""
    try:
        gas = await settlement.gas(claim)
    except ChainError as error:
        said = next((fix for what, fix in _FIXES.items() if what in error.what), error.fix)
        raise ChainError(error.what, said) from error
    offer, funds = await chain.gas_funds(who)
    chain_id, most = chain.caps.chain_id, settlement.contract.kind.gas_for(claim) * offer.fee
    screen.say(f"account {who} · {consent.coins(funds, chain_id)}")
    screen.say(
        f"cost    about {gas:,} gas, {consent.coins(gas * offer.fee, chain_id)} at {consent.gwei(offer.fee)} at most; "
        f"{consent.coins(most, chain_id)} must be there"
    )
    if most > funds:
        raise ChainError(
            f"{who} has {consent.coins(funds, chain_id)}, and {consent.coins(most, chain_id)} must be there for gas",
            "send it some of the chain's coin first; what is not used stays there",
        )
    consent.agree(f"{verb} on chain {chain_id} ({chain.caps.profile}), with real funds for gas?", yes, screen)


def _show(screen: Screen, who: Account, held: Balances, **more: object) -> None:
    screen.say(f"account {who}")
    rows = [(name, getattr(held, name)) for name in ("wallet", "free", "locked", "unbonding", "total")]
    width = max(len(tokens(units)) for _, units in rows)
    for name, units in rows:
        screen.say(f"{name:<10}{tokens(units):>{width}}")
    screen.result({"account": who, **dict(rows), **more})


def units(text: str) -> Amount:
    """The type of an option that takes an amount of tokens."""
    if not _AMOUNT.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an amount of tokens: write 50, or 12.5; at most {DECIMALS} digits after the point"
        )
    units = int(Decimal(text).scaleb(DECIMALS))
    if units == 0:
        raise argparse.ArgumentTypeError("nothing is not an amount")
    return Amount(units)


def _account(text: str) -> Account:
    try:
        return account(text)
    except DecodeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def contract_option(parser: Parser) -> None:
    """The option that names another contract than the task's market."""
    parser.add_argument(
        "--contract",
        type=_account,
        metavar="0x...",
        help="another of our contracts on that chain, as one of encounters (the task's market)",
    )


def _balance_options(parser: Parser) -> None:
    parser.add_argument("account", nargs="?", type=_account, help="an account (the node's own)")
    where.options(parser)
    contract_option(parser)


def _amount_options(parser: Parser) -> None:
    parser.add_argument("amount", type=units, help="how many tokens, as 50 or 12.5")
    _move_options(parser)


def _move_options(parser: Parser) -> None:
    where.options(parser)
    contract_option(parser)
    passphrase.options(parser)
    where.gas_option(parser)
    parser.add_argument("--yes", action="store_true", help="move real funds without asking")


BALANCE = Command(
    "balance", "where an account's tokens are", "p2pfd balance --home p2pfd-node", _balance_options, _balance
)
STAKE = Command(
    "stake",
    "move tokens from the wallet into the market, free to be bound",
    "p2pfd stake 50 --home p2pfd-node",
    _amount_options,
    _move(lambda args: Deposit(args.amount), "stake"),
)
UNSTAKE = Command(
    "unstake",
    "begin to take free tokens out; they unbond for a while",
    "p2pfd unstake 12.5 --home p2pfd-node",
    _amount_options,
    _move(lambda args: Unstake(args.amount), "unstake"),
)
WITHDRAW = Command(
    "withdraw",
    "move what has finished unbonding to the wallet",
    "p2pfd withdraw --home p2pfd-node",
    _move_options,
    _move(lambda args: Withdraw(), "withdraw"),
)

"""`p2pfd task publish`: open a task on its chain, once however often it is cut off, and write the invitation to it."""

from __future__ import annotations

import argparse
import calendar
import dataclasses
import time
from pathlib import Path

import trio

from p2pfd.cli import boards, consent, exits, passphrase, where
from p2pfd.cli.invite import task_or_invitation
from p2pfd.cli.money import tokens
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd.core.claims import Claim, Deposit, Included, OpenTask
from p2pfd.core.ids import Amount
from p2pfd.core.manifest import Manifest
from p2pfd.core.spec import TaskSpec
from p2pfd.core.terms import terms_of
from p2pfd.errors import ChainError, StorageError, UsageError
from p2pfd.node import keystore
from p2pfd.node.invitation import find_chain
from p2pfd.node.keys import NodeKeys
from p2pfd.node.manifest import seal
from p2pfd.node.terms import check_rules, check_terms
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.outbox import FILE as OUTBOX_FILE
from p2pfd.settlement.profiles import Chain, capped, open_chain, profile_of

SUFFIX = ".p2pfd"
_DAY = 86_400
_GAS = 240_000
"""About what a deposit and an opened task take together; docs/reference/settlement.md has both."""


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Look, ask, open, sign, write."""
    task, earlier = task_or_invitation(args.file)
    home = args.home.absolute()
    out = args.out if args.out is not None else Path(f"{task.name}{SUFFIX}")
    if out.exists() and not args.replace:
        raise StorageError(f"{out} is there already", "name another file: --out FILE; or say --replace")
    who = keystore.identity(home / "keys").account
    kept = (earlier.bootstrap, earlier.data, earlier.rpc) if earlier is not None else ((), (), ())
    said = (args.bootstrap, args.data_url, args.rpc)
    bootstrap, data, rpc = (tuple(new) or old for new, old in zip(said, kept, strict=True))
    for address in bootstrap:
        _check_address(address)
    at = boards.addresses(args.at) if args.at else ()
    manifest = Manifest(task, who, bootstrap, data, rpc, issued=boards.now(), until=_until(args.until), note=args.note)
    mine = keystore.open_keys(home / "keys", passphrase.current(args.passphrase_file).get)
    opened = False
    if task.chain.profile != "none":
        opened, genesis = trio.run(_on_chain, args, manifest, mine, home, screen)
        manifest = dataclasses.replace(manifest, genesis=genesis)
    text = seal(manifest, mine.account)
    part = out.with_name(f".{out.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(out)
    screen.say(f"made    {out}: the invitation, {len(text)} characters; give it to whoever is to take part")
    if not manifest.bootstrap:
        screen.say(
            "note    it names no peer to begin with: run a node, and publish again with --bootstrap ADDR --replace"
        )
    screen.say(f"join    p2pfd join {out}")
    told: dict[str, object] = {"id": task.id.hex(), "requester": who, "file": str(out), "invitation": text}
    if at:
        told["boards"] = boards.hang(text, at, boards.settings_of(args), screen)
    screen.result({**told, "opened": opened})
    return exits.OK.code


async def _on_chain(
    args: argparse.Namespace, manifest: Manifest, mine: NodeKeys, home: Path, screen: Screen
) -> tuple[bool, bytes]:
    """Open the task where it is not open yet: whether it was opened now, and the hash of the chain's first block."""
    task = manifest.task
    given = (args.chain_url,) if args.chain_url else (*manifest.rpc, *profile_of(task.chain).rpc)
    url = await find_chain(task.chain, given)
    profile = capped(profile_of(task.chain), args.max_gwei)
    async with open_chain(task.chain, url, outbox=home / OUTBOX_FILE, profile=profile) as chain:
        if task.encounters.own:
            await check_rules(chain.encounters(mine.account), task)
            return False, chain.genesis  # nobody opens anything: who takes part pays whom they learn from
        desk = chain.settlement(mine.account)
        state = await desk.task_state(task.id)
        if state is not None:
            await check_terms(desk, task)
            if state.requester != mine.account.account:
                raise ChainError(
                    f"{state.requester} opened this task, not {mine.account.account}", "give yours another name"
                )
            screen.say("open    the task is open already")
            return False, chain.genesis
        if chain.caps.live:
            keystore.require_encrypted(home / "keys", f"{chain.caps.profile} ({chain.caps.chain_id})")
        claims = await _claims(desk, task, mine)
        await _agree(args, chain, task, mine, claims, screen)
        for name, claim in claims:
            receipt = await desk.final(await desk.submit_once(f"publish/{task.id.hex()}/{name}", claim))
            if not isinstance(receipt, Included):
                why = getattr(receipt, "reason", "nobody knows what became of it")
                raise ChainError(
                    f"the chain did not take the {name}: {why}", "say it again: what was done is not repeated"
                )
            screen.say(f"{name:<8}in block {receipt.block} · {receipt.cost:,} gas · {receipt.ref}")
        return True, chain.genesis


async def _claims(desk: EvmSettlement, task: TaskSpec, mine: NodeKeys) -> list[tuple[str, Claim]]:
    """What has to be done: the pots of all rounds come out of what is free."""
    held, whole = await desk.account(mine.account.account), task.money.pot * task.rounds
    lacking = whole - held.free
    if lacking > held.wallet:
        raise ChainError(
            f"the rounds pay {tokens(whole)} tokens, and {mine.account.account} has {tokens(held.free + held.wallet)}",
            "pay less (money.pot), have fewer rounds, or bring tokens",
        )
    claims: list[tuple[str, Claim]] = [("deposit", Deposit(Amount(lacking)))] if lacking > 0 else []
    return [*claims, ("open", OpenTask(terms_of(task)))]


async def _agree(
    args: argparse.Namespace,
    chain: Chain,
    task: TaskSpec,
    mine: NodeKeys,
    claims: list[tuple[str, Claim]],
    screen: Screen,
) -> None:
    chain_id, who = chain.caps.chain_id, mine.account.account
    offer, coins = await chain.gas_funds(who)
    most = sum(chain.market.kind.gas_for(claim) for _, claim in claims) * offer.fee
    screen.say(f"account {who}")
    screen.say(
        f"pays    {tokens(task.money.pot * task.rounds)} tokens for {task.rounds} rounds; what is not earned comes back"
    )
    screen.say(
        f"cost    about {_GAS:,} gas, {consent.coins(_GAS * offer.fee, chain_id)} at {consent.gwei(offer.fee)} at most"
    )
    if most > coins:
        raise ChainError(
            f"{who} has {consent.coins(coins, chain_id)}, and {consent.coins(most, chain_id)} must be there",
            "send it some of the chain's coin first; what is not used stays there",
        )
    if chain.caps.live:
        consent.agree(f"open the task on chain {chain_id} ({chain.caps.profile}), with real funds?", args.yes, screen)


def _until(text: str) -> int:
    if not text:
        return 0
    try:
        return calendar.timegm(time.strptime(text, "%Y-%m-%d")) + _DAY - 1
    except ValueError:
        raise UsageError(f"--until {text!r} is no day", "write it as 2027-01-31") from None


def _check_address(address: str) -> None:
    from p2pfd.network.reach import parse_address  # libp2p takes a second to import, and most commands need none

    parse_address(address)


def options(parser: Parser) -> None:
    """What an invitation says beside the task."""
    parser.add_argument(
        "--bootstrap", action="append", default=[], metavar="ADDR", help="publish: a peer to begin with; several"
    )
    parser.add_argument(
        "--data-url", action="append", default=[], metavar="URL", help="publish: where the data can be had; several"
    )
    parser.add_argument(
        "--rpc", action="append", default=[], metavar="URL", help="publish: where the chain answers to anybody; several"
    )
    parser.add_argument(
        "--until", default="", metavar="DAY", help="publish: the last day, as 2027-01-31, on which one can join"
    )
    parser.add_argument("--note", default="", metavar="TEXT", help="publish: a word to whoever reads it")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"publish: where the invitation goes (NAME{SUFFIX})")
    parser.add_argument("--replace", action="store_true", help="publish: write over an invitation that is there")
    where.gas_option(parser, "publish: ")
    parser.add_argument("--yes", action="store_true", help="publish: spend real funds without asking")

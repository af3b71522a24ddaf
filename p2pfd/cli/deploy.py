"""`p2pfd contracts deploy`: put the contracts on a chain: the cost first, and once, however often it is cut off."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from p2pfd.cli import consent, exits, passphrase
from p2pfd.cli.money import DECIMALS, tokens, units
from p2pfd.cli.parse import Parser, number, one_of, seconds
from p2pfd.cli.screen import Screen
from p2pfd.core.ids import Account, account
from p2pfd.errors import ChainError, DecodeError, PlanError, UsageError
from p2pfd.node import keystore
from p2pfd.settlement import answers, deployment_plan, deployments, profile_files, rollout
from p2pfd.settlement.deployment_plan import Cost, Manner
from p2pfd.settlement.deployments import RECIPES, Deployments, Entry, Recipe
from p2pfd.settlement.fees import GWEI
from p2pfd.settlement.profiles import LOCAL_IDS, Profile, check_id
from p2pfd.settlement.rpc import Rpc

FOLDER = Path("deployments")
_CLIENTS = {"p2pfd-embedded": "embedded", "anvil": "anvil", "ganache": "ganache"}


@dataclass(frozen=True)
class Site:
    """A chain, what its deployments file says, and what is still to be done there."""

    profile: Profile
    held: Deployments
    recipes: Sequence[Recipe]
    cost: Cost
    path: Path
    strays: Mapping[Account, str]
    """What the account made before, and the file does not list."""


def run(args: argparse.Namespace, screen: Screen) -> int:
    """Show the cost, ask, deploy, and show what stands where."""
    if not args.chain_url:
        raise UsageError("which chain? the address where it answers is missing", "say it: --chain-url URL")
    if args.token is not None and args.supply is not None:
        raise UsageError("a token that is there has its supply", "say --token, or --supply for a new one")
    keys_at = args.home.absolute() / "keys"
    mine = keystore.identity(keys_at).account
    site = trio.run(_prepare, args, mine)
    held, cost = site.held, site.cost
    _tell_cost(site, mine, screen)
    if cost.gas and cost.base > cost.offer.fee:
        raise ChainError(
            f"a unit of gas costs {consent.gwei(cost.base)} now, and at most {consent.gwei(cost.offer.fee)} is offered",
            "wait, or offer more: --max-gwei N",
        )
    if cost.gas and cost.most > cost.funds:
        raise ChainError(
            f"{mine} has {consent.coins(cost.funds, held.chain_id)}, and this can take "
            f"{consent.coins(cost.most, held.chain_id)}",
            "send it some of the chain's coin first",
        )
    for address, name in site.strays.items():
        screen.say(f"note    a {name} of this account stands at {address}, and {site.path} does not list it")
    if not args.dry_run and cost.gas:
        if site.profile.live:
            if site.strays and not args.anew:
                raise PlanError(
                    f"{mine} has deployed these contracts on chain {held.chain_id} before: {', '.join(site.strays)}",
                    "restore the deployments file, or name it; to deploy once more, say --anew",
                )
            keystore.require_encrypted(keys_at, f"{held.profile} ({held.chain_id})")
            consent.agree(f"deploy on chain {held.chain_id} ({held.profile}), with real funds?", args.yes, screen)
        held = trio.run(_deploy, args, site, screen)
    elif not args.dry_run:
        trio.run(_check, args, site)
        screen.say("done    everything stands already")
    for name, entry in held.contracts.items():
        screen.say(f"{name:<12}{entry.address}  {entry.state}")
    if held.complete():
        shown = Rpc(args.chain_url).url  # without what may be a customer's key
        screen.say(f"verify  p2pfd contracts verify --deployments {site.path} --chain-url {shown}")
    told = {"account": mine, "live": site.profile.live, "dry_run": args.dry_run, "estimate": _costs(cost)}
    screen.result(as_json(held, site.path) | told)
    return exits.OK.code


def as_json(held: Deployments, path: Path) -> dict[str, object]:
    """What a deployments file says, for scripts; ``chain`` is what a task file takes."""
    out: dict[str, object] = {
        "chain_id": held.chain_id,
        "profile": held.profile,
        "deployments": str(path),
        "complete": held.complete(),
        "contracts": [
            {
                "contract": name,
                "address": entry.address,
                "state": entry.state,
                "tx": entry.tx,
                "block": entry.block,
                "gas": entry.gas,
                "price": entry.price,
            }
            for name, entry in held.contracts.items()
        ],
    }
    token, market = held.contracts.get("Token"), held.contracts.get("LabelMarket")
    if token is not None and market is not None and {token.state, market.state} <= {"given", "done"}:
        out["chain"] = {
            "profile": held.profile,
            "chain_id": held.chain_id,
            "token": token.address,
            "market": market.address,
        }
    return out


async def _prepare(args: argparse.Namespace, mine: Account) -> Site:
    rpc = Rpc(args.chain_url)
    try:
        chain_id = answers.height(await rpc.call("eth_chainId"), "a chain's id")
        path = args.deployments or FOLDER / f"{chain_id}.json"
        profile = await _profile(args, rpc, chain_id)
        wanted = {name: value for name in deployments.settings() if (value := getattr(args, name)) is not None}
        recipes = deployments.chosen(args.also, deployments.load(path))
        held = await deployment_plan.begin(rpc, path, profile.name, wanted, args.token, recipes)
        if args.token is not None:
            told = await deployment_plan.check_token(rpc, args.token, mine)
            if told["decimals"] != DECIMALS:
                raise PlanError(
                    f"the token counts in {told['decimals']} decimals, and p2pfd in {DECIMALS}",
                    f"take a token with {DECIMALS} decimals",
                )
        cost = await deployment_plan.estimate(rpc, mine, held, _manner(args, profile), recipes)
        return Site(
            profile, held, recipes, cost, path, await deployment_plan.strays(rpc, mine, held) if cost.gas else {}
        )
    finally:
        await rpc.aclose()


async def _deploy(args: argparse.Namespace, site: Site, screen: Screen) -> Deployments:
    def tell(name: str, word: str, entry: Entry) -> None:
        more = {"sent": f" · {entry.attempts[-1].tx}" if entry.attempts else "", "done": f" · block {entry.block}"}
        screen.say(f"{word:<8}{name} at {entry.address}{more.get(word, '')}")

    key = keystore.open_keys(args.home.absolute() / "keys", passphrase.current(args.passphrase_file).get).account
    rpc = Rpc(args.chain_url, patience=site.profile.patience)
    try:
        with deployments.alone(site.path):
            now = deployments.load(site.path)
            if now is not None and any(site.held.contracts.get(name) != entry for name, entry in now.contracts.items()):
                raise PlanError(f"{site.path} has changed meanwhile", "run it again")
            return await rollout.roll_out(
                rpc, key, site.held, site.path, _manner(args, site.profile), tell, site.recipes
            )
    finally:
        await rpc.aclose()


async def _check(args: argparse.Namespace, site: Site) -> None:
    """Nothing is left to do: that it stands is looked at, and no key is needed."""
    rpc = Rpc(args.chain_url, patience=site.profile.patience)
    try:
        await rollout.check(rpc, site.held, site.path)
    finally:
        await rpc.aclose()


async def _profile(args: argparse.Namespace, rpc: Rpc, chain_id: int) -> Profile:
    """The profile that was named, or the one that has this chain, or the one that such a server is."""
    by_id = profile_files.with_id(chain_id)
    (told,) = await rpc.several([("web3_clientVersion", [])])
    client = str(told).split("/")[0].lower()
    name = args.profile or (by_id.name if by_id else _CLIENTS.get(client))
    profile = None if name is None else profile_files.find(name)
    if profile is None or (chain_id not in LOCAL_IDS and by_id is None):
        raise PlanError(
            f"this release has no profile for chain {chain_id}, whose server calls itself {client[:40]!r}",
            f"it settles on {', '.join(profile_files.names())}; local chains have the id "
            f"{' or '.join(map(str, LOCAL_IDS))}; another one is described by a file in {profile_files.folder()}",
        )
    check_id(profile, chain_id)
    return profile


def _manner(args: argparse.Namespace, profile: Profile) -> Manner:
    habits = profile.habits
    return Manner(
        habits.fees if args.max_gwei is None else dataclasses.replace(habits.fees, most=args.max_gwei * GWEI),
        confirmations=habits.finality if args.confirmations is None else args.confirmations,
        look_seconds=habits.look_seconds,
        resend_seconds=habits.resend_seconds,
        patience_seconds=args.timeout,
    )


def _tell_cost(site: Site, mine: Account, screen: Screen) -> None:
    held, cost = site.held, site.cost
    screen.say(f"chain   {held.chain_id} · {held.profile} · file {site.path}")
    screen.say(f"account {mine} · {consent.coins(cost.funds, held.chain_id)}")
    for name, value in held.settings.items():
        known = deployments.settings().get(name)
        shown = tokens(value) if known is not None and known.unit == "tokens" else f"{value:,}"
        screen.say(f"setting {name.replace('_', ' ')} {shown}")
    for name, gas in cost.gas.items():
        screen.say(f"deploy  {name} · {gas:,} gas")
    if cost.gas:
        screen.say(
            f"cost    about {consent.coins(cost.about, held.chain_id)} at {consent.gwei(cost.price)}, "
            f"at most {consent.coins(cost.most, held.chain_id)}"
        )


def _costs(cost: Cost) -> dict[str, object]:
    return {
        "gas": cost.gas,
        "price_wei": cost.price,
        "about_wei": cost.about,
        "most_wei": cost.most,
        "funds_wei": cost.funds,
    }


def _token(text: str) -> Account:
    try:
        return account(text)
    except DecodeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def options(parser: Parser) -> None:
    """The options of `deploy`; an option for every setting that some contract takes."""
    parser.add_argument("--deployments", type=Path, metavar="FILE", help=f"the chain's file ({FOLDER}/CHAIN_ID.json)")
    parser.add_argument("--token", type=_token, metavar="0x...", help="deploy: an ERC-20 with permit that is there")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        type=one_of(*(recipe.contract for recipe in RECIPES if not recipe.always)),
        metavar="NAME",
        help=f"deploy: {', '.join(recipe.contract for recipe in RECIPES if not recipe.always)}; several times",
    )
    for name, setting in deployments.settings().items():
        in_tokens = setting.unit == "tokens"
        shown = tokens(setting.default).removesuffix(".000000") if in_tokens else f"{setting.default:,}"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=units if in_tokens else number(0, 2**63),
            metavar=setting.unit.upper(),
            help=f"deploy: {setting.what} ({shown})",
        )
    parser.add_argument(
        "--profile", type=one_of(*profile_files.names()), metavar="NAME", help="deploy: the chain's profile (found out)"
    )
    parser.add_argument(
        "--confirmations", type=number(0, 1000), metavar="N", help="deploy: blocks on top (the profile's)"
    )
    parser.add_argument(
        "--max-gwei",
        type=number(1, 10**6),
        metavar="N",
        help="deploy: the most to pay for a unit of gas (the profile's)",
    )
    parser.add_argument(
        "--timeout",
        type=seconds(1, 86_400),
        default=300.0,
        metavar="SECONDS",
        help="deploy: how long to wait for one contract (300)",
    )
    passphrase.options(parser)
    parser.add_argument("--anew", action="store_true", help="deploy: once more, beside what the file does not list")
    parser.add_argument("--dry-run", action="store_true", help="deploy: show the cost and stop")
    parser.add_argument("--yes", action="store_true", help="deploy: spend real funds without asking")

"""`p2pfd join INVITATION`: what taking part would mean, said and asked before a key signs anything."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import trio

from p2pfd.cli import boards, consent, passphrase
from p2pfd.cli.invite import invitation
from p2pfd.cli.money import tokens
from p2pfd.cli.screen import Screen
from p2pfd.cli.task import say_cost, say_state
from p2pfd.core.canonical import digest_of
from p2pfd.core.ids import Account
from p2pfd.core.manifest import Manifest
from p2pfd.core.spec import TaskSpec
from p2pfd.errors import ChainError, PlanError, UsageError
from p2pfd.network.settings import NetworkSettings
from p2pfd.node import keys, keystore
from p2pfd.node.invitation import Outlook, find_chain, look
from p2pfd.settlement import profile_files
from p2pfd.settlement.profiles import profile_of

_ID = re.compile(r"[0-9a-f]{8,64}(@0x[0-9a-f]{0,40})?")


def chain_named(args: argparse.Namespace) -> str:
    """The public chain that ``--network NAME`` names, taken out of the network's settings; empty where none is."""
    known = profile_files.names()
    names = [text for text in args.network if text in known]
    args.network = [text for text in args.network if text not in known]
    if len(names) > 1:
        raise UsageError(f"--network names {len(names)} chains", "a task settles on one")
    return names[0] if names else ""


def invited(args: argparse.Namespace, network: NetworkSettings, screen: Screen) -> tuple[str, Manifest]:
    """The invitation that `p2pfd join` was given, or that hangs on a notice board under the task's id."""
    wanted: str = args.invitation
    by_id = _ID.fullmatch(wanted.lower()) is not None and not Path(wanted).is_file()
    if not by_id:
        if args.at:
            raise UsageError(f"{wanted[:80]!r} is not a task's id", "with --at write 8 to 64 hex digits of it")
        return invitation(wanted)
    plain = NetworkSettings(network_key=network.network_key)
    found = boards.fetched(wanted, args.at, plain)
    if len(found) == 1:
        return found[0]
    return _of_the_one_who_opened_it(found, args.chain_url, screen)


def _of_the_one_who_opened_it(found: list[tuple[str, Manifest]], given: str, screen: Screen) -> tuple[str, Manifest]:
    """Of several that were signed to one task, the invitation of whom its chain names."""
    if found[0][1].task.chain.profile != "none":
        reader = keys.fresh().account.account
        for text, manifest in found:
            try:
                trio.run(look, manifest, chain_url(manifest, "", given, screen), reader)
            except ChainError as error:
                screen.say(f"note    not by {manifest.requester}: {error.what}")
            else:
                return text, manifest
    raise UsageError(
        f"{len(found)} accounts have signed invitations to this task: "
        + ", ".join(manifest.requester for _, manifest in found),
        "say whose you mean: p2pfd join ID@0x...",
    )


def chain_url(manifest: Manifest, named: str, given: str, screen: Screen) -> str:
    """Where the invitation's chain answers: as the user says, else in public, else as the invitation says.

    Where nothing is at stake the invitation is asked first: its endpoint is the one that is up. Where funds are real it
    is asked last, for whoever wrote it could have written the answers, too.
    """
    spec = manifest.task.chain
    if named and spec.profile != named:
        raise PlanError(f"the task settles on {spec.profile}, and --network says {named}", "leave that out")
    if spec.profile == "none":
        return ""
    known = profile_of(spec)
    public = (*known.rpc, *manifest.rpc) if known.live else (*manifest.rpc, *known.rpc)
    url = trio.run(find_chain, spec, (given,) if given else public)
    screen.say(f"chain   answers at {url}")
    if known.live and not given and url not in known.rpc:
        screen.say(
            "note    only the requester knows this endpoint: it could show a task that is not there; "
            "--chain-url URL names your own"
        )
    return url


def shard_by_lot(task: TaskSpec, who: Account, screen: Screen) -> int:
    """Which part of a divided set a stranger has; where everybody has files of their own, it is of no matter."""
    shard = int.from_bytes(digest_of("shard", [task.id, who])[:8], "big") % task.seats
    if task.data.partition != "files":
        screen.say(
            f"data    part {shard} of {task.seats} of {task.data.name}, by lot; --shard I/{task.seats} takes another"
        )
    return shard


def new_keys(task: TaskSpec, home: Path, passphrase_file: Path | None, screen: Screen) -> None:
    """Make keys where there are none: encrypted ones, unless the chain is one to throw away."""
    at = home / "keys"
    if keystore.exists(at):
        return
    if task.chain.profile == "none" or not profile_of(task.chain).live:
        keys.save(keys.fresh(), at)
        return
    path = keystore.create(keys.fresh(), at, passphrase.current(passphrase_file).choose())
    screen.say(f"made    {path}; copy it to a safe place, and keep the passphrase somewhere else")


def agree(manifest: Manifest, url: str, home: Path, now: int, screen: Screen) -> Outlook | None:
    """Show what it means, check what is there, and ask where funds are real; None where nothing settles."""
    task = manifest.task
    screen.say(f"task    {task.name} · {task.rounds} rounds · {task.seats} seats · {task.adapter} on {task.data.name}")
    screen.say(f"asked   by {manifest.requester}" + (f": {manifest.note}" if manifest.note else ""))
    if manifest.until and now > manifest.until:
        day = time.strftime("%Y-%m-%d", time.gmtime(manifest.until))
        raise PlanError(f"the invitation was good until {day}", "ask the requester for a new one")
    if not url:
        screen.say("pay     none: the task settles on no chain")
        return None
    who = keystore.identity(home / "keys").account
    outlook = trio.run(look, manifest, url, who)
    say_state(outlook, manifest, screen)
    screen.say(f"account {who}")
    say_cost(outlook, screen)
    return outlook


def may_begin(manifest: Manifest, outlook: Outlook, args: argparse.Namespace, screen: Screen) -> None:
    """Whether a seat can still be had, is paid for, and is wanted; else the reason, and what to do."""
    state, chain = outlook.state, manifest.task.chain
    if state is not None and (state.over or not state.gathering):
        raise PlanError("the task is over" if state.over else "the task has begun", "ask for another one")
    if state is not None and state.taken >= manifest.task.seats:
        raise PlanError("all seats are taken", "ask the requester for another task")
    if outlook.missing_coins:
        faucet = profile_of(chain).faucet
        fix = f"get some for {outlook.account}: {faucet}" if faucet else f"send some to {outlook.account}"
        raise ChainError(f"{consent.coins(outlook.missing_coins, chain.chain_id)} are missing for gas", fix)
    if outlook.missing_tokens:
        raise ChainError(
            f"{tokens(outlook.missing_tokens)} tokens are missing (of {chain.token})",
            f"ask {manifest.requester} to send them to {outlook.account}",
        )
    if outlook.caps.live and not args.dry_run:
        consent.agree(f"take part on chain {chain.chain_id} ({chain.profile}), with real funds?", args.yes, screen)

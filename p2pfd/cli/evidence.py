"""`p2pfd verify` and `p2pfd explain`: recompute payments from what the chain itself shows, and say why they are so."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict, dataclass

import trio

from p2pfd.cli import encounters, exits, where
from p2pfd.cli.app import Command
from p2pfd.cli.money import contract_option, tokens
from p2pfd.cli.parse import Parser
from p2pfd.cli.screen import Screen
from p2pfd.core.claims import (
    BondForfeited,
    LabelsRevealed,
    MarketTerms,
    RevealsClosed,
    RoundSettled,
    WorkerPaid,
)
from p2pfd.core.ids import Account, account
from p2pfd.core.labels import unpack
from p2pfd.core.modes import ModeEvent
from p2pfd.core.terms import terms_of
from p2pfd.errors import DecodeError, NotRunningError, PlanError
from p2pfd.incentives.audit import audit
from p2pfd.incentives.ptsc import SCALE
from p2pfd.incentives.why import Why, why
from p2pfd.node import keys
from p2pfd.settlement import answers
from p2pfd.settlement.encounter_history import Entry
from p2pfd.settlement.kinds import ENCOUNTERS, Contract
from p2pfd.settlement.profiles import Chain
from p2pfd.settlement.watch import Watcher

_TX = re.compile(r"0x[0-9a-fA-F]{64}")
_ROUND = re.compile(r"\d{1,6}")
_ANY_NIBBLE = 16


@dataclass(frozen=True, slots=True)
class History:
    """A task as its chain tells it: the terms, and every event with its block."""

    terms: MarketTerms
    events: tuple[tuple[int, ModeEvent], ...]


async def _read(place: where.Place, chain: Chain) -> History:
    spec = place.task
    if chain.market.kind is ENCOUNTERS:
        raise PlanError(f"{chain.market.address} holds encounters, which have no rounds", "p2pfd explain TRANSACTION")
    head = answers.height(await chain.rpc.call("eth_blockNumber"))
    watcher = Watcher(chain.rpc, chain.market, finality=0, interval=1.0)
    seen = await watcher.history(0, head, chain.market, spec.id)
    if not seen:
        raise NotRunningError(
            f"the chain knows nothing of the task {spec.name} ({spec.id.hex()[:12]})", "is it the right chain and task?"
        )

    terms = await chain.settlement(keys.fresh().account).terms(spec.id)
    assert terms is not None, "a task with events has terms"
    return History(terms, tuple((cursor.block, event) for cursor, event in seen))  # type: ignore[misc]


def _verify(args: argparse.Namespace, screen: Screen) -> int:
    place = where.find(args)

    async def main() -> History | tuple[Contract, tuple[Entry, ...]]:
        async with where.opened(place) as chain:
            contract = chain.market if args.contract is None else await chain.find(args.contract)
            if contract.kind is ENCOUNTERS:
                return contract, await encounters.read(chain, contract)
            if contract != chain.market:
                raise PlanError(f"{contract.address} is a market of other tasks", "name a task of it: --task FILE")
            return await _read(place, chain)

    history = trio.run(main)
    if not isinstance(history, History):
        return encounters.verify(screen, *history)
    found = audit(history.terms, (event for _, event in history.events))
    problems = [*_differences(terms_of(place.task), history.terms), *found.problems]
    screen.say(f"task    {place.task.name} · {place.task.id.hex()}")
    screen.say(f"rounds  {found.rounds} settled · {found.payments} payments recomputed from the labels on the chain")
    if found.claimed:
        screen.say(f"        {found.claimed} payments as claimed and not contradicted, or as the chain computed them")
    for problem in problems:
        screen.say(f"wrong   {problem}")
    if not problems:
        screen.say(f"paid    {tokens(sum(found.earned.values()))} in all, equal to the last unit")
    screen.result(
        {
            "task": place.task.id.hex(),
            "rounds": found.rounds,
            "payments": found.payments,
            "claimed": found.claimed,
            "paid": sum(found.earned.values()),
            "earned": found.earned,
            "problems": problems,
        }
    )
    return exits.ASSERTION.code if problems else exits.OK.code


def _differences(file: MarketTerms, chain: MarketTerms) -> list[str]:
    """Where the chain holds the task to other terms than its file."""
    told, held = asdict(file), asdict(chain)
    return [
        f"{name} is {told[name]} in the task, {held[name]} on the chain" for name in told if told[name] != held[name]
    ]


# -- explain -----------------------------------------------------------------------------------------------------------


def _explain(args: argparse.Namespace, screen: Screen) -> int:
    place = where.find(args)

    async def main() -> tuple[History | tuple[Entry, ...], int, dict[str, object]]:
        async with where.opened(place) as chain:
            if not args.receipt.startswith("0x"):
                return await _read(place, chain), int(args.receipt), {}
            receipt = await chain.rpc.call("eth_getTransactionReceipt", args.receipt.lower())
            if receipt is None:
                raise PlanError(
                    f"the chain knows no transaction {args.receipt}", "is it the right chain? p2pfd explain 0 works too"
                )
            told = answers.record(receipt, "a receipt")
            facts = {
                "receipt": args.receipt.lower(),
                "block": answers.height(told.get("blockNumber")),
                "gas": answers.height(told.get("gasUsed"), "the gas used"),
                "ok": answers.number(told.get("status"), "a receipt's status") == 1,
                "from": answers.address(told.get("from"), "a sender"),
            }
            to = told.get("to")
            contract = None if to is None else await chain.known(answers.address(to, "a target"))
            if contract is not None and contract.kind is ENCOUNTERS:
                return await encounters.read(chain, contract), -1, facts
            return await _read(place, chain), -1, facts

    history, rnd, facts = trio.run(main)
    if facts:
        fate = "went through" if facts["ok"] else "was refused, and moved nothing"
        screen.say(f"receipt {facts['receipt']}")
        screen.say(f"        from {facts['from']} in block {facts['block']} · {facts['gas']:,} gas · {fate}")
    if not isinstance(history, History):
        return encounters.explain(screen, facts, history)
    if facts:
        settled = _settled_in(history, int(str(facts["block"])))
        told = [event for block, event in history.events if block == facts["block"]]
        for event in told:
            screen.say(f"        {_words(event)}")
        if settled is None:
            if not told and facts["ok"]:
                screen.say("        it concerns no round of this task: a deposit, a transfer, or another task's")
            screen.result({**facts, "payments": []})
            return exits.OK.code
        rnd = settled
    if history.terms.mode != "onchain":
        return _explain_sums(screen, history, rnd, facts)
    payments = _payments(history, rnd, args.account)
    for paid, reasons in payments:
        _tell(screen, history.terms, paid, reasons)
    screen.result(
        {
            **facts,
            "task": place.task.id.hex(),
            "round": rnd,
            "payments": [
                {"account": paid.worker, "score": paid.score, "paid": paid.amount, "why": asdict(reasons)}
                for paid, reasons in payments
            ],
        }
    )
    wrong = [paid for paid, reasons in payments if (paid.score, paid.amount) != (reasons.score, reasons.amount)]
    return exits.ASSERTION.code if wrong else exits.OK.code


def _explain_sums(screen: Screen, history: History, rnd: int, facts: dict[str, object]) -> int:
    """A round of another mode: what it paid; its sums need labels that its events do not have."""
    paid = [event for _, event in history.events if isinstance(event, WorkerPaid) and event.round == rnd]
    if not facts:
        for event in paid:
            screen.say(f"{_words(event)} for a score of {event.score / SCALE:.6f} over the words that were drawn")
        if not paid:
            raise PlanError(
                f"why round {rnd} of an {history.terms.mode} market paid what it did is not on the chain",
                "p2pfd verify says whether it paid what was claimed",
            )
    payments = [{"account": event.worker, "score": event.score, "paid": event.amount} for event in paid]
    screen.result({**facts, "round": rnd, "payments": payments})
    return exits.OK.code


def _settled_in(history: History, block: int) -> int | None:
    """The round that this block settled and paid."""
    for at, event in history.events:
        if at == block and isinstance(event, RoundSettled) and event.counted:
            return event.round
    return None


def _payments(history: History, rnd: int, who: Account | None) -> list[tuple[WorkerPaid, Why]]:
    events = [event for _, event in history.events if getattr(event, "round", None) == rnd]
    paid = [event for event in events if isinstance(event, WorkerPaid)]
    counted = next((event.counted for event in events if isinstance(event, RevealsClosed)), ())
    if not paid:
        raise PlanError(f"nobody was paid in round {rnd}", f"the task has rounds 0 to {history.terms.rounds - 1}")
    shown = {event.worker: event.labels for event in events if isinstance(event, LabelsRevealed)}
    try:
        labels = [unpack(shown[worker], history.terms.samples, _ANY_NIBBLE) for worker in counted]
    except (KeyError, DecodeError) as error:
        raise PlanError(f"round {rnd} cannot be recomputed: {error}", "p2pfd verify names what is wrong") from error
    wanted = [event for event in paid if who is None or event.worker == who]
    if not wanted:
        raise PlanError(f"{who} was not paid in round {rnd}", "it did not count: p2pfd explain ROUND lists who did")
    terms = history.terms
    return [(event, why(labels, terms.classes, terms.pot, terms.rate, counted.index(event.worker))) for event in wanted]


def _tell(screen: Screen, terms: MarketTerms, paid: WorkerPaid, reasons: Why) -> None:
    screen.say(f"\n{paid.worker}  earned {tokens(paid.amount)} in round {paid.round}")
    rows = [
        (
            str(part.label),
            str(part.said),
            str(part.agreements),
            f"{part.worth / SCALE:.3f}",
            f"{part.agreements * part.worth / SCALE / reasons.peers - part.said:+.2f}",
        )
        for part in reasons.parts
    ]
    screen.table(("label", "said", "peers who agreed", "worth of one", "brings"), rows)
    screen.say(
        f"  score {reasons.score / SCALE:.6f} over {reasons.samples} samples and {reasons.peers} peers:"
        " agreements × worth ÷ peers, less one for each sample"
    )
    screen.say(f"  mean {reasons.mean / SCALE:.6f} a sample × {tokens(terms.rate)} = {tokens(reasons.due)} due")
    if reasons.all_due > terms.pot:
        screen.say(
            f"  all are due {tokens(reasons.all_due)}, the pot holds {tokens(terms.pot)}:"
            f" paid in proportion, {tokens(reasons.amount)}"
        )
    if (paid.score, paid.amount) != (reasons.score, reasons.amount):
        screen.say(f"  WRONG: the chain says {tokens(paid.amount)} for a score of {paid.score / SCALE:.6f}")


def _words(event: ModeEvent) -> str:
    match event:
        case WorkerPaid(worker=who, round=rnd, amount=amount):
            return f"round {rnd}: {who} earned {tokens(amount)}"
        case BondForfeited(worker=who, round=rnd, amount=amount):
            return f"round {rnd}: {who} committed and did not reveal: {tokens(amount)} of its bond went to who did"
        case RoundSettled(round=rnd, counted=True, paid=amount, refunded=rest):
            return f"round {rnd} settled: {tokens(amount)} paid, {tokens(rest)} back to the requester"
        case RoundSettled(round=rnd, refunded=rest):
            return f"round {rnd} does not count: too few revealed; {tokens(rest)} back to the requester"
        case _:
            return _plain(event)


def _plain(event: ModeEvent) -> str:
    name = re.sub(r"(?<!^)(?=[A-Z])", " ", type(event).__name__).lower()
    who = getattr(event, "worker", None) or getattr(event, "requester", None)
    rnd = getattr(event, "round", None)
    return " · ".join(part for part in (name, f"round {rnd}" if rnd is not None else "", who or "") if part)


# -- the commands ------------------------------------------------------------------------------------------------------


def _receipt(text: str) -> str:
    if not _TX.fullmatch(text) and not _ROUND.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is neither a transaction (0x and 64 hex digits) nor a round")
    return text


def _who(text: str) -> Account:
    try:
        return account(text)
    except DecodeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _explain_options(parser: Parser) -> None:
    parser.add_argument("receipt", type=_receipt, help="a transaction's hash, or a round's number")
    parser.add_argument("--account", type=_who, metavar="0x...", help="this account's payment only")
    where.options(parser)


def _verify_options(parser: Parser) -> None:
    where.options(parser)
    contract_option(parser)


VERIFY = Command(
    "verify",
    "recompute every payment of a task from what its chain shows",
    "p2pfd verify --home .localnet/default",
    _verify_options,
    _verify,
)
EXPLAIN = Command(
    "explain",
    "say why a payment is what it is, in words and numbers",
    "p2pfd explain 0 --home .localnet/default",
    _explain_options,
    _explain,
)

"""What `p2pfd verify` and `p2pfd explain` say of encounters: who was paid what, recomputed, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from p2pfd.cli import exits
from p2pfd.cli.money import tokens
from p2pfd.cli.screen import Screen
from p2pfd.core import encounter_events as told
from p2pfd.core.encounter_claims import RULES, EncounterTerms
from p2pfd.incentives.encounter_audit import End
from p2pfd.incentives.payouts import WHOLE
from p2pfd.incentives.ptsc import SCALE
from p2pfd.node import keys
from p2pfd.settlement import answers
from p2pfd.settlement.encounter_history import Entry, history
from p2pfd.settlement.kinds import Contract
from p2pfd.settlement.profiles import Chain

_M40, _M8 = (1 << 40) - 1, (1 << 8) - 1


async def read(chain: Chain, contract: Contract) -> tuple[Entry, ...]:
    """The whole history of a contract of encounters."""
    desk = chain.encounters(keys.fresh().account, contract)  # looking takes no key of anybody's
    until = answers.height(await chain.rpc.call("eth_blockNumber"))
    return await history(chain.rpc, contract, desk.papers, (await desk.rules()).bond, until)


def verify(screen: Screen, contract: Contract, entries: Sequence[Entry]) -> int:
    """Say whether every encounter of a contract paid what the rules say."""
    ended = [entry for entry in entries if isinstance(entry.event, (told.Settled, told.Defaulted, told.Voided))]
    votes = [entry for entry in ended if isinstance(entry.event, told.Settled)]
    problems = [f"{_name(entry.event)}: {entry.problem}" for entry in ended if entry.problem]
    paid = sum(max(0, judge.change) for entry in votes if entry.end for judge in entry.end.judges)
    screen.say(f"contract {contract.address} · encounters")
    screen.say(f"ended    {len(votes)} by votes, {len(ended) - len(votes)} without, recomputed from terms and votes")
    for problem in problems:
        screen.say(f"wrong    {problem}")
    if not problems:
        screen.say(f"paid     {tokens(paid)} to validators, all equal to the last unit")
    if ended:
        screen.say(f"why      p2pfd explain 0x{ended[-1].tx.hex()} says of the last one who was paid what for")
    screen.result(
        {
            "contract": contract.address,
            "settled": len(votes),
            "ended": len(ended),
            "paid_to_validators": paid,
            "problems": problems,
            "encounters": [{"transaction": "0x" + entry.tx.hex(), **_plain(entry)} for entry in ended],
        }
    )
    return exits.ASSERTION.code if problems else exits.OK.code


def explain(screen: Screen, facts: dict[str, object], entries: Sequence[Entry]) -> int:
    """Say what one transaction did to encounters, and why who was credited what."""
    here = [entry for entry in entries if "0x" + entry.tx.hex() == facts["receipt"]]
    for entry in here:
        screen.say(f"        {_words(entry)}")
        if entry.terms is not None:
            _tell_terms(screen, entry.terms)
        if entry.end is not None:
            _tell_end(screen, entry.end)
        if entry.problem:
            screen.say(f"  WRONG: {entry.problem}")
    if not here and facts["ok"]:
        screen.say("        it concerns no encounter and no seat: tokens moved, or were put into a seat or out of it")
    screen.result({**facts, "events": [_plain(entry) for entry in here]})
    return exits.ASSERTION.code if any(entry.problem for entry in here) else exits.OK.code


def _tell_terms(screen: Screen, terms: EncounterTerms) -> None:
    screen.say(f"  learner {terms.learner} · neighbor {terms.neighbor}")
    share = terms.prepayment * terms.share // WHOLE
    screen.say(
        f"  each put {tokens(terms.prepayment)} aside; of that {tokens(share)} is for help that is found good, and"
        f" {tokens(terms.prepayment - share)} for {terms.size} validators · rule {RULES[terms.rule]}"
    )


def _tell_end(screen: Screen, end: End) -> None:
    serum = RULES[end.terms.rule] == "serum"
    rows = []
    for judge in end.judges:
        counted = judge.vote is not None
        rows.append(
            (
                str(judge.seat),
                judge.holder or "given up since",
                {True: "valid", False: "invalid", None: "none"}[judge.vote],
                f"{judge.before[0]}:{judge.before[1]}",
                str(judge.matches) if counted else "",
                f"{judge.worth / SCALE:.3f}" if serum and counted else "",
                f"{judge.score / SCALE:+.3f}" if serum and counted else "",
                f"{'+' if judge.change >= 0 else '-'}{tokens(abs(judge.change))}",
            )
        )
    heads = ("seat", "validator", "vote", "before", "agree", "worth of one", "score", "gets")
    screen.table(heads, rows)
    if serum:
        screen.say(
            "  score: validators who agree × worth ÷ the others who voted, less one;"
            " worth: how rare such a vote was among the others before"
        )
    verdict = {"valid": "the help was good", "invalid": "it was not", "none": "no majority: both have theirs back"}
    earned = end.neighbor - end.terms.prepayment
    moved = f"{tokens(abs(earned))} {'more' if earned >= 0 else 'less'} than it put aside"
    screen.say(f"  verdict: {verdict[end.verdict]}")
    screen.say(f"  neighbor {tokens(end.neighbor)}: {moved}")
    screen.say(f"  learner  {tokens(end.learner)}: what is left of both parts once neighbor and validators have theirs")


def _name(event: Any) -> str:
    return f"encounter {event.key & _M40} in lane {event.key >> 40 & _M8} of 0x{event.key >> 96:040x}"


def _words(entry: Entry) -> str:
    event = entry.event
    match event:
        case told.SeatTaken(seat, holder):
            return f"seat {seat} taken by {holder}"
        case told.SeatLeft(seat) | told.SeatBack(seat) | told.SeatVacated(seat):
            return f"{_kind(event)} · seat {seat}"
        case told.Settled():
            return f"{_name(event)} settled by its votes"
        case told.Defaulted(_, damages):
            return f"{_name(event)} over, nothing delivered: {tokens(damages)} of the neighbor's went to the learner"
        case told.Voided():
            return f"{_name(event)} void: too few validators could be drawn, and both have theirs back"
        case _:
            return f"{_name(event)} {_kind(event)}"


def _kind(event: object) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(event).__name__).lower()


def _plain(entry: Entry) -> dict[str, object]:
    out: dict[str, object] = {"event": _kind(entry.event)}
    if hasattr(entry.event, "key"):
        key = entry.event.key
        out |= {"learner": f"0x{key >> 96:040x}", "lane": key >> 40 & _M8, "nonce": key & _M40}
    else:
        out["seat"] = entry.event.seat
    if entry.terms is not None:
        out |= {
            "neighbor": entry.terms.neighbor,
            "prepayment": entry.terms.prepayment,
            "share": entry.terms.share,
            "rule": RULES[entry.terms.rule],
        }
    if entry.end is not None:
        out |= {
            "verdict": entry.end.verdict,
            "to_learner": entry.end.told_learner,
            "to_neighbor": entry.end.told_neighbor,
            "by_the_rules": [entry.end.learner, entry.end.neighbor],
            "judges": [asdict(judge) for judge in entry.end.judges],
        }
    return out | ({"problem": entry.problem} if entry.problem else {})

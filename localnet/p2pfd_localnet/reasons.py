"""Who was paid what, and why, as the report shows it: the sums that the live page opens, folded away in each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from p2pfd.incentives.payouts import WHOLE
from p2pfd_localnet.encounters import end_plain, key_of
from p2pfd_localnet.markup import card, head, row, scroll, table
from p2pfd_localnet.summary import Summary
from p2pfd_localnet.words import tokens

_VOTES = {True: ("✓", "yes", "no worse"), False: ("✕", "no", "worse"), None: ("–", "", "no vote")}
_VERDICTS = {"valid": ("good", "✓ accepted"), "invalid": ("bad", "✕ refused"), "none": ("", "– no verdict")}


def signed(units: int) -> str:
    """An amount that came or went."""
    return f"{'+' if units > 0 else ''}{tokens(units)}"


def why(told: Mapping[str, Any], node: str) -> str:
    """Why a node was paid in the last round that is explained."""
    rounds = [int(key.partition(" ")[0]) for key in told["whys"] if key.partition(" ")[2] == node]
    if not rounds:
        return "–"
    rnd = max(rounds)
    found = told["whys"][f"{rnd} {node}"]
    rows = [
        row(str(label), str(said), str(agreed), f"{worth:.3f}", f"{agreed * worth / found['peers'] - said:+.2f}")
        for label, said, agreed, worth in found["parts"]
    ]
    sums = [
        f"score {found['score']:.6f}: agreements × worth ÷ {found['peers']} peers, less one for each sample",
        f"mean {found['mean']:.6f} a sample × {tokens(found['rate'])} = {tokens(found['due'])} due",
    ]
    if found["all_due"] > found["pot"]:
        sums.append(f"all are due {tokens(found['all_due'])}, the pot holds {tokens(found['pot'])}: in proportion")
    sums.append("as the labels on the chain say" if found["same"] else "NOT what the labels on the chain say")
    parts = "".join(f"<li>{escape(each)}</li>" for each in sums)
    heads = head("label", "said", "agreed", "worth", "brings")
    return (
        f'<details class="why"><summary>{tokens(found["paid"])} in round {rnd + 1}</summary>'
        f'{table(heads, rows)}<ol class="sums">{parts}</ol></details>'
    )


def encounters(summary: Summary, told: Mapping[str, Any]) -> Iterator[str]:
    """Each encounter with its votes, what it paid, and the sums."""
    if not summary.ends:
        return
    names = {node.account: node.name for node in summary.nodes}
    met: Mapping[str, Any] = told.get("met", {})
    ends = sorted(summary.ends, key=lambda end: met.get(key_of(end), {}).get("number", 0))
    rows = [_encounter(end_plain(end, names), met.get(key_of(end), {})) for end in ends]
    without = [
        f"{each['learner']} and {each['neighbor']}" for each in met.values() if each["state"] in ("voided", "defaulted")
    ]
    plan = summary.plan.encounters
    share = plan.prepayment * plan.share // WHOLE
    text = (
        f"Both put {tokens(plan.prepayment)} aside. Where most validators found the model no worse (✓), the neighbor "
        f"gets {tokens(share)} of the learner’s; where they found it worse (✕), the learner gets as much of the "
        f"neighbor’s. Validators share the rest by the rule {plan.rule}, by which a vote that the others do not share "
        "can cost; what they leave is the learner’s. All of it is recomputed from the chain: "
    )
    rest = f" Ended without votes: {', '.join(without)}." if without else ""
    heads = head("learner", "neighbor", "validators", "verdict", "neighbor gets", "learner gets", "why", numbers=(4, 5))
    body = (
        f'<p class="note">{escape(text)}<code>p2pfd verify</code> does it again, <code>p2pfd explain</code> shows the '
        f"sums.{escape(rest)}</p>{scroll('Encounters', heads, rows)}"
    )
    yield card("What each encounter paid, and why", body, kind="long")


def attack(summary: Summary) -> Iterator[str]:
    """Who misbehaved, and what it was worth to them."""
    if not summary.bad:
        return
    rows = [
        row(node.name, summary.bad[node.name], tokens(summary.payout(node)), numbers=(1,))
        for node in summary.nodes
        if node.name in summary.bad
    ]
    pay = ""
    if summary.plan.chain != "none":
        honest, bad = summary.mean_payout(bad=False), summary.mean_payout(bad=True)
        less = f", {tokens(round(honest - bad))} less" if honest > bad else ""
        pay = f"On average an honest node earned {tokens(round(honest))} tokens, a bad one {tokens(round(bad))}{less}. "
    text = f'<p class="note">{pay}The honest nodes knew nothing of it; accuracies include what the bad ones said.</p>'
    yield card("Who was bad", text + scroll("Who was bad", head("node", "behaviour", "tokens", numbers=(2,)), rows))


def _encounter(end: Mapping[str, Any], met: Mapping[str, Any]) -> str:
    found = {node: (before, after) for _, node, _, before, after in met.get("seats", ())}
    votes = "".join(_vote(judge, found.get(judge["node"])) for judge in end["judges"])
    look, verdict = _VERDICTS[end["verdict"]]
    return (
        f'<tr><th scope="row">{escape(end["learner"])}</th><td>{escape(end["neighbor"])}</td>'
        f'<td class="votes">{votes}</td><td class="{look}">{verdict}</td>'
        f'<td class="n">{signed(end["paid"][0])}</td><td class="n">{signed(end["paid"][1])}</td>'
        f"<td>{_sums(end)}</td></tr>"
    )


def _vote(judge: Mapping[str, Any], found: tuple[float, float] | None) -> str:
    mark, look, said = _VOTES[judge["vote"]]
    name = (judge["node"] or "?").removeprefix("node-")
    if found and None not in found:
        said += f": accuracy {100 * found[0]:.1f} %, then {100 * found[1]:.1f} %"
    return (
        f'<span class="vote {look}" title="{escape(said)}"><span aria-hidden="true">{mark}</span>'
        f'<span class="unseen">{escape(said)}:</span> {escape(name)} {signed(judge["change"])}</span>'
    )


def _sums(end: Mapping[str, Any]) -> str:
    rows = [
        row(
            judge["node"] or "given up since",
            _VOTES[judge["vote"]][2],
            f"{judge['before'][0]} : {judge['before'][1]}",
            *(("–",) * 3 if judge["vote"] is None else _score(judge)),
            signed(judge["change"]),
        )
        for judge in end["judges"]
    ]
    heads = head("validator", "vote", "before ✓ : ✕", "agreed", "worth", "score", "gets")
    right = "the chain credited just this" if end["right"] else "the chain credited SOMETHING ELSE"
    return (
        f'<details class="why"><summary>why</summary>{table(heads, rows)}<ol class="sums">'
        f"<li>score: others who agreed × worth ÷ others who voted, less one</li><li>{right}</li></ol></details>"
    )


def _score(judge: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(judge["matches"]), f"{judge['worth']:.3f}", f"{judge['score']:+.2f}"

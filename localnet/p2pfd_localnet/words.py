"""What `localnet up` tells people: the plan, the table of nodes, the rounds as they go, and the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from p2pfd.cli.screen import Screen, shorten, size
from p2pfd_localnet.cost import Cost
from p2pfd_localnet.plan import UNIT, Plan
from p2pfd_localnet.state import option
from p2pfd_localnet.summary import Summary
from p2pfd_localnet.view import GONE, Life, MeshView, NodeView, Phase

BAR = 20


def tokens(units: int) -> str:
    """An amount of money for people."""
    return f"{units / UNIT:,.2f}"


def percent(value: float | None) -> str:
    """A fraction for people."""
    return "–" if value is None else f"{100 * value:.1f} %"


def count(number: int, noun: str) -> str:
    """1 node, 2 nodes."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def length(seconds: float) -> str:
    """A length of time for people: 12 s, 3 min, 2.5 h."""
    for most, unit, what in ((100, 1, "s"), (6_000, 60, "min"), (200_000, 3_600, "h")):
        if seconds < most:
            return f"{seconds / unit:.0f} {what}"
    return f"{seconds / 86_400:.0f} days"


class Words:
    """The run for people. On a terminal the round in progress is redrawn; elsewhere each round is a line."""

    def __init__(self, screen: Screen, home: Path) -> None:
        self.screen = screen
        self.home = home
        self._told: set[int] = set()
        self._gone: set[str] = set()
        self._open = False

    def plan(self, plan: Plan, dry: Cost | None = None, machines: Sequence[Mapping[str, Any]] = ()) -> None:
        """What is about to happen; in full, with what it will take, where nothing is to be started."""
        chain = "no chain" if plan.chain == "none" else f"{plan.chain} chain"
        bad = len(plan.dishonest())
        parts = [
            count(plan.nodes, "node") + (f", {bad} of them bad" if bad else ""),
            f"{count(plan.encounters.own, 'encounter')} each" if plan.meets else count(plan.rounds, "round"),
            f"{plan.name} ({plan.adapter})",
            chain,
            f"seed {plan.seed}",
            f"state {self.home}",
        ]
        self._line("plan", " · ".join(parts))
        if plan.nodes == 1:
            self._line(
                "", "one node has nobody to learn from: it trains alone, and with nobody to compare it is not paid"
            )
        if dry is not None:
            data, phases, money = plan.data, plan.phases, plan.money
            kept = f"{data.public} public samples, {data.validation} validation, {data.test} test"
            self._line("data", f"{data.name}, {data.partition} · {kept}")
            if plan.meets:
                self._terms(plan)
            else:
                times = f"enrol {phases.enrol_seconds} s · commit {phases.commit_seconds} s"
                times += f" · reveal {phases.reveal_seconds} s"
                self._line("times", f"{times} at most; a phase ends at once when all have acted")
            if plan.chain != "none" and not plan.meets:
                pay = f"pot {tokens(money.pot)} a round · {tokens(money.rate)} for a score of one"
                risk = f"bond {tokens(money.bond)}, of which a missing reveal costs {tokens(money.forfeit)}"
                self._line("money", f"{pay} · {risk}")
            memory = f"{dry.memory_mb:,} MB of memory, {dry.disk_mb:,.0f} MB of disk"
            self._line("cost", f"about {length(dry.seconds)} on {count(dry.cores, 'free core')} · {memory} (estimates)")
            self._machines(machines)
            self._line("", "the plan can be carried out; nothing was started")

    def _machines(self, machines: Sequence[Mapping[str, Any]]) -> None:
        """Who is to run where, on a cluster."""
        rows = [
            (each["machine"], f"{each['cpus']:g}", str(len(each["nodes"])), _some(each["nodes"])) for each in machines
        ]
        if rows:
            self.screen.table(("MACHINE", "CPUS", "NODES", ""), rows)

    def _terms(self, plan: Plan) -> None:
        terms = plan.encounters
        times = f"open {terms.open_seconds} s · learn {terms.learn_seconds} s · vote {terms.vote_seconds} s, twice"
        self._line("times", f"{times}, at most; an encounter goes on at once when all have acted")
        share = f"{terms.share / 10_000:g} % to the neighbor, the rest to {count(terms.size, 'validator')}"
        self._line("money", f"prepayment {tokens(terms.prepayment)}: {share}, by the rule {terms.rule}")
        self._line("", f"stake {tokens(terms.stake)} · a validator's bond {tokens(terms.bond)}")

    def recalled(self, view: MeshView, ran: float, paused: int) -> None:
        """What was told before the mesh was stopped is not told again."""
        self._told |= set(range(view.opened - 1))
        if view.meetings.over:
            self._told |= set(range(view.meetings.over // self._step(view) + 1))
        still = f" · its time stood still for {length(paused)}" if paused else ""
        self._line("resume", f"in {view.how_far()}, after {length(ran)}{still}")

    def ready(self, view: MeshView, plan: Plan, seconds: float, watch: str = "", act: str = "") -> None:
        """The nodes, and what to do next; the link with which one can also act is for a terminal, and for no log."""
        self._line("ready", f"{seconds:.1f} s")
        self.screen.say()
        stake = "–" if plan.chain == "none" else tokens(plan.stake())
        bad = plan.dishonest()
        rows: list[tuple[str, ...]] = [
            (
                node.name,
                bad.get(node.name, "device" if plan.meets else "worker"),
                shorten(node.peer, 4, 4),
                _dialled(node),
                shorten(node.account, 6, 4),
                stake,
            )
            for node in view.nodes.values()
        ]
        names = ["NODE", "ROLE", "PEER", "ADDRESS", "ACCOUNT", "STAKE"]
        if any(node.machine for node in view.nodes.values()):
            names.append("MACHINE")
            rows = [(*row, node.machine) for row, node in zip(rows, view.nodes.values(), strict=True)]
        self.screen.table(names, rows)
        self.screen.say()
        where = option(self.home)
        first = next(iter(view.nodes))
        if watch:
            self._line("", f"watch   {watch}")
        if act and self.screen.words.isatty():
            self._line("", f"act     {act}")
        self._line("", f"status  localnet status{where}      logs  localnet logs -f {first}{where}")
        self.screen.say()

    def progress(self, view: MeshView) -> None:
        """How far the rounds are."""
        for node in view.gone():
            if node.name not in self._gone:
                self._gone.add(node.name)
                self._clear()
                self._line("lost", f"{node.name}: {node.error}" + (f" ({node.fix})" if node.fix else ""), "yellow")
        if view.meetings.opened:
            self._meetings(view)
        else:
            self._finished_rounds(view)
        if self.screen.fancy:
            self._clear()
            if not view.over() and view.opened:
                self.screen.words.write(self._now(view))
                self.screen.words.flush()
                self._open = True

    def _meetings(self, view: MeshView) -> None:
        """A line after each tenth of the encounters, and after the last."""
        met, wanted = view.meetings, view.rounds * len(view.nodes)
        step = self._step(view)
        if met.over // step in self._told or not met.over:
            return
        self._told.add(met.over // step)
        self._clear()
        parts = [f"{met.over}/{wanted} over", f"{len(met.accepted)} accepted", f"{len(met.refused)} refused"]
        if met.ended:
            parts.append(f"{len(met.ended)} without votes")
        last = [node.accuracy[max(node.accuracy)] for node in view.nodes.values() if node.accuracy]
        if last:
            parts.append(f"accuracy {percent(sum(last) / len(last))}")
        self._line("meet", "  ".join(parts))

    @staticmethod
    def _step(view: MeshView) -> int:
        return max(1, view.rounds * len(view.nodes) // 10)

    def end(self, summary: Summary) -> None:
        """The figures, and what to do next."""
        self._clear()
        self.screen.say()
        traffic = ""
        if summary.sent:
            traffic = f" · {size(summary.sent)} sent per node"
            traffic += f", of which labels {size(summary.labels)}" if summary.labels else ""
            traffic += f" (FedAvg's weights: {size(summary.fedavg)})" if summary.fedavg else ""
        accuracy = f"accuracy alone {percent(summary.alone)} → together {percent(summary.together)}"
        seconds = f"{summary.seconds:.{0 if summary.seconds >= 10 else 1}f}"
        self._line(
            "done",
            f"{self._done(summary)} in {seconds} s · {accuracy}{traffic}",
            "green",
        )
        if summary.plan.chain != "none":
            paid = sorted(summary.nodes, key=summary.payout, reverse=True)
            shown = [f"{node.name} {tokens(summary.payout(node))}" for node in paid]
            if len(shown) > 8:
                shown = [*shown[:4], "…", *shown[-3:]]
            self._line("", "paid    " + " · ".join(shown))
        if summary.audit is not None and summary.audit.problems:
            for problem in summary.audit.problems:
                self._line("wrong", problem, "red")
        elif summary.audit is not None and summary.audit.payments:
            checked = count(summary.audit.payments, "payment")
            what = "calls and votes" if summary.plan.meets else "labels"
            self._line("", f"audit   {checked} recomputed from the {what} on the chain, equal to the last unit")
        if summary.bad:
            self._line("", "bad     " + ", ".join(f"{name} {kind}" for name, kind in summary.bad.items()))
            if summary.plan.chain != "none":
                honest, bad = (tokens(round(summary.mean_payout(bad=side))) for side in (False, True))
                self._line("", f"        on average the honest earned {honest}, the bad {bad}")
        for machine in summary.machines_lost:
            count_of = sum(node.stranded and node.machine == machine for node in summary.nodes)
            self._line("lost", f"the machine {machine}, and with it {count(count_of, 'node')}", "red")
        if summary.lost:
            self._line("", "lost    " + ", ".join(node.name for node in summary.lost))
        self._line("", f"report  {summary.report}")
        where = option(self.home)
        self._line("", f"again   {summary.plan.command()} --fresh{where}      remove  localnet down{where}")

    @staticmethod
    def _done(summary: Summary) -> str:
        met = summary.meetings
        if not summary.plan.meets:
            return count(summary.rounds, "round")
        without = f", {len(met.ended)} without votes" if met.ended else ""
        return f"{count(met.over, 'encounter')} ({len(met.accepted)} accepted, {len(met.refused)} refused{without})"

    def returned(self, name: str) -> None:
        """A node that was lost is back, and may be lost again."""
        self._gone.discard(name)

    def interrupted(self) -> None:
        """The end was asked for twice."""
        self.screen.interrupted()

    def note(self, head: str, text: str, style: str = "bold") -> None:
        """A line in between."""
        self._clear()
        self._line(head, text, style)

    def _finished_rounds(self, view: MeshView) -> None:
        for rnd in sorted(set(view.settled) | view.short | {r for n in view.nodes.values() for r in n.accuracy}):
            whole = view.absorbed(rnd) >= len(view.living()) and (rnd in view.settled or view.over())
            if rnd in self._told or not (whole or rnd < view.opened - 2 or view.over()):
                continue
            self._told.add(rnd)
            self._clear()
            phase, result = view.phases.get(rnd), view.settled.get(rnd)
            parts = []
            if phase and phase.workers:
                parts.append(self._acts(view, rnd, phase, phase.workers))
            parts.append(f"accuracy {percent(view.accuracy(rnd))}")
            if result is not None:
                parts.append(f"paid {tokens(result.paid)}" if result.counted else "not counted: too few revealed")
            elif rnd in view.short:
                parts.append("too few revealed")
            self._line("round", f"{rnd + 1}/{view.rounds}".ljust(8) + "  ".join(parts))

    def _now(self, view: MeshView) -> str:
        rnd = view.opened - 1
        phase = view.phases[rnd]
        workers = phase.workers or len(view.nodes)
        steps = 2 if view.exchanges() else 3
        done = (phase.committed + phase.revealed + phase.offered + view.absorbed(rnd)) / (steps * workers)
        full = round(BAR * min((rnd + done) / view.rounds, 1))
        bar = "█" * full + "░" * (BAR - full)
        learned = [known for r in sorted(view.phases) if (known := view.accuracy(r)) is not None]
        accuracy = f"   mesh accuracy {percent(learned[-1])}" if learned else ""
        acts = self._acts(view, rnd, phase, workers)
        head = "round".ljust(8)
        text = self.screen.fit(f"{head}{rnd + 1}/{view.rounds}".ljust(16) + f"{bar}  {acts}{accuracy}")
        return self.screen.style(text[: len(head)], "bold") + text[len(head) :]

    @staticmethod
    def _acts(view: MeshView, rnd: int, phase: Phase, workers: int) -> str:
        if view.exchanges():
            return f"offered {phase.offered}/{workers}  merged {view.absorbed(rnd)}/{workers}"
        return f"commit {phase.committed}/{workers}  reveal {phase.revealed}/{workers}"

    def _clear(self) -> None:
        if self._open:
            self.screen.words.write("\r\x1b[K")
            self._open = False

    def _line(self, head: str, text: str, style: str = "bold") -> None:
        self.screen.say(self.screen.style(head.ljust(8), style) + text if head else " " * 8 + text)


def _some(names: Sequence[str], shown: int = 4) -> str:
    """Some names, for people."""
    return ", ".join(names[:shown]) + (" …" if len(names) > shown else "")


def _dialled(node: NodeView) -> str:
    return node.addresses[0].split("/p2p/")[0] if node.addresses else "–"


def status_rows(view: MeshView, *, running: bool) -> list[tuple[str, ...]]:
    """The nodes as `localnet status` lists them."""
    rows: list[tuple[str, ...]] = []
    for node in view.nodes.values():
        last = max(node.accuracy, default=-1)
        accuracy = node.together if node.together is not None else node.accuracy.get(last)
        paid = tokens(sum(node.paid.values())) if node.paid else "–"
        rows.append((node.name, str(node.rounds), percent(accuracy), paid, _dialled(node), life(node, running=running)))
    return rows


def life(node: NodeView, *, running: bool) -> str:
    """How a node is; one that was in the midst of things when its mesh ended has stopped."""
    if running and node.paused:
        return "paused"
    return node.life.value if running or node.life in (Life.FINISHED, *GONE) else "stopped"

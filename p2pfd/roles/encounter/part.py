"""A part of a device: a small machine that is run by a table of rules, and names its timers, works and claims."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from p2pfd.core.canonical import Plain
from p2pfd.core.claims import Claim, Included, Receipt
from p2pfd.core.effects import CancelTimer, Compute, Effect, Emit, Field, Persist, SetTimer, Submit, Work
from p2pfd.core.encounter_claims import EncounterClaim
from p2pfd.core.events import Outcome
from p2pfd.core.ticks import Tick

Effects = list[Effect]
Rules = tuple["Rule", ...]
OVER = "over"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a part does when something comes to it in one of some stages, and which stages that can lead to.

    ``on`` is a message's kind; or ``timer``, ``done``, ``failed``, ``included``, ``refused`` or ``chain`` and a name.
    """

    at: tuple[str, ...]
    on: str
    to: tuple[str, ...]
    does: str
    by: str


class Part:
    """What parts have in common. Whatever no rule is for is not for this part: nothing happens."""

    role: ClassVar[str]
    rules: ClassVar[Rules] = ()
    table: ClassVar[Mapping[tuple[str, str], Rule]]

    def __init_subclass__(cls) -> None:
        table: dict[tuple[str, str], Rule] = {}
        for rule in cls.rules:
            for stage in rule.at:
                if (stage, rule.on) in table:
                    raise TypeError(f"{cls.__name__} has two rules for {rule.on} in {stage}")
                table[stage, rule.on] = rule
        cls.table = table

    def __init__(self, name: str, stage: str) -> None:
        self.id = name
        self.stage = stage
        self.due: dict[str, Tick] = {}
        """Timers that are set, so that they can be set again after a restart."""
        self.jobs: list[str] = []
        """Works that are asked for."""
        self.pending: dict[str, str] = {}
        """Claims under way: what for, and by which intent."""
        self.attempts: dict[str, int] = {}

    @property
    def over(self) -> bool:
        """Whether nothing will come of it any more."""
        return self.stage == OVER

    # -- what comes ----------------------------------------------------------------------------------------------------

    def react(self, now: Tick, on: str, *details: Any) -> Any:
        """What the rule for it does; None where there is no rule."""
        rule = self.table.get((self.stage, on))
        if rule is None:
            return None
        before = self.stage
        out = getattr(self, rule.by)(now, *details)
        if self.stage != before and self.stage not in rule.to:
            raise AssertionError(f"{self.role}: {on} led from {before} to {self.stage}, not as its table says")
        return [*out, *self._left()] if self.over and isinstance(out, list) else out

    def fired(self, now: Tick, name: str) -> Effects:
        """A timer has come; one that is not set is none of this life's."""
        if self.due.pop(name, None) is None:
            return []
        return self.react(now, f"timer {name}") or []

    def computed(self, now: Tick, job: str, outcome: Outcome | None, failure: str) -> Effects:
        """A work is done, or failed."""
        if job not in self.jobs:
            return []
        self.jobs.remove(job)
        if outcome is None:
            told = self.tell("failed", job=job, why=failure)
            return [told, *(self.react(now, f"failed {job}") or [])]
        return self.react(now, f"done {job}", outcome) or []

    def receipt(self, now: Tick, intent: str, receipt: Receipt) -> Effects:
        """What became of a claim; one that nobody knows of counts as refused."""
        kind = intent.split(".")[0]
        if self.pending.get(kind) != intent:
            return []
        del self.pending[kind]
        if isinstance(receipt, Included):
            return self.react(now, f"included {kind}") or []
        reason = getattr(receipt, "reason", "")
        told = self.tell("refused", claim=kind, why=reason)
        return [told, *(self.react(now, f"refused {kind}") or [])]

    def restored(self, soonest: Tick) -> Effects:
        """Timers are set, works asked for and claims submitted once more.

        No timer comes before ``soonest``: what the chain told meanwhile is heard first.
        """
        effects: Effects = [self.wait(name, max(soonest, at)) for name, at in sorted(self.due.items())]
        effects += [self.compute(job) for job in tuple(self.jobs)]
        for kind in sorted(self.pending):
            effects += self._submit(kind)
        return effects

    # -- what goes -----------------------------------------------------------------------------------------------------

    def work(self, job: str) -> Work:
        """The work that a job is, as things stand."""
        raise KeyError(job)

    def claim(self, kind: str) -> EncounterClaim:
        """The claim of this kind, as things stand."""
        raise KeyError(kind)

    def wait(self, name: str, at: Tick) -> Effect:
        """Be woken."""
        self.due[name] = at
        return SetTimer(f"{self.id}/{name}", at)

    def quiet(self, *names: str) -> Effects:
        """Be woken no more."""
        return [CancelTimer(f"{self.id}/{name}") for name in names if self.due.pop(name, None) is not None]

    def compute(self, job: str) -> Effect:
        """Have a work done."""
        if job not in self.jobs:
            self.jobs.append(job)
        return Compute(f"{self.id}/{job}", self.work(job))

    def submit(self, kind: str) -> Effects:
        """Claim something, for the first time or once more."""
        self.attempts[kind] = self.attempts.get(kind, 0) + 1
        return self._submit(kind)

    def tell(self, name: str, **fields: Field) -> Emit:
        """Tell whoever watches."""
        return Emit(f"{self.role}.{name}", {"part": self.id, **fields})

    def _submit(self, kind: str) -> Effects:
        claim = self.claim(kind)
        # The same claim has the same intent after a restart, another claim has another one.
        mark = hashlib.sha256(repr(claim).encode()).hexdigest()[:8]
        intent = self.pending[kind] = f"{kind}.{self.attempts[kind]}.{mark}"
        # The node's types of claims are the label market's; a contract takes what is its own, and refuses the rest.
        return [Persist(), Submit(f"{self.id}/{intent}", cast("Claim", claim))]

    def _left(self) -> Effects:
        """Nothing is waited for any more."""
        self.jobs.clear()
        self.pending.clear()
        return self.quiet(*sorted(self.due))

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def to_plain(self) -> dict[str, Plain]:
        """The part, for a snapshot."""
        return {
            "id": self.id,
            "stage": self.stage,
            "due": [[name, at] for name, at in sorted(self.due.items())],
            "jobs": list(self.jobs),
            "pending": [[kind, intent] for kind, intent in sorted(self.pending.items())],
            "attempts": [[kind, count] for kind, count in sorted(self.attempts.items())],
        }

    def fill(self, value: Mapping[str, Any]) -> None:
        """Take over what `to_plain` wrote; the caller minds what a damaged value raises."""
        self.id, self.stage = str(value["id"]), str(value["stage"])
        self.due = {name: Tick(at) for name, at in value["due"]}
        self.jobs = [str(job) for job in value["jobs"]]
        self.pending = {kind: str(intent) for kind, intent in value["pending"]}
        self.attempts = {kind: int(count) for kind, count in value["attempts"]}

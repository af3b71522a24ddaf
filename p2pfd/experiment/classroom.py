"""All nodes' learners in one process, doing what a node's workbench does with the same adapter.

Nodes that absorb the same votes on top of the same student reach the same state, so it is derived once and shared:
that is what makes an experiment with many nodes affordable. A node starts each round from the state that it absorbed
last; an adapter with a common student promises that no more than this is carried over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p2pfd.core.effects import Work
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Account, Digest, RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Budget, ConsensusAdapter, Contribution, Labels, Split, Task
from p2pfd.learning.votes import gate
from p2pfd.roles.work import Absorb, Absorbed, Adopt, Adopted, Conclude, Concluded, Studied, Study

MILLION = 1_000_000


@dataclass(frozen=True)
class _Common:
    """A state that any number of nodes are in. ``line`` names all that led to it."""

    line: bytes
    state: Any
    student: Digest
    accuracy: float


class Classroom:
    """Turns works into outcomes, for all nodes. ``owners`` says whose shard and dice a node works with."""

    def __init__(
        self,
        adapter: ConsensusAdapter[Any],
        task: Task,
        shards: Sequence[Split],
        test: Split,
        budget: Budget,
        owners: Sequence[int],
        rng: Rng,
    ) -> None:
        self._adapter, self._task, self._shards, self._test = adapter, task, shards, test
        self._budget, self._owners, self._rng = budget, owners, rng
        self._states: dict[bytes, _Common] = {}
        self._students: dict[Digest, bytes] = {}
        self._now = [self._common(b"", adapter.init(task, rng.split("init")))] * len(owners)
        self._before: dict[tuple[int, int], _Common] = {}
        """By node and round, the state before it absorbed the round's labels."""
        self._said: dict[tuple[int, int, bytes], tuple[bytes, float | None]] = {}
        self.own: dict[tuple[int, int], float] = {}
        """By node and round, how good the model behind its labels is."""
        self.heard: dict[tuple[int, Account], bool] = {}
        """By round and account, whether its labels passed the gate, at the first node that counted them."""

    def do(self, node: int, work: Work) -> Outcome:
        """What comes of a node's work."""
        match work:
            case Study(rnd):
                return self._study(node, rnd)
            case Absorb(rnd, votes):
                # Who was killed meanwhile asks once more, and goes on from where it was.
                before = self._before.setdefault((node, int(rnd)), self._now[node])
                self._now[node] = self._absorbed(before, rnd, votes)
                return Absorbed(self._now[node].student, self._figures(node))
            case Adopt(_, weights):
                if weights not in self._students:
                    raise PlanError("a student that no node has", "this is for real meshes, where peers may lie")
                self._now[node] = self._adopted(self._now[node], weights)
                return Adopted(weights)
            case Conclude():
                return Concluded(self._now[node].student, self._figures(node))
            case _:
                raise TypeError(f"a classroom cannot do {type(work).__name__}")

    def accuracy(self, node: int) -> float:
        """How good a node's student is now."""
        return self._now[node].accuracy

    def _figures(self, node: int) -> dict[str, int]:
        return {"accuracy": round(self._now[node].accuracy * MILLION)}

    def _study(self, node: int, rnd: RoundId) -> Studied:
        owner, common = self._owners[node], self._now[node]
        key = (owner, int(rnd), common.line)
        if key not in self._said:
            dice = self._rng.split("node", owner).split("train", rnd)
            trained = self._adapter.train(common.state, self._shards[owner], self._budget, dice)
            payload = self._adapter.share(trained, self._task, rnd)
            if not isinstance(payload, Labels):
                raise PlanError(f"{self._adapter.name} shares {type(payload).__name__}", "a market takes labels")
            self._said[key] = payload.classes, self._adapter.evaluate(trained, self._test).get("own_accuracy")
        labels, own = self._said[key]
        if own is not None:
            self.own[node, rnd] = own
        return Studied(labels)

    def _absorbed(self, before: _Common, rnd: RoundId, votes: tuple[tuple[Account, bytes], ...]) -> _Common:
        said = b"".join(account.encode() + labels for account, labels in votes)
        line = _next(before.line, b"absorbed", int(rnd).to_bytes(8, "big"), said)
        if line not in self._states:
            heard = [Contribution(account, Labels(labels)) for account, labels in votes]
            state = self._adapter.absorb(before.state, heard, rnd, self._rng.split("absorb", rnd))
            self._states[line] = self._common(line, state)
            self._gate(rnd, votes)
        return self._states[line]

    def _adopted(self, before: _Common, weights: Digest) -> _Common:
        line = _next(before.line, b"adopted", weights)
        if line not in self._states:
            self._states[line] = self._common(line, self._adapter.adopt(before.state, self._students[weights]))
        return self._states[line]

    def _gate(self, rnd: RoundId, votes: tuple[tuple[Account, bytes], ...]) -> None:
        rows = np.array([list(labels) for _, labels in votes], dtype=np.int64)
        for (account, _), passed in zip(votes, gate(rows, self._task.spec.data.classes).tolist(), strict=True):
            self.heard.setdefault((rnd, account), passed)

    def _common(self, line: bytes, state: Any) -> _Common:
        raw = self._adapter.student(state)
        student = Digest(hashlib.sha256(raw).digest())
        self._students[student] = raw
        return _Common(line, state, student, self._adapter.evaluate(state, self._test)["accuracy"])


def _next(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()

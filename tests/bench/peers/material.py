"""A run's plan and data, as files: what p2pfd reads, and the same samples, labels and first weights for the rivals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from p2pfd_localnet.plan import DataFacts, Plan
from p2pfd_localnet.presets import find

from p2pfd.core.rng import Rng
from p2pfd.learning.data.deal import deal
from p2pfd.learning.data.sets import open_set
from p2pfd.learning.knobs import choice, decimal, whole
from p2pfd.learning.local import LOCAL
from p2pfd.learning.models import model_of
from tests.bench.peers.cells import ATTACK, ATTACKERS, CHURN, DIES_AFTER, DYING, OFF_CHAIN, OURS, Cell

PLAN, TERMS, MATERIAL = "peers.toml", "terms.json", "material.npz"
PATIENT = (300, 300, 120)
"""Seconds for enrolment, commitments and reveals: a phase ends at once when all have acted, so this costs no time."""
WAITING = (300, 10, 10)
"""Where nodes die for good, each later round waits for their commitments."""


@dataclass(frozen=True)
class Prepared:
    """What is known of a run before it begins, and only the bench sees: the test samples, and who is what."""

    folder: Path
    plan: Plan
    test_x: np.ndarray
    test_y: np.ndarray
    attackers: tuple[int, ...]
    dying: tuple[int, ...]

    @property
    def counted(self) -> tuple[int, ...]:
        """The nodes whose accuracy counts: those that are honest and meant to live."""
        return tuple(node for node in range(self.plan.nodes) if node not in (*self.attackers, *self.dying))


def prepare(cell: Cell, folder: Path) -> Prepared:
    """Write a run's files into an empty folder."""
    dying = _dying(cell)
    (folder / PLAN).write_text(_plan(cell, dying))
    plan = find(str(folder / PLAN))
    found = open_set(plan.data.name)
    task = plan.task(DataFacts(found.sha256, found.classes))
    dealt = deal(task.data, cell.nodes)
    attackers = tuple(int(name.removeprefix("node-")) for name in plan.dishonest())
    if cell.system not in OURS:
        parts = {"validation_x": dealt.validation.x, "validation_y": dealt.validation.y}
        for node in range(cell.nodes):
            shard = dealt.shards[node]
            parts[f"x{node}"] = shard.x
            parts[f"y{node}"] = (shard.y + 1) % found.classes if node in attackers else shard.y
        model = model_of(choice(LOCAL, {}, "net"), found.classes)
        first = model.named(model.init(Rng(cell.seed).split("first")))
        # torch has weights before biases; by name, biases come first
        order = ("1.weight", "1.bias", "3.weight", "3.bias")
        parts |= {f"first{place}": first[name] for place, name in enumerate(order)}
        np.savez(folder / MATERIAL, **parts)
        terms = {
            "nodes": cell.nodes,
            "rounds": cell.rounds,
            "epochs": whole(LOCAL, {}, "epochs"),
            "batch": whole(LOCAL, {}, "batch"),
            "rate": decimal(LOCAL, {}, "rate"),
            "momentum": decimal(LOCAL, {}, "momentum"),
            "decay": decimal(LOCAL, {}, "decay"),
            "noise": decimal(LOCAL, {}, "noise"),
            "hidden": len(first["1.bias"]),
            "inputs": first["1.weight"].shape[1],
            "classes": found.classes,
            "seed": cell.seed,
            "aggregator": cell.aggregator,
            "attackers": list(attackers),
            "dying": list(dying),
            "dies_at": DIES_AFTER,
            "patience": cell.limit,
        }
        (folder / TERMS).write_text(json.dumps(terms))
    return Prepared(folder, plan, dealt.test.x, dealt.test.y, attackers, dying)


def _dying(cell: Cell) -> tuple[int, ...]:
    """Who dies: drawn from the seed, the same in all systems; never the node that a rival begins with."""
    if cell.trouble != CHURN:
        return ()
    return tuple(sorted(Rng(cell.seed).split("dying").sample(range(1, cell.nodes), round(DYING * cell.nodes))))


def _plan(cell: Cell, dying: tuple[int, ...]) -> str:
    lines = [
        'preset = "digits"',
        f"nodes = {cell.nodes}",
        f"rounds = {cell.rounds}",
        f"seed = {cell.seed}",
        *(['chain = "none"'] if cell.system == OFF_CHAIN else []),
        "",
        "[data]",
        f'partition = "{cell.partition}"',
    ]
    if cell.trouble == ATTACK:
        lines += ["", "[attack]", f"flip = {round(ATTACKERS * cell.nodes)}"]
    enrol, commit, reveal = WAITING if cell.trouble == CHURN else PATIENT
    lines += ["", "[phases]", f"enrol_seconds = {enrol}"]
    lines += [f"commit_seconds = {round(commit * cell.slow)}", f"reveal_seconds = {round(reveal * cell.slow)}"]
    if cell.trouble == CHURN:
        nodes = ",".join(f"node-{node}" for node in dying)
        lines += ["", "[[chaos]]", f'at = "round>={DIES_AFTER + 1}"', 'do = "kill"', f'nodes = "{nodes}"']
    return "\n".join(lines) + "\n"

"""The meshes that come with `localnet`, by name. Each can be changed by options, or by a file that builds on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from p2pfd.core.encounter_spec import EncounterSpec
from p2pfd.core.ids import Amount
from p2pfd.core.spec import PhaseSpec
from p2pfd.core.tables import did_you_mean
from p2pfd.errors import PlanError
from p2pfd_localnet.chaos import parse
from p2pfd_localnet.plan import UNIT, DataPlan, Plan

DEFAULT = "digits"
ALIASES: Mapping[str, str] = MappingProxyType({"digits-1bit": DEFAULT})
"""What presets were called before."""
TERMS = EncounterSpec(
    own=3,
    prepayment=Amount(10 * UNIT),
    stake=Amount(60 * UNIT),
    bond=Amount(100 * UNIT),
    threshold=Amount(20 * UNIT),
    longest=1_200,
    unbond_seconds=1_200,
)
"""Of encounters, where a plan says nothing else."""
PATIENT = PhaseSpec(300, 300, 120)
"""Where a node needs its time: a phase ends at once when all have acted."""
PRESETS: tuple[Plan, ...] = (
    Plan(name=DEFAULT, summary="ten nodes, ten rounds, unequal shares of scikit-learn's digits"),
    Plan(name="small", summary="four nodes, three rounds of the same: a first look", nodes=4, rounds=3),
    Plan(
        name="equal",
        summary="as digits, but every node has the same mix of classes",
        data=DataPlan(partition="iid"),
    ),
    Plan(
        name="fashion",
        summary="Fashion-MNIST with a convolutional net: clothes in grey, unequal shares",
        rounds=6,
        data=DataPlan("fashion", "dirichlet:0.5", public=1_000, validation=1_000, test=2_000, private=10_000),
        phases=PATIENT,
        settings={
            "net": "edges28",
            "epochs": 3,
            "batch": 64,
            "decay": "0.003",
            "noise": "0.1",
            "trust": "surplus",
            "target": "squared",
            "distil_epochs": 16,
            "distil_batch": 32,
            "distil_noise": "0.1",
            "replay_share": "0.25",
        },
    ),
    Plan(
        name="cifar",
        summary="CIFAR-10: colour photographs; 170 MB that p2pfd data fetch cifar10 gets",
        nodes=5,
        rounds=6,
        data=DataPlan("cifar10", "dirichlet:1", public=1_000, validation=1_000, test=2_000, private=10_000),
        phases=PATIENT,
        settings={
            "net": "fast32",
            "epochs": 3,
            "batch": 64,
            "decay": "0.003",
            "noise": "0.1",
            "trust": "surplus",
            "target": "squared",
            "distil_epochs": 16,
            "distil_batch": 32,
            "distil_noise": "0.1",
        },
    ),
    Plan(
        name="gossip",
        summary="ten nodes that merge models with four others a round, and settle nowhere",
        adapter="gossip",
        partners=4,
        chain="none",
    ),
    Plan(
        name="encounters",
        summary="ten nodes that pay one another for what they learn, judged by validators that are drawn by lot",
        adapter="gossip",
        rounds=3,
        encounters=TERMS,
    ),
    Plan(
        name="attack",
        summary="digits, where four of ten do not train and tell the same made-up labels",
        attack={"collude": "40%"},
        settings={"trust": "surplus"},
        data=DataPlan(partition="dirichlet:1"),
    ),
    Plan(
        name="hetero",
        summary="digits learnt by a line, a convolutional net, a plain one and a random forest side by side",
        adapter="mixed",
        learners=("linear8", "conv8", "mlp8", "forest"),
        nodes=8,
        rounds=6,
    ),
    Plan(
        name="churn",
        summary="digits, while nodes die and come back",
        chaos=parse(
            [
                {"at": "round>=2", "do": "churn", "for": 20, "share": "30%", "least": 3, "most": 6},
                {"at": "round>=6", "do": "churn", "for": 10, "share": "20%", "least": 2, "most": 4},
            ]
        ),
    ),
    Plan(
        name="big",
        summary="a hundred nodes with nine samples each, on gossip alone",
        nodes=100,
        rounds=5,
        chain="none",
        data=DataPlan(partition="dirichlet:1"),
        phases=PhaseSpec(120, 120, 60),
    ),
    Plan(name="anvil", summary="small, settled on an anvil that make chains fetches", nodes=4, rounds=3, chain="anvil"),
    Plan(
        name="ganache",
        summary="small, settled on a ganache that make chains fetches",
        nodes=4,
        rounds=3,
        chain="ganache",
    ),
    Plan(
        name="amoy-like",
        summary="small, on an anvil that is slow, charges fees, reorganises and loses answers, as a public network",
        nodes=4,
        rounds=3,
        chain="amoy-like",
        phases=PhaseSpec(120, 60, 60),
    ),
)


def preset_of(name: str) -> Plan | None:
    """The preset of this name, or of the name that it had before; None where there is none."""
    known = ALIASES.get(name, name)
    return next((preset for preset in PRESETS if preset.name == known), None)


def names() -> list[str]:
    """What presets there are."""
    return [preset.name for preset in PRESETS]


def find(text: str) -> Plan:
    """The preset of this name, or the plan in this file."""
    from p2pfd_localnet.planfile import from_file  # whose files build on presets

    preset = preset_of(text)
    if preset is not None:
        return dataclasses.replace(preset, source=preset.name)
    path = Path(text)
    if path.suffix == ".toml" or "/" in text or path.exists():
        return from_file(path)
    raise PlanError(f"there is no preset {text[:80]!r}", f"{did_you_mean(text, names())}; or name a .toml file")

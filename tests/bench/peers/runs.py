"""One run from its cell: prepare it, measure it, and read what it left."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p2pfd.learning.local import local_model
from p2pfd.learning.model import Model
from tests.bench.peers.cells import CHURN, FLOWER, GRPC, MEMORY, OURS, Cell
from tests.bench.peers.install import python_of
from tests.bench.peers.material import PLAN, Prepared, prepare

HERE = Path(__file__).parent
RIVALS = HERE / "rivals"
PROGRAMS = {GRPC: ("p2pfl", "p2pfl_grpc.py"), MEMORY: ("p2pfl", "p2pfl_memory.py"), FLOWER: ("flower", "flower_run.py")}
RAY_PATIENCE = {
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_raylet_start_wait_time_s": "300",
}
"""With Ray's parts, which on a busy machine come up late: it costs nothing on an idle one."""
GRACE = 60.0
"""Seconds after the limit for the meter to end all and write."""
TAIL = 2_000
FORMAT = 1
"""Of what is kept of a run; another one is measured anew."""


@dataclass(frozen=True)
class Said:
    """A node's accuracy on the validation samples, when it told it."""

    t: float
    node: str
    accuracy: float


def programs(cell: Cell) -> str:
    """A digest of what is run: when that changes, a rival's run is measured anew. p2pfd's own programs do not count."""
    paths = [] if cell.system in OURS else [*RIVALS.glob("*.py"), *HERE.glob("requirements-*.txt")]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(paths))).hexdigest()


def measure(cell: Cell, keep: Path | None = None) -> dict[str, Any]:
    """The outcome of a run, as it is kept."""
    with tempfile.TemporaryDirectory(prefix="peers-") as made:
        folder = Path(made)
        prepared = prepare(cell, folder)
        meter = _metered(cell, folder)
        told = diary(folder, cell)
        outcome = {
            "format": FORMAT,
            "programs": programs(cell),
            "cell": cell.to_plain(),
            **_found(cell, prepared, meter, told),
        }
        if keep is not None:
            shutil.copytree(folder, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("ray", "torch", "cache"))
    return outcome


def command(cell: Cell, folder: Path) -> list[str]:
    """What starts a run."""
    if cell.system in OURS:
        localnet = Path(sys.executable).parent / "localnet"
        state = ["--state", str(folder / "mesh"), "--no-serve", "--json", "--plain"]
        return [str(localnet), "up", str(folder / PLAN), *state]
    rival, program = PROGRAMS[cell.system]
    return [str(python_of(rival)), str(RIVALS / program), str(folder)]


def diary(folder: Path, cell: Cell) -> list[Said]:
    """The accuracies after rounds, in the order of time."""
    if cell.system in OURS:
        paths = sorted(folder.glob("mesh/nodes/*/events*.jsonl"))
        lines = [line for path in paths for line in _lines(path) if line.get("event") == "round.absorbed"]
        found = [Said(line["t"] / 1e6, line["node"], line["accuracy"]) for line in lines]
    else:
        lines = [line for line in _lines(folder / "diary.jsonl") if "accuracy" in line]
        found = [Said(line["t"], line["node"], line["accuracy"]) for line in lines]
    return sorted(found, key=lambda said: said.t)


def course(told: Sequence[Said], nodes: Iterable[int], system: str) -> list[tuple[float, float]]:
    """When the mean over these nodes of what each told last changed, and to what; from when all have told something.

    Where one server tells the accuracy of the one model that all have, its word is the mean.
    """
    names = {"server"} if system == FLOWER else {f"node-{node}" for node in nodes}
    last: dict[str, float] = {}
    found = []
    for said in told:
        if said.node in names:
            last[said.node] = said.accuracy
            if len(last) == len(names):
                found.append((said.t, sum(last.values()) / len(last)))
    return found


def _metered(cell: Cell, folder: Path) -> dict[str, Any]:
    out = folder / "meter.json"
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    asked = [sys.executable, str(HERE / "meter.py"), str(out), str(cell.limit), str(folder), "--"]
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PEERS_FOLDER": str(folder),
        "OMP_NUM_THREADS": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": str(folder),
        **RAY_PATIENCE,
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "HF_DATASETS_CACHE": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
        "FLWR_HOME": str(folder / "flwr"),
    }
    if cell.system not in OURS:
        environment["PYTHONPATH"] = str(RIVALS)
    with (folder / "meter.log").open("wb") as log:
        subprocess.run(
            [*alone, *asked, *command(cell, folder)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=cell.limit + GRACE,
            check=False,
        )
    if not out.exists():
        raise SystemExit(f"nothing was measured: {(folder / 'meter.log').read_text()[-TAIL:]}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def _found(cell: Cell, prepared: Prepared, meter: dict[str, Any], told: Sequence[Said]) -> dict[str, Any]:
    begun = meter["begun"]
    ended = _ended(cell, prepared)
    counted = [node for node in prepared.counted if node in ended]
    rounds = course(told, prepared.counted, cell.system)
    samples = [(round(t - begun, 2), cpu, sent) for t, cpu, sent in meter.pop("samples")]
    well = meter["code"] == 0 or cell.trouble == CHURN  # a mesh says by its code that it has lost nodes
    whole = well and not meter["cut_off"] and len(counted) == len(prepared.counted)
    return {
        **meter,
        "finished": whole,
        "ended": len(counted),
        "meant_to_end": len(prepared.counted),
        "accuracies": [round(ended[node], 6) for node in counted],
        "course": [(round(t - begun, 2), round(share, 6)) for t, share in rounds],
        "samples": samples,
        "model_bytes": _model_bytes(prepared.folder, cell),
        "attackers": list(prepared.attackers),
        "dying": list(prepared.dying),
        "problem": "" if whole else _problem(prepared.folder),
    }


def _ended(cell: Cell, prepared: Prepared) -> dict[int, float]:
    """The accuracy on the test samples of each node that came to its end."""
    folder = prepared.folder
    if cell.system in OURS:
        result = next(reversed(list(_lines(folder / "out.log"))), {})
        nodes: Mapping[str, Any] = result.get("accuracy", {}).get("by_node", {})
        return {int(name.removeprefix("node-")): float(each["together"]) for name, each in nodes.items()}
    model = local_model({}, 10)
    found = {}
    for node in range(cell.nodes):
        path = folder / f"weights{node}.npz"
        if path.exists():
            found[node] = model.accuracy(_flat(model, path), prepared.test_x, prepared.test_y)
    return found


def _flat(model: Model, path: Path) -> np.ndarray:
    names = ("1.weight", "1.bias", "3.weight", "3.bias")
    with np.load(path) as kept:
        arrays = {name: kept[f"arr_{place}"].astype(np.float32) for place, name in enumerate(names)}
    return model.flat({name: arrays[name] for name in sorted(arrays)})


def _model_bytes(folder: Path, cell: Cell) -> int:
    """What models weigh that Flower's server sends and gets: its simulation moves them without sockets."""
    if cell.system != FLOWER:
        return 0
    return max(
        (int(line["model_bytes"]) for line in _lines(folder / "diary.jsonl") if "model_bytes" in line), default=0
    )


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    if not path.exists():
        return
    for text in path.read_text(errors="replace").splitlines():
        if text.startswith("{") and text.endswith("}"):
            yield json.loads(text)


def _problem(folder: Path) -> str:
    """The last words of a run that did not end well."""
    for name in ("err.log", "node0.log", "out.log"):
        path = folder / name
        if path.exists() and (text := path.read_text(errors="replace").strip()):
            return text[-TAIL:]
    return ""

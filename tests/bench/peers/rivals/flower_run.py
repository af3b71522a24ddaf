"""The task in Flower's simulation runtime: ``python flower_run.py FOLDER``.

The apps are what `flwr new` gives for PyTorch, with the bench's net and descent. Federated evaluation is off: the
server asks the global model about the validation samples after each round, which costs Flower the least.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import task
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, FedMedian, FedProx, Krum, MultiKrum
from flwr.simulation import run_simulation

FOLDER = Path(os.environ["PEERS_FOLDER"])
TOLD = task.terms(FOLDER)
PROXIMAL = 0.01


def strategy() -> FedAvg:
    """All nodes in every round, none for evaluation."""
    alike: dict[str, Any] = {
        "fraction_train": 1.0,
        "fraction_evaluate": 0.0,
        "min_train_nodes": 1,
        "min_available_nodes": TOLD.nodes,
    }
    match TOLD.aggregator:
        case "median":
            return FedMedian(**alike)
        case "krum":
            return Krum(num_malicious_nodes=len(TOLD.attackers), **alike)
        case "multikrum":
            return MultiKrum(
                num_malicious_nodes=len(TOLD.attackers),
                num_nodes_to_select=TOLD.nodes - len(TOLD.attackers),
                **alike,
            )
        case "fedprox":
            return FedProx(proximal_mu=PROXIMAL, **alike)
        case _:
            return FedAvg(**alike)


client = ClientApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    """A round of one node."""
    node = int(context.node_config["partition-id"])
    rnd = int(message.content["config"]["server-round"])
    if node in TOLD.dying and rnd > TOLD.dies_at:
        raise RuntimeError("this node is dead")
    torch.manual_seed(TOLD.seed * 1000 + rnd * 100 + node)
    x, y = task.Material(FOLDER).shard(node)
    model = task.net(TOLD)
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    proximal = float(message.content["config"].get("proximal-mu", 0.0))
    task.fit(model, TOLD, x, y, proximal)
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": MetricRecord({"num-examples": len(x)})})
    return Message(content=content, reply_to=message)


server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """The rounds."""
    material = task.Material(FOLDER)
    model = task.net(TOLD)
    task.put(model, material.first())
    seen = material.validation()
    moved = 0

    def asked(rnd: int, arrays: ArrayRecord) -> MetricRecord:
        nonlocal moved
        model.load_state_dict(arrays.to_torch_state_dict())
        found = task.accuracy(model, *seen)
        moved += arrays.count_bytes() * 2 * TOLD.nodes if rnd else 0
        if rnd:
            task.say(FOLDER, node="server", round=rnd, accuracy=found)
        return MetricRecord({"accuracy": found})

    result = strategy().start(
        grid=grid,
        initial_arrays=ArrayRecord(model.state_dict()),
        train_config=ConfigRecord({}),
        num_rounds=TOLD.rounds,
        evaluate_fn=asked,
        timeout=TOLD.patience,
    )
    model.load_state_dict(result.arrays.to_torch_state_dict())
    for node in range(TOLD.nodes):
        if node not in TOLD.dying:
            task.keep(FOLDER, node, task.taken(model))
    task.say(FOLDER, node="server", model_bytes=moved)


if __name__ == "__main__":
    logging.getLogger("flwr").setLevel(logging.INFO)
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=TOLD.nodes,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": os.cpu_count() or 1, "include_dashboard": False},
        },
    )
    sys.exit(0)

"""What both ways of running p2pfl share: its settings, and the task's net and data as it takes them.

To be imported after `p2pfl_first.first` has been called.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import lightning
import task
import torch
from datasets import Dataset, DatasetDict
from p2pfl.learning.aggregators.aggregator import Aggregator
from p2pfl.learning.aggregators.fedavg import FedAvg
from p2pfl.learning.aggregators.fedmedian import FedMedian
from p2pfl.learning.aggregators.krum import Krum
from p2pfl.learning.dataset.p2pfl_dataset import P2PFLDataset
from p2pfl.learning.frameworks.pytorch.lightning_model import LightningModel
from p2pfl.management.logger import logger
from p2pfl.node import Node
from p2pfl.settings import Settings
from p2pfl.utils.utils import set_standalone_settings
from p2pfl_first import PATIENCE

LOST = 10.0
"""Seconds in no round after which a node that has begun is taken for lost."""
AGGREGATORS: dict[str, type[Aggregator]] = {"fedavg": FedAvg, "median": FedMedian, "krum": Krum}


def settle(told: task.Terms) -> None:
    """Its own settings for meshes on one machine, and what this task needs besides."""
    set_standalone_settings()
    Settings.gossip.PERIOD = 0.1  # its default; with the 0 of its settings for one machine every node spins
    Settings.gossip.MODELS_PERIOD = 1  # its default; 2 there: seconds from one model sent to the next
    # A model that comes for a round which a node is not in yet is dropped, and refused for so long: 60 stalls a mesh.
    Settings.gossip.MODE_EXPECTATION_TIMEOUT = 5.0
    Settings.general.LOG_LEVEL = "WARNING"  # less to write, and to send through Ray
    logger.set_level(Settings.general.LOG_LEVEL)
    Settings.training.VOTE_TIMEOUT = Settings.training.AGGREGATION_TIMEOUT = PATIENCE
    Settings.training.RAY_ACTOR_POOL_SIZE = os.cpu_count() or 1  # 1 in its own: this is faster
    Settings.ssl.USE_SSL = False  # its package brings no certificates, and its example has this off
    Settings.gossip.TTL = max(10, told.nodes)
    # A node answers with two threads, and passes on what it hears before it answers: nodes that wait for one another in
    # a circle do so until this time is over. A message that is lost by it comes by another way.
    Settings.general.GRPC_TIMEOUT = 0.5
    if not told.dying:  # nobody dies, so that whoever is silent is only busy
        Settings.heartbeat.TIMEOUT = 60


class Watch:
    """Whether a node is still at work: after an error of its own it stops, and never says that it has finished."""

    def __init__(self, node: Node, rounds: int) -> None:
        self._node, self._rounds, self._begun, self._since = node, rounds, False, 0.0

    @property
    def finished(self) -> bool:
        """It came to its end, and was not stopped before."""
        workflow = self._node.learning_workflow
        return workflow.finished and workflow.history.count("RoundFinishedStage") >= self._rounds

    def working(self) -> bool:
        """To be asked now and then."""
        if self._node.learning_workflow.finished:
            return False
        if self._node.state.round is not None or not self._begun:
            self._begun = self._begun or self._node.state.round is not None
            self._since = time.monotonic()
        return time.monotonic() - self._since < LOST


class Net(lightning.LightningModule):
    """The task's net, with the task's descent; what its own loop reports goes into the diary too."""

    def __init__(self, folder: Path, node: int) -> None:
        super().__init__()
        self.folder, self.node = folder, node
        self.told = task.terms(folder)
        self.samples = len(task.Material(folder).shard(node)[1])
        self.net = task.net(self.told)
        task.put(self.net, task.Material(folder).first())
        self.lr_rate = self.told.rate
        self.right = self.asked = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.net(x)
        return answer

    def configure_optimizers(self) -> dict[str, Any]:
        descent, schedule = task.optimiser(self, self.told, task.steps_of(self.told, self.samples))
        return {"optimizer": descent, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        seen = task.noisy(batch["image"].float(), self.told.noise)
        return torch.nn.functional.cross_entropy(self(seen), batch["label"])

    def on_test_epoch_start(self) -> None:
        self.right = self.asked = 0

    def test_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        self.right += int((self(batch["image"].float()).argmax(1) == batch["label"]).sum())
        self.asked += len(batch["label"])

    def on_test_epoch_end(self) -> None:
        share = self.right / max(1, self.asked)
        self.log("test_metric", share)
        task.say(self.folder, node=f"node-{self.node}", accuracy=share)


def node_of(folder: Path, number: int, **further: Any) -> Node:
    """One of its nodes, with the task's data."""
    told, material = task.terms(folder), task.Material(folder)
    x, y = material.shard(number)
    seen, known = material.validation()
    data = P2PFLDataset(DatasetDict({"train": _rows(x, y), "test": _rows(seen, known)}), dataset_name="digits")
    data.set_batch_size(told.batch)
    return Node(LightningModel(Net(folder, number)), data, aggregator=AGGREGATORS[told.aggregator](), **further)


def keep(folder: Path, number: int, node: Node) -> None:
    """Its weights in the end."""
    task.keep(folder, number, node.get_model().get_parameters())


def _rows(x: Any, y: Any) -> Dataset:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)).numpy()  # its loader does not shuffle
    return Dataset.from_dict({"image": list(x.reshape(len(x), -1)[order]), "label": [int(label) for label in y[order]]})

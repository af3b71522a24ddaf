"""What must be done before p2pfl is imported: torchvision made importable, and Ray begun or forbidden.

The torchvision on PyPI is for a torch with CUDA: beside one without, its operators cannot be loaded, and its import
ends because two of them are unknown. Declaring these is enough: p2pfl imports it for data sets that are not used here.

p2pfl starts Ray when its logger is imported, unless its settings forbid that or Ray runs already.
"""

from __future__ import annotations

import importlib

import torch

PATIENCE = 15
"""Seconds for models and votes, of which some are lost in most rounds; its own for one machine are 60."""
_KEPT: list[torch.library.Library] = []
"""A declaration lasts as long as its library does."""


def ready() -> None:
    """Import torchvision, declaring what it lacks."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        declared = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(declared)
        importlib.import_module("torchvision")


def first(*, ray: bool) -> None:
    """Before anything else of p2pfl."""
    ready()
    if ray:
        _start_ray()
    from p2pfl.settings import Settings

    Settings.general.DISABLE_RAY = not ray
    Settings.training.AGGREGATION_TIMEOUT = PATIENCE  # read by its aggregators when they are imported


def _start_ray() -> None:
    """As p2pfl starts it, and with `ready` in each worker."""
    import ray

    ray.init(
        namespace="p2pfl",
        include_dashboard=False,
        runtime_env={"worker_process_setup_hook": "p2pfl_first.ready"},
    )

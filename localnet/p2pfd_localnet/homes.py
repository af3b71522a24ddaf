"""A node's directory, furnished: keys and settings, before its process starts."""

from __future__ import annotations

from pathlib import Path

from p2pfd.node import config, keys
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.state import State


def furnish(plan: Plan, state: State, name: str, shard: int, chain_url: str, paused: int = 0) -> Path:
    """Write what the node needs, and keep what it has; the path of its settings."""
    home = state.node(name).absolute()
    home.mkdir(parents=True, exist_ok=True)
    keys.save(keys.throwaway(plan.seed, name), home / "keys")
    cast = plan.cast()
    settings = config.NodeConfig(
        name=name,
        home=str(home),
        shard=cast.owners[shard] if shard < plan.nodes else shard,
        shards=plan.seats,
        seed=plan.seed,
        listen="/ip4/127.0.0.1/tcp/0",
        bootstrap=(),
        task=str(state.task.absolute()),
        chain_url=chain_url,
        data_dir="",
        metrics=plan.metrics,
        learner=plan.learners[shard % len(plan.learners)] if plan.learners else "",
        behaviour=cast.kinds[shard] if shard < plan.nodes else "",
        paused=paused,
        chaos=True,
    )
    settings.save(home / config.FILE)
    return home / config.FILE

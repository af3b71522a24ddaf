"""A node's directory, furnished: keys and settings, before its process starts."""

from __future__ import annotations

from pathlib import Path

from p2pfd.network.settings import NetworkSettings
from p2pfd.node import config, keys
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.state import State

CROWD = 10
"""Up to so many nodes the usual limits hold."""
LIMITS = ("keepalive_seconds", "stall_seconds", "answer_seconds", "connect_seconds")
MOST_SECONDS = 120.0
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


def furnish(plan: Plan, state: State, name: str, shard: int, chain_url: str, paused: int = 0) -> Path:
    """Write what the node needs, and keep what it has; the path of its settings."""
    home = state.node(name).absolute()
    home.mkdir(parents=True, exist_ok=True)
    keys.save(keys.throwaway(plan.seed, name), home / "keys")
    return save_settings(settings_of(plan, state, name, shard, chain_url, paused), home)


def settings_of(
    plan: Plan, state: State, name: str, shard: int, chain_url: str, paused: int = 0, listen: str = LOOPBACK
) -> config.NodeConfig:
    """The settings of a node of this mesh."""
    cast = plan.cast()
    return config.NodeConfig(
        name=name,
        home=str(state.node(name).absolute()),
        shard=cast.owners[shard] if shard < plan.nodes else shard,
        shards=plan.seats,
        seed=plan.seed,
        listen=listen,
        bootstrap=(),
        task=str(state.task.absolute()),
        chain_url=chain_url,
        data_dir="",
        metrics=plan.metrics,
        learner=plan.learners[shard % len(plan.learners)] if plan.learners else "",
        behaviour=cast.kinds[shard] if shard < plan.nodes else "",
        paused=paused,
        chaos=True,
        network=patience(plan.seats),
    )


def patience(nodes: int) -> dict[str, object]:
    """The network's time limits in a mesh of so many nodes.

    They share a few cores. Where each gets its turn later, none may be taken for dead sooner for it: to cut a peer off
    and to dial it again costs more than to wait.
    """
    usual, more = NetworkSettings(), nodes / CROWD
    return {name: min(more * getattr(usual, name), MOST_SECONDS) for name in LIMITS} if more > 1 else {}


def save_settings(settings: config.NodeConfig, home: Path) -> Path:
    """Write them into a directory, which is there afterwards; their path."""
    home.mkdir(parents=True, exist_ok=True)
    settings.save(home / config.FILE)
    return home / config.FILE

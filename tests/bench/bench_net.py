"""Gossip at scale and large blobs, beside py-libp2p 0.8.1 as it is, gRPC and plain TCP: ``make bench-net``.

Prints a table; the last line is the same as one JSON object. Fifty nodes of each kind live in four processes; what they
cost is the processor time of all four together, idle time included, for each delivery of a message of 1 KB. The library
gets queues that hold a burst, our degrees, and a load that it can carry. Blobs go between processes, one node in each.

``make bench-net ARGS="--steady 600"`` is ten minutes of steady traffic instead, and whether memory grows under it.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from tests.bench.net import blobs
from tests.bench.net.rig import Mesh
from tests.bench.net.steady import steady

NODES, LARGE, PROCESSES = 50, 100, 4
RATE, STOCK_RATE = 16.0, 4.0
MESSAGE = 1024
BLOB = 50_000_000


def at(values: list[float], share: float) -> float:
    """A quantile of sorted values."""
    if not values:
        raise SystemExit("nothing was delivered: there is nothing to measure")
    return values[min(len(values) - 1, int(share * len(values)))]


def gossip(kind: str, rate: float, seconds: float) -> dict[str, float]:
    """One kind of fifty nodes under a steady load."""
    with Mesh(kind, NODES, PROCESSES) as mesh:
        mesh.up()
        idle = mesh.idle(seconds / 2)
        load = mesh.load(rate, seconds, MESSAGE)
    return {
        "delivery": round(load.delivery, 6),
        "twice": load.twice,
        "cpu_ms_per_delivery": round(load.cpu_ms, 3),
        "p50_ms": round(at(load.late, 0.5), 1),
        "p99_ms": round(at(load.late, 0.99), 1),
        "idle_ms_per_s": round(idle, 3),
        "mb_per_node": round(mesh.mb_per_node, 2),
        "up_s": round(mesh.up_seconds, 2),
    }


def burst(kind: str) -> dict[str, float]:
    """A hundred nodes that all say something at once."""
    with Mesh(kind, LARGE, PROCESSES) as mesh:
        mesh.up()
        load = mesh.load(0.0, 0.0, MESSAGE)
    return {
        "up_100_s": round(mesh.up_seconds, 2),
        "burst_100_s": round(load.seconds, 2),
        "burst_100_delivery": round(load.delivery, 6),
    }


def pulling() -> float:
    """The slowest hundredth of small messages between two nodes while one fetches from the other, in ms."""
    with blobs.Blobs("ours", 1) as pair:
        late = sorted(pair.while_fetching(BLOB, 4, 50.0))
    return round(at(late, 0.99), 1)


def main() -> None:
    """Measure everything, in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of steady load for each kind")
    parser.add_argument("--steady", type=float, default=0.0, help="only so many seconds of steady load, for memory")
    options = parser.parse_args()
    if options.steady:
        print(json.dumps(steady(options.steady)))
        return
    seconds = options.seconds
    out: dict[str, Any] = gossip("ours", RATE, seconds)
    show(f"{NODES} nodes, {PROCESSES} processes, {RATE:g} messages a second", out)
    rival = gossip("stock", STOCK_RATE, seconds)
    show(f"py-libp2p 0.8.1 as it is, {STOCK_RATE:g} messages a second", rival)
    out |= {f"stock_{name}": value for name, value in rival.items()}
    hundred = burst("ours")
    show(f"{LARGE} nodes, {PROCESSES} processes, all speak at once", hundred)
    out |= hundred
    fast = {
        "blob_mb_s": blobs.ours(BLOB, 1),
        "blob_3_providers_mb_s": blobs.ours(BLOB, 3),
        "blob_provider_killed_s": blobs.killed(BLOB),
        "stock_blob_mb_s": blobs.stock(BLOB),
        "grpc_mb_s": blobs.rival("grpc", BLOB),
        "tcp_mb_s": blobs.rival("tcp", BLOB),
    }
    fast = {name: round(value, 3 if name.endswith("killed_s") else 1) for name, value in fast.items()}
    fast["blob_vs_grpc"] = round(fast["blob_mb_s"] / fast["grpc_mb_s"], 3)
    fast["p99_while_pulling_ms"] = pulling()
    show(f"a blob of {BLOB / 1e6:g} MB, one node in each process", fast)
    print(json.dumps(out | fast))


def show(title: str, figures: dict[str, Any]) -> None:
    """A part of the table, as soon as it is known."""
    print(title)
    for name, value in figures.items():
        print(f"  {name:28}{value:>12}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Memory under traffic that goes on and on: what a mesh holds after every turn of it, and how quickly that grows."""

from __future__ import annotations

import statistics
import time
from typing import Any

from tests.bench.net.rig import Mesh

NODES, PROCESSES = 30, 2
RATE, MESSAGE = 20.0, 1024
TURN = 12.0


def steady(seconds: float) -> dict[str, Any]:
    """So many seconds of it, a line for each turn, and the figures: MB in all processes together."""
    with Mesh("ours", NODES, PROCESSES) as mesh:
        mesh.up()
        begun = time.monotonic()
        before = mesh.tally()
        minutes, megabytes, delivery = [], [], 1.0
        while (now := time.monotonic() - begun) < seconds:
            load = mesh.load(RATE, min(TURN, max(1.0, seconds - now)), MESSAGE)
            held = mesh.tally()
            minutes.append((time.monotonic() - begun) / 60)
            megabytes.append(held["rss"])
            delivery = min(delivery, load.delivery)
            print(
                f"{minutes[-1]:6.2f} min {held['rss']:8.1f} MB {held['tasks']:6} tasks, {load.delivery:.4f} delivered"
            )
    return {
        "nodes": NODES,
        "messages_per_s": RATE,
        "minutes": round(minutes[-1], 2),
        "delivery": round(delivery, 6),
        "mb_at_start": round(before["rss"], 1),
        "mb_at_end": round(megabytes[-1], 1),
        "mb_a_minute_per_10_nodes": round(10 / NODES * slope(minutes, megabytes), 4),
        "tasks_at_start": before["tasks"],
        "tasks_at_end": held["tasks"],
    }


def slope(minutes: list[float], megabytes: list[float]) -> float:
    """MB a minute, fitted over the second half: the first one fills what is bounded."""
    half = len(minutes) // 2
    if len(minutes) - half < 2:
        raise SystemExit("too short to fit a slope: let it run for a minute at least")
    return statistics.linear_regression(minutes[half:], megabytes[half:]).slope

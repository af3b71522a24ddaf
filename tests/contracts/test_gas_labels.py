"""What a round of labels costs in each mode does not grow unnoticed."""

from __future__ import annotations

from tests.bench.gas_labels import figures

HELD = {
    "labels_per_worker_sample": 118.1,
    "labels_onchain_per_worker_round_w40": 296_650,
    "labels_per_worker_round_w40": 19_763,
    "labels_dispute_per_worker_sample": 112.4,
    "labels_sampled_per_worker_round_w40": 333_225,
}
SLACK = 1.02


def test_gas_stays_where_it_was() -> None:
    found = figures()
    assert found.keys() == HELD.keys()
    dearer = {name: value for name, value in found.items() if value > HELD[name] * SLACK}
    assert not dearer, "measure anew, and say why, in this file"
    assert found["labels_per_worker_round_w40"] <= 20_000

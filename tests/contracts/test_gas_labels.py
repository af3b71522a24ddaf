"""What a round of labels costs in each mode does not grow unnoticed."""

from __future__ import annotations

from tests.bench.gas_labels import figures

HELD = {
    "labels_per_worker_sample": 124.7,
    "labels_onchain_per_worker_round_w40": 303_142,
    "labels_per_worker_round_w40": 19_786,
    "labels_dispute_per_worker_sample": 116.9,
    "labels_sampled_per_worker_round_w40": 335_150,
}
SLACK = 1.02


def test_gas_stays_where_it_was() -> None:
    found = figures()
    assert found.keys() == HELD.keys()
    dearer = {name: value for name, value in found.items() if value > HELD[name] * SLACK}
    assert not dearer, "measure anew, and say why, in this file"
    assert found["labels_per_worker_round_w40"] <= 20_000

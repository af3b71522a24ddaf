"""What an encounter costs does not grow unnoticed, and keeps to its targets."""

from __future__ import annotations

from tests.bench.gas_encounters import figures, table

HELD = {
    "encounter_fast": 113_599,
    "encounter_fast_by_anyone": 119_001,
    "encounter_fast_split": 119_787,
    "encounter_each_vote": 236_420,
    "encounter_each_commitment_too": 332_757,
    "encounter_batch20": 55_965,
    "encounter_batch20_ring": 64_908,
    "encounter_deposit_first": 75_365,
    "encounter_join_first": 50_518,
}
TARGETS = {"encounter_fast": 114_000, "encounter_each_vote": 240_000, "encounter_batch20": 60_000}
SLACK = 1.02


def test_gas_stays_where_it_was() -> None:
    found = figures()
    print(table(found))
    assert found.keys() == HELD.keys()
    dearer = {name: value for name, value in found.items() if value > HELD[name] * SLACK}
    assert not dearer, "measure anew, and say why, in this file"
    assert all(found[name] <= limit for name, limit in TARGETS.items())

"""Data sets are the known ones, and are dealt alike everywhere."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from p2pfd.errors import PlanError
from p2pfd.learning.data import Deal, deal, digest_of_set, load_set
from p2pfd.learning.data.digits import SOURCE
from p2pfd.learning.data.source import content_hash
from tests.unit.learning.tasks import digits_data


def hash_of(dealt: Deal) -> str:
    state = hashlib.sha256(dealt.public.tobytes())
    for split in (dealt.validation, dealt.test, *dealt.shards):
        state.update(split.x.tobytes() + split.y.tobytes())
    return state.hexdigest()


def rows(x: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in x]


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    x, y = load_set("digits")
    theirs = load_digits()
    assert np.array_equal(x, theirs.data.reshape(-1, 1, 8, 8) / 8 - 1)
    assert np.array_equal(y, theirs.target)
    assert x.dtype == np.float32
    assert y.dtype == np.int64


def test_tumours_are_scikit_learns_with_each_column_scaled() -> None:
    from sklearn.datasets import load_breast_cancer

    x, y = load_set("breast-cancer")
    theirs = load_breast_cancer()
    low, high = theirs.data.min(axis=0), theirs.data.max(axis=0)
    assert np.allclose(x, 2 * (theirs.data - low) / (high - low) - 1, atol=1e-5)
    assert np.array_equal(y, theirs.target)
    assert x.min(axis=0).tolist() == [-1] * 30
    assert x.max(axis=0).tolist() == [1] * 30


def test_the_known_hash_is_that_of_the_content() -> None:
    pixels, labels = SOURCE.read(None)
    assert content_hash(pixels, labels) == digest_of_set("digits")
    pixels[7, 0, 3, 3] ^= 1
    assert content_hash(pixels, labels) != digest_of_set("digits")


def test_a_foreign_copy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(cache: Path | None) -> tuple[np.ndarray, np.ndarray]:
        pixels, labels = SOURCE.read(cache)
        labels[0] ^= 1
        return pixels, labels

    monkeypatch.setattr("p2pfd.learning.data.digits.SOURCE", replace(SOURCE, read=read))
    with pytest.raises(PlanError, match="copy of digits has the hash"):
        load_set("digits")


@pytest.mark.parametrize("partition", ["iid", "dirichlet:0.1", "quantity:0.3", "labels:2"])
def test_parts_are_disjoint_and_complete(partition: str) -> None:
    dealt = deal(digits_data(partition=partition), 10)
    assert [len(dealt.public), len(dealt.validation), len(dealt.test)] == [320, 177, 300]
    everything = rows(dealt.public) + [r for s in (dealt.validation, dealt.test, *dealt.shards) for r in rows(s.x)]
    x, y = load_set("digits")
    assert sorted(everything) == sorted(rows(x))
    assert len(set(rows(x))) == len(x), "no sample is there twice, so the parts share none"
    label_of = dict(zip(rows(x), y, strict=True))
    for split in (dealt.validation, dealt.test, *dealt.shards):
        assert [label_of[row] for row in rows(split.x)] == split.y.tolist()


def test_the_deal_is_the_known_one() -> None:
    assert hash_of(deal(digits_data(), 10)) == "9fddea8b92e7ad824eae9996fe1fd468d8e6fd18a149159c9f9be61a0d2994fb"


def test_another_process_deals_the_same() -> None:
    code = (
        "from tests.unit.learning.test_data import *; import numpy; numpy.random.seed(5);"
        "print(hash_of(deal(digits_data(), 10)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == hash_of(deal(digits_data(), 10))


def test_what_is_common_does_not_depend_on_the_shards() -> None:
    one, many = deal(digits_data(), 1), deal(digits_data(partition="iid"), 20)
    assert np.array_equal(one.public, many.public)
    assert np.array_equal(one.test.x, many.test.x)
    assert np.array_equal(one.validation.y, many.validation.y)
    assert not np.array_equal(one.public, deal(digits_data(seed=2), 1).public)


@pytest.mark.parametrize("shards", [1, 2, 3, 5, 20, 64])
def test_any_number_of_shards(shards: int) -> None:
    dealt = deal(digits_data(), shards)
    assert sum(len(shard) for shard in dealt.shards) == 1000
    assert min(len(shard) for shard in dealt.shards) >= 3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "letters"}, "no data set 'letters'"),
        ({"sha256": b"\1" * 32}, "the task's digits has the hash 0101"),
        ({"classes": 9}, "data.classes is 9"),
        ({"test": 1300}, "none are left for 10 shards"),
        ({"partition": "by hand"}, "data.partition is 'by hand'"),
    ],
)
def test_what_cannot_be_dealt(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        deal(replace(digits_data(), **change), 10)  # type: ignore[arg-type]

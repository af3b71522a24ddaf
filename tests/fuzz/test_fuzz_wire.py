"""The fuzzers as tests: a short run each time, a long one in make test-all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core import canonical
from p2pfd.wire import codec
from tests.fuzz.mutations import mutate, seeds
from tests.fuzz.properties import check

FUZZER = Path(__file__).with_name("fuzz_wire.py")
DONE = re.compile(r"(\d+) inputs, no findings; taken: (\d+) as canonical, (\d+) as envelope, (\d+) as message")


def _fuzz(runs: int, seed: int, where: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is built for Linux only")
    command = [sys.executable, str(FUZZER), "--runs", str(runs), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=where, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    said = DONE.search(done.stdout)
    assert said is not None, done.stdout
    inputs, *taken = map(int, said.groups())
    assert inputs >= runs
    assert min(taken) > runs // 100  # the mutations do reach behind the first checks
    assert list(where.iterdir()) == []


def test_twenty_thousand_inputs(tmp_path: Path) -> None:
    _fuzz(20_000, 1, tmp_path)


@pytest.mark.long
def test_a_million_inputs(tmp_path: Path) -> None:
    _fuzz(1_000_000, 2, tmp_path)


def test_the_valid_inputs_are_taken() -> None:
    kinds = [check(raw) for raw in seeds()]
    assert kinds.count(frozenset({"canonical", "message"})) == kinds.count(frozenset({"envelope"})) == len(kinds) / 2


@given(st.binary(max_size=1000))
def test_any_bytes(raw: bytes) -> None:
    check(raw)


@given(st.integers(0, 2**32), st.sampled_from(range(len(seeds()))), st.integers(1, 4))
def test_bytes_near_valid_ones(seed: int, which: int, steps: int) -> None:
    rng, raw = Random(seed), seeds()[which]
    for _ in range(steps):
        raw = mutate(raw, rng)
    check(raw)


def test_another_error_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("round")

    monkeypatch.setattr(canonical, "decode", broken)
    with pytest.raises(KeyError):
        check(seeds()[0])


def test_a_second_spelling_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "encode", lambda _: b"another")
    with pytest.raises(AssertionError, match="a second spelling of a message"):
        check(seeds()[0])

"""Coverage-guided fuzzing of everything that reads bytes from peers.

    python tests/fuzz/fuzz_wire.py --runs 1000000 [--seed 1] [--corpus DIR]

It ends by itself, prints how many inputs it tried, and exits with 0; a finding is printed with its traceback, written
to ``crash-<hash>``, and the exit code is not 0.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it also runs as a plain script

with atheris.instrument_imports(include=["p2pfd"]):
    import p2pfd.core._msgpack
    import p2pfd.core.canonical
    import p2pfd.core.ids
    import p2pfd.wire.codec
    import p2pfd.wire.envelope  # noqa: F401 - instrumented as it is imported

from tests.fuzz.mutations import mutate, seeds
from tests.fuzz.properties import check

MAX_INPUT = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the wire format.")
    parser.add_argument("--runs", type=int, default=100_000, help="how many inputs to try")
    parser.add_argument("--seed", type=int, default=1, help="the same seed tries the same inputs")
    parser.add_argument("--corpus", type=Path, help="a folder of inputs to start from and to add to")
    options = parser.parse_args()
    if options.runs < len(seeds()) + 1:
        parser.error(f"--runs is {options.runs}: the valid inputs to start from are {len(seeds())} already")
    taken: Counter[str] = Counter()
    inputs = 0

    def target(raw: bytes) -> None:
        nonlocal inputs
        inputs += 1
        taken.update(check(raw))
        if inputs == options.runs:
            counts = ", ".join(f"{count} as {reader}" for reader, count in sorted(taken.items()))
            print(f"{inputs} inputs, no findings; taken: {counts}", flush=True)

    def mutator(raw: bytes, max_size: int, seed: int) -> bytes:
        rng = Random(seed)
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(raw, max_size))
        return mutate(raw, rng)[:max_size]

    with tempfile.TemporaryDirectory() as temporary:
        corpus = options.corpus or Path(temporary)
        corpus.mkdir(parents=True, exist_ok=True)
        for number, valid in enumerate(seeds()):
            (corpus / f"seed-{number}").write_bytes(valid)
        arguments = [sys.argv[0], f"-runs={options.runs}", f"-seed={options.seed}", f"-max_len={MAX_INPUT}"]
        atheris.Setup([*arguments, "-print_final_stats=1", str(corpus)], target, custom_mutator=mutator)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

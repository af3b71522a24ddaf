"""Gas and time of the label market, step by step, and gas of encounters: ``python -m tests.bench.bench_gas``.

Prints a table and, as its last line, the same figures as one JSON object. Gas does not depend on the machine; seconds
do. A step's figure is the mean over all workers of the second round: the first one writes to fresh storage, and has a
column of its own. The last line also holds what a round costs in each mode, from `gas_labels.py`,
and what an encounter costs, from `gas_encounters.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict

from p2pfd.core.claims import Claim, CommitLabels, Deposit, Enrol, MarketTerms, OpenTask, RevealLabels, SettleRound
from p2pfd.core.ids import Amount, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.rng import Rng
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from tests.bench import gas_encounters, gas_labels
from tests.contracts.chain import BOSS, Contracts, key

TASK = TaskId(b"\1" * 32)
SIZES = [(1, 320, 10), (3, 320, 10), (10, 320, 10), (10, 960, 10), (20, 320, 10), (40, 960, 10)]
LARGEST = (64, 1024, 15)
ROUNDS = 3
STEPS = ("Deposit", "OpenTask", "Enrol", "CommitLabels", "RevealLabels", "SettleRound")


class Meter:
    """Counts what each step takes."""

    def __init__(self, workers: int) -> None:
        self.workers = [key(number) for number in range(1, workers + 1)]
        self.chain = Contracts(dict.fromkeys([BOSS, *self.workers], 10**9))
        self.gas: dict[str, list[int]] = defaultdict(list)
        self.seconds: dict[str, float] = defaultdict(float)

    def step(self, who: AccountKey, claim: Claim) -> None:
        """Carry out a claim and note what it took."""
        name = type(claim).__name__
        begun = time.perf_counter()
        block, _ = self.chain.carry_out(who, claim)
        self.seconds[name] += time.perf_counter() - begun
        if not block.success:
            raise SystemExit(f"{name} was refused: {reason(block.output)}")
        self.gas[name].append(block.gas_used)

    def forget(self) -> None:
        """Begin to count anew."""
        self.gas.clear()
        self.seconds.clear()


def measured(workers: int, samples: int, classes: int) -> dict[str, object]:
    """The figures of one size."""
    meter = Meter(workers)
    terms = MarketTerms(
        TASK,
        samples,
        classes,
        ROUNDS,
        pot=Amount(10**6),
        rate=Amount(10**6),
        bond=Amount(10**6),
        forfeit=Amount(10**5),
        quorum=1,
        seats=workers,
        enrol_seconds=600,
        commit_seconds=600,
        reveal_seconds=600,
    )
    for who in [BOSS, *meter.workers]:
        meter.step(who, Deposit(Amount(10**8)))
    meter.step(BOSS, OpenTask(terms))
    for who in meter.workers:
        meter.step(who, Enrol(TASK))
    figures: dict[str, object] = {"workers": workers, "samples": samples, "classes": classes}
    figures |= {name: sum(meter.gas[name]) // len(meter.gas[name]) for name in STEPS[:3]}
    rng = Rng(b"gas")
    for number in range(2):
        meter.forget()
        play(meter, terms, RoundId(number), rng.split(number))
        total = sum(sum(gas) for gas in meter.gas.values())
        if number == 0:
            figures["first round"] = total
        else:
            figures |= {name: sum(meter.gas[name]) // len(meter.gas[name]) for name in STEPS[3:]}
            figures |= {"round": total, "seconds": round(sum(meter.seconds.values()), 3)}
    return figures


def play(meter: Meter, terms: MarketTerms, rnd: RoundId, rng: Rng) -> None:
    """One round, everyone there, right six times in ten."""
    truth = [rng.below(terms.classes) for _ in range(terms.samples)]
    held = []
    for who in meter.workers:
        labels = pack(bytes(label if rng.chance(6, 10) else rng.below(terms.classes) for label in truth))
        held.append((who, rng.bytes(32), labels))
    for who, salt, labels in held:
        meter.step(who, CommitLabels(TASK, rnd, commitment(TASK, rnd, who.account, salt, labels)))
    for who, salt, labels in held:
        meter.step(who, RevealLabels(TASK, rnd, salt, labels))
    meter.step(BOSS, SettleRound(TASK, rnd))


def main(arguments: list[str]) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help=f"also {LARGEST}: the largest round there can be")
    sizes = SIZES + [LARGEST] * parser.parse_args(arguments).large
    columns = ["workers", "samples", "classes", *STEPS, "first round", "round", "seconds"]
    print(" | ".join(columns))
    rows = []
    for size in sizes:
        rows.append(measured(*size))
        print(" | ".join(f"{rows[-1][name]:,}" for name in columns), flush=True)
    encounters = gas_encounters.figures()
    print(gas_encounters.table(encounters))
    print(json.dumps({"gas": rows} | gas_labels.figures() | encounters))


if __name__ == "__main__":
    main(sys.argv[1:])

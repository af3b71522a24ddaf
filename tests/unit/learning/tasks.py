"""Small tasks on the digits, for the tests of learning."""

from __future__ import annotations

from p2pfd.core.ids import Amount
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, Setting, TaskSpec
from p2pfd.learning.data import digest_of_set


def digits_data(
    *, partition: str = "dirichlet:0.5", seed: int = 1, public: int = 320, validation: int = 177, test: int = 300
) -> DataSpec:
    return DataSpec("digits", digest_of_set("digits"), 10, partition, seed, public, validation, test)


def digits_task(*, rounds: int = 2, seats: int = 3, public: int = 320, seed: int = 1, **settings: Setting) -> TaskSpec:
    return TaskSpec(
        name="digits",
        data=digits_data(public=public, seed=seed),
        adapter="cfd",
        settings=settings,
        aggregator="votes",
        codecs=(),
        rounds=rounds,
        seats=seats,
        quorum=1,
        phases=PhaseSpec(1, 1, 1),
        money=MoneySpec(Amount(0), Amount(0), Amount(0), Amount(0)),
    )

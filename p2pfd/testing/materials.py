"""A small task on real data, for kits: three unequal shards of scikit-learn's digits, and forty public samples."""

from __future__ import annotations

from p2pfd.core.ids import Amount
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, TaskSpec
from p2pfd.learning.adapter import Split, Task
from p2pfd.learning.data import deal, digest_of_set

SHARDS = 3


def small_task(adapter: str) -> tuple[Task, tuple[Split, ...]]:
    """The task, for this adapter with its default settings, and the shards."""
    nothing = Amount(0)
    spec = TaskSpec(
        name="kit",
        data=DataSpec("digits", digest_of_set("digits"), 10, "dirichlet:0.5", 1, 40, 177, 300),
        adapter=adapter,
        settings={},
        aggregator="serum",
        codecs=(),
        rounds=2,
        seats=SHARDS,
        quorum=1,
        phases=PhaseSpec(1, 1, 1),
        money=MoneySpec(nothing, nothing, nothing, nothing),
    )
    dealt = deal(spec.data, SHARDS)
    return Task(spec, dealt.public), tuple(dealt.shards)

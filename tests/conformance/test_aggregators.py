"""Every installed aggregator keeps the promises of its interface, and the kit notices one that does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from p2pfd import plugins
from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Contribution, Payload, Tensors
from p2pfd.learning.aggregators import parse
from p2pfd.learning.aggregators.tensors import Mean, Median
from p2pfd.learning.codecs import Form, LabelForm, SoftForm, TensorForm
from p2pfd.testing.aggregator import check_aggregator

FORMS: tuple[Form, ...] = (
    TensorForm((("bias", (4,)), ("weight", (4, 9)))),
    LabelForm(60, 10),
    SoftForm(30, 5, 8),
)


@pytest.mark.parametrize("name", plugins.names("p2pfd.aggregators"))
def test_installed_aggregators_conform(name: str) -> None:
    taken = [form for form in FORMS if parse(name, _classes(form)).takes(form)]
    assert taken
    for form in taken:
        check_aggregator(parse(name, _classes(form)), form)


@pytest.mark.parametrize("text", ["mean:age", "trimmed:0.01", "trimmed:0.49", "krum:0.4", "krum:1"])
def test_aggregators_with_numbers_conform(text: str) -> None:
    check_aggregator(parse(text, 10), FORMS[0])


def _classes(form: Form) -> int:
    return 10 if isinstance(form, TensorForm) else form.classes


class Boastful(Mean):
    """Says that it stands what it does not."""

    def tolerates(self, n: int) -> int:
        return max(0, n - 1) // 2


class Gullible(Median):
    """Takes the first thing that it hears for well formed."""

    def combine(self, own: Payload, heard: Sequence[Contribution], rng: Rng) -> Tensors:
        last = heard[-1].payload if heard else own
        assert isinstance(last, Tensors)
        return last


class Meddling(Median):
    """Works in the arrays that it was lent."""

    def combine(self, own: Payload, heard: Sequence[Contribution], rng: Rng) -> Tensors:
        for said in heard:
            if isinstance(said.payload, Tensors):
                for array in said.payload.arrays.values():
                    np.negative(array, out=array)
        return super().combine(own, heard, rng)


@pytest.mark.parametrize(
    ("aggregator", "complaint"),
    [(Boastful(), "liars"), (Gullible(), "order"), (Meddling(), "changed what it was given")],
)
def test_the_kit_notices(aggregator: Mean | Median, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_aggregator(aggregator, FORMS[0])

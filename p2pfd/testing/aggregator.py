"""`check_aggregator`: what every `Aggregator` has to do. Run it on yours:

    def test_my_aggregator():
        check_aggregator(MyAggregator(), LabelForm(50, 10))

It is given honest contributions, and then what liars and broken peers may send. AssertionError names what was not
kept; above all, that as many liars as `tolerates` says cannot lead the result away from the honest.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Contribution, Labels, Payload, Prototypes, SoftLabels, Tensors
from p2pfd.learning.aggregators import Aggregator
from p2pfd.learning.codecs.api import Form, LabelForm, SoftForm, TensorForm, fault_of
from p2pfd.learning.codecs.quantise import harden, quantise
from p2pfd.testing.codec import same

_PEERS = (1, 2, 3, 4, 7, 12)
_HUGE = 3e38


def check_aggregator(aggregator: Aggregator, form: Form) -> None:
    """Hold an aggregator to the laws of its interface, for contributions of one form that it takes."""
    assert aggregator.name, "name is not empty"
    assert aggregator.takes(form), "the aggregator does not take the form that it is tried with"
    assert isinstance(aggregator.needs, frozenset), "needs is a frozen set"
    for count in _PEERS:
        _check_honest(aggregator, form, honest(form, count))
        _check_liars(aggregator, form, count)
    _check_broken(aggregator, form)
    bounds = [aggregator.tolerates(count) for count in range(40)]
    assert all(0 <= bound <= max(0, count - 1) // 2 for count, bound in enumerate(bounds)), "half can be outvoted"


def honest(form: Form, count: int) -> list[Payload]:
    """Contributions that agree but for noise: tensors around one point, labels that are mostly the same."""
    draw = np.random.default_rng(7)
    match form:
        case LabelForm():
            right = np.arange(form.samples) % form.classes
            return [Labels(right.astype(np.uint8).tobytes())] * count
        case SoftForm():
            rows = draw.dirichlet([0.5] * form.classes, form.samples) + 1e-3
            return [quantise(rows + 1e-3 * draw.random(rows.shape), form.bits) for _ in range(count)]
        case TensorForm():
            middle = {name: draw.normal(size=shape) for name, shape in form.shapes}
            return [
                Tensors({n: np.asarray(a + 0.1 * draw.normal(size=a.shape), np.float32) for n, a in middle.items()}, k)
                for k in range(count)
            ]
    raise AssertionError(f"the kit has no contributions of a {type(form).__name__}")


def lie(form: Form) -> Payload:
    """One that is well formed and as far away as it can be."""
    match form:
        case LabelForm():
            wrong = (np.arange(form.samples) + 1) % form.classes
            return Labels(wrong.astype(np.uint8).tobytes())
        case SoftForm():
            return quantise(np.eye(form.classes)[np.zeros(form.samples, dtype=np.int64)] + 1e-9, form.bits)
        case TensorForm():
            return Tensors({name: np.full(shape, _HUGE, np.float32) for name, shape in form.shapes}, 2**40)
    raise AssertionError(f"the kit has no lies of a {type(form).__name__}")


def _named(payloads: Sequence[Payload]) -> list[Contribution]:
    return [Contribution(f"{place:03}", payload) for place, payload in enumerate(payloads)]


def _check_honest(aggregator: Aggregator, form: Form, payloads: list[Payload]) -> None:
    heard = _named(payloads)
    before = repr(heard)
    result = aggregator.combine(payloads[0], heard, Rng(1))
    assert repr(heard) == before, "combine changed what it was given"
    fault = fault_of(result, _outcome(form))
    assert fault is None, f"combine gives {fault}"
    assert same(result, aggregator.combine(payloads[0], heard[::-1], Rng(1))), "the order of the peers matters"
    if len(payloads) == 1:
        assert _near(result, payloads), "one contribution alone is not what comes out"
    assert _near(result, payloads), "the result lies outside what was heard"


def _check_liars(aggregator: Aggregator, form: Form, count: int) -> None:
    bad = aggregator.tolerates(count)
    good = honest(form, count - bad)
    mixed = _named([*good, *[lie(form)] * bad])
    shuffled = [mixed[at] for at in np.random.default_rng(count).permutation(count)]
    result = aggregator.combine(good[0], shuffled, Rng(1))
    assert _near(result, good), f"{bad} liars of {count} lead the result away, though it tolerates as many"


def _check_broken(aggregator: Aggregator, form: Form) -> None:
    """What is not of the form is as if it had not been sent."""
    good = honest(form, 4)
    heard = _named(good)
    wanted = aggregator.combine(good[0], heard, Rng(1))
    junk = [*_broken(form), Contribution(heard[0].sender, lie(form))]
    assert same(aggregator.combine(good[0], [*heard, *junk], Rng(1)), wanted), "a broken contribution counts"
    for nothing in ([], junk[:-1]):
        left = aggregator.combine(good[0], nothing, Rng(1))
        assert _near(left, good[:1]), "where nothing usable is heard, one's own is not what is left"


def _broken(form: Form) -> list[Contribution]:
    out: list[Payload] = [
        Labels(b""),
        Tensors({}),
        Tensors({"no such name": np.zeros(3, dtype=np.float32)}),
        Prototypes(np.zeros(2, dtype=np.int64), np.zeros((2, 2), dtype=np.float32)),
        SoftLabels(3, np.zeros((2, 2), dtype=np.uint32)),
    ]
    match form:
        case LabelForm():
            out += [Labels(bytes(form.samples + 1)), Labels(bytes([min(255, form.classes)]) * (form.samples - 1))]
        case SoftForm():
            out.append(SoftLabels(form.bits, np.full((form.samples, form.classes), 2**31, dtype=np.uint32)))
        case TensorForm():
            out += [Tensors({n: np.full(s, bad, np.float32) for n, s in form.shapes}) for bad in (np.nan, np.inf)]
            out.append(Tensors({name: np.zeros((*shape, 2), dtype=np.float32) for name, shape in form.shapes}))
            out.append(Tensors({name: np.zeros(shape, dtype=np.float64) for name, shape in form.shapes}))
    return [Contribution(f"broken {place}", payload) for place, payload in enumerate(out)]


def _outcome(form: Form) -> Form:
    """Labels are combined to soft ones."""
    return SoftForm(form.samples, form.classes, 16) if isinstance(form, LabelForm) else form


def _near(result: Payload, good: Sequence[Payload]) -> bool:
    """Whether a result lies among the honest: between their numbers, or with their classes."""
    first = good[0]
    match result, first:
        case SoftLabels(), Labels():
            return harden(result) == first
        case SoftLabels(), SoftLabels():
            units = [one.units.astype(np.int64) for one in good if isinstance(one, SoftLabels)]
            mean = np.mean(units, axis=0)
            return bool((np.abs(result.units - mean) <= 1).all())
        case Tensors(), Tensors():
            for name in result.arrays:
                rows = np.stack([one.arrays[name] for one in good if isinstance(one, Tensors)]).astype(np.float64)
                slack = 1e-6 + 1e-6 * np.abs(rows).max(initial=0)
                inside = (result.arrays[name] >= rows.min(axis=0) - slack) & (
                    result.arrays[name] <= rows.max(0) + slack
                )
                if not inside.all():
                    return False
            return True
    return False

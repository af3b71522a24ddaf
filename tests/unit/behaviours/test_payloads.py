"""What is sent by those who do harm: of the same form as what is honest, within all limits, and something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from p2pfd.behaviours import Scene, behaviour_class
from p2pfd.behaviours.payloads import Tampered
from p2pfd.core.ids import Account, TaskId
from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Labels, Payload, Prototypes, SoftLabels, Tensors
from p2pfd.learning.codecs import CodecState, form_of, parse
from p2pfd.learning.codecs.api import MOST_AGE

CLASSES = 3
PAYLOADS: dict[str, tuple[Payload, str]] = {
    "labels": (Labels(bytes([0, 1, 2, 1])), "labels"),
    "soft": (SoftLabels(2, np.array([[3, 0, 0], [1, 1, 1], [0, 1, 2]], dtype=np.uint32)), "soft"),
    "tensors": (
        Tensors({"bias": np.array([1.5, -2.0], dtype=np.float32), "steps": np.array([7], dtype=np.int64)}, age=5),
        "",
    ),
    "prototypes": (Prototypes(np.array([1, 0, 4]), np.ones((3, 2), dtype=np.float32)), ""),
}


def sender(text: str) -> Any:
    kind, argument = behaviour_class(text)
    return kind(Scene(TaskId(bytes(32)), Account("0x" + "11" * 20), 4, CLASSES, Rng(1), Rng(2), argument))


def plain(payload: Payload) -> Any:
    match payload:
        case Labels(classes):
            return classes
        case SoftLabels():
            return payload.units.tolist()
        case Tensors():
            return {name: array.tolist() for name, array in payload.arrays.items()}
        case Prototypes():
            return payload.means.tolist()


@pytest.mark.parametrize("text", ["poison", "poison:noise"])
@pytest.mark.parametrize("name", PAYLOADS)
def test_poison_has_the_form_of_what_is_honest_and_says_something_else(text: str, name: str):
    honest, codec = PAYLOADS[name]
    sent = sender(text).sends(honest)
    assert form_of(sent, CLASSES) == form_of(honest, CLASSES)
    assert plain(sent) != plain(honest)
    assert plain(sender(text).sends(honest)) == plain(sent), "the same dice, the same poison"
    if codec:
        chain = parse(codec)
        raw, _ = chain.encode(sent, form_of(sent, CLASSES), CodecState())
        again, _ = chain.decode(raw, form_of(honest, CLASSES), CodecState())
        assert plain(again) == plain(sent)


def test_a_model_turned_round_is_negated_but_for_what_only_counts():
    honest, _ = PAYLOADS["tensors"]
    sent = sender("poison").sends(honest)
    assert plain(sent) == {"bias": [-1.5, 2.0], "steps": [7]}
    assert sent.age == 5
    noise = sender("poison:noise").sends(honest)
    assert all(-1 <= number <= 1 for number in plain(noise)["bias"])


def test_counts_are_made_larger_within_what_a_frame_takes():
    inflate = sender("inflate")
    honest, _ = PAYLOADS["tensors"]
    sent = inflate.sends(honest)
    assert (sent.age, plain(sent)) == (5000, plain(honest))
    assert inflate.sends(Tensors({}, 0)).age == 1000
    assert inflate.sends(Tensors({}, MOST_AGE)).age == MOST_AGE
    counts = inflate.sends(PAYLOADS["prototypes"][0])
    assert counts.counts.tolist() == [1000, 0, 4000]
    labels, _ = PAYLOADS["labels"]
    assert inflate.sends(labels) is labels


class Honest:
    """What an adapter would say."""

    name = "honest"

    def share(self, *args: Any) -> Payload:
        return PAYLOADS["labels"][0]

    serve = share


def test_a_tampered_adapter_changes_what_is_sent_and_nothing_else():
    adapter = Tampered(Honest(), sender("poison"))
    assert adapter.name == "honest"
    assert adapter.share(None, None, 0) == adapter.serve(None, None, None, None, None) == Labels(bytes([1, 2, 0, 2]))

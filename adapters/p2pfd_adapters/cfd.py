"""`Cfd`: compressed federated distillation. Nodes tell one another one class per public sample, and nothing else.

Every node derives the same student from the same labels, and starts its next round from it: same first weights, same
order of samples, same arithmetic. What a node adds of its own is a descent on its private shard, of which it shares
the classes that the resulting model gives the public samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from p2pfd.core.canonical import Plain, decode, encode
from p2pfd.core.ids import RoundId
from p2pfd.core.labels import MAX_CLASSES
from p2pfd.core.rng import Rng
from p2pfd.core.spec import Setting
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Array, Budget, Contribution, Labels, Metrics, SoftLabels, Split, Task
from p2pfd.learning.codecs import LabelForm, SoftForm, harden, quantise
from p2pfd.learning.codecs.api import MOST_BITS, fault_of
from p2pfd.learning.knobs import Choice, Decimal, Flag, Knob, Whole, check, choice, decimal, defaults, flag, whole
from p2pfd.learning.local import LOCAL, local_fit, local_model, log_shares
from p2pfd.learning.model import Fit, Model, Replay, Weights
from p2pfd.learning.votes import ONE, TRUST, targets
from p2pfd_adapters._net import right, softened

KNOBS: Mapping[str, Knob] = MappingProxyType(
    {
        **LOCAL,
        "bits": Whole(1, 1, MOST_BITS),
        "replay": Decimal("1", "0", "10"),
        "replay_share": Decimal("1", "0.001", "1"),
        "weigh": Flag(True),
        "trust": Choice("recall", tuple(sorted(TRUST))),
        "gate": Flag(True),
        "target": Choice("votes", ("votes", "squared")),
        "warm": Flag(True),
        "distil_epochs": Whole(20, 1, 1000),
        "distil_batch": Whole(32, 1, 4096),
        "distil_rate": Decimal("0.05", "0.00001", "10"),
        "distil_noise": Decimal("0.9", "0", "4"),
    }
)
"""Every setting with its default and its range; `LOCAL` are the ones that the baseline shares."""

_KIND = "cfd-2"
_MOST_BYTES = 256 * 2**20
_KEYS = {"kind", "classes", "settings", "seed", "targets", "start", "student", "own"}


@dataclass(frozen=True, eq=False)
class CfdState:
    """What a node holds: the consensus student, its own model, and the last targets (none before the first round)."""

    classes: int
    settings: Mapping[str, Setting]
    seed: bytes
    public: Array
    targets: Array | None
    start: Weights
    student: Weights
    own: Weights


class Cfd:
    """Federated distillation with one-bit labels and a common student."""

    name = "cfd"
    defaults: ClassVar[Mapping[str, Setting]] = defaults(KNOBS)

    def init(self, task: Task, rng: Rng) -> CfdState:
        """The state before the first round; PlanError when a setting is unknown or out of its range."""
        spec = task.spec
        check(KNOBS, spec.settings)
        model = local_model(spec.settings, spec.data.classes, like=task.public)
        start = model.init(rng)
        return CfdState(
            classes=spec.data.classes,
            settings=dict(spec.settings),
            seed=rng.seed,
            public=np.ascontiguousarray(task.public, dtype=np.float32),
            targets=None,
            start=start,
            student=start,
            own=start,
        )

    def train(self, state: CfdState, shard: Split, budget: Budget, rng: Rng) -> CfdState:
        """From the student, descend on the shard, and on public samples with the last targets."""
        if not len(shard):
            return replace(state, own=state.student)
        plan = local_fit(state.settings, budget.epochs)
        bias = log_shares(state.settings, shard, state.classes)
        own = _model(state).fit(state.student, shard.x, shard.y, plan, rng, bias=bias, replay=replayed(state, rng))
        return replace(state, own=own)

    def share(self, state: CfdState, task: Task, rnd: RoundId) -> Labels | SoftLabels:
        """The class that the own model gives each public sample; with more than one bit, the shares of all classes."""
        bits = whole(KNOBS, state.settings, "bits")
        if bits == 1:
            return Labels(bytes(_model(state).classes(state.own, task.public).astype(np.uint8)))
        logits = _model(state).logits(state.own, task.public).astype(np.float64)
        return quantise(np.exp(logits - logits.max(axis=1, keepdims=True)), bits)

    def absorb(self, state: CfdState, heard: Sequence[Contribution], rnd: RoundId, rng: Rng) -> CfdState:
        """Count the votes and distil them into the student.

        Contributions that are not what `share` gives for these public samples do not count, nor a second of a sender;
        when none is left the state stays. Batches hang on the seed of `init` and the round, so that nodes agree even
        if `rng` differs.
        """
        votes = self._votes(state, heard)
        if not votes:
            return state
        settings = state.settings
        soft = [vote for vote in votes if isinstance(vote, SoftLabels)]
        wanted = targets(
            np.array([list(_hard(vote)) for vote in votes], dtype=np.int64),
            state.classes,
            shares=np.array([_parts(vote) for vote in soft]) if soft else None,
            weigh=flag(KNOBS, settings, "weigh"),
            trust=choice(KNOBS, settings, "trust"),
            gated=flag(KNOBS, settings, "gate"),
            squared=choice(KNOBS, settings, "target") == "squared",
        )
        plan = Fit(
            epochs=whole(KNOBS, settings, "distil_epochs"),
            batch=whole(KNOBS, settings, "distil_batch"),
            rate=decimal(KNOBS, settings, "distil_rate"),
            momentum=decimal(KNOBS, settings, "momentum"),
            decay=decimal(KNOBS, settings, "decay"),
            noise=decimal(KNOBS, settings, "distil_noise"),
        )
        start = state.student if flag(KNOBS, settings, "warm") else state.start
        student = _model(state).fit(start, state.public, wanted, plan, Rng(state.seed).split("distil", rnd))
        return replace(state, targets=wanted, student=student)

    def evaluate(self, state: CfdState, split: Split) -> Metrics:
        """How often the student is right, which all nodes have, the model that trained here, and both together.

        ``accuracy``, ``own_accuracy`` and ``both_accuracy``: the class whose shares of the two add up to the most.
        """
        model = _model(state)
        student, own = (softened(model.logits(weights, split.x)) for weights in (state.student, state.own))
        found = {"accuracy": student, "own_accuracy": own, "both_accuracy": student + own}
        return {name: right(shares, split.y) for name, shares in found.items()}

    def student(self, state: CfdState) -> bytes:
        """The student's weights as safetensors: the same bytes on every node that absorbed the same votes."""
        return _model(state).to_bytes(state.student)

    def adopt(self, state: CfdState, student: bytes) -> CfdState:
        """Take over another node's student; DecodeError when the bytes are not weights of this net."""
        return replace(state, student=_model(state).from_bytes(student))

    def parameters(self, state: CfdState) -> int:
        """How many numbers the student has."""
        return _model(state).parameters

    def dump(self, state: CfdState) -> bytes:
        """The state as canonical bytes."""
        model = _model(state)
        return encode(
            {
                "kind": _KIND,
                "classes": state.classes,
                "settings": dict(state.settings),
                "seed": state.seed,
                "targets": None if state.targets is None else _floats(state.targets),
                "start": model.to_bytes(state.start),
                "student": model.to_bytes(state.student),
                "own": model.to_bytes(state.own),
            }
        )

    def load(self, raw: bytes, task: Task) -> CfdState:
        """The state that `dump` wrote; DecodeError for anything else."""
        value = decode(raw, limit=_MOST_BYTES)
        if not isinstance(value, Mapping) or set(value) != _KEYS or value["kind"] != _KIND:
            raise DecodeError("not a state of the adapter cfd")
        classes, settings = value["classes"], value["settings"]
        if not isinstance(classes, int) or isinstance(classes, bool) or not 2 <= classes <= MAX_CLASSES:
            raise DecodeError("a state without a number of classes")
        if classes != task.spec.data.classes:
            raise DecodeError(f"a state of a task with {classes} classes, this one has {task.spec.data.classes}")
        if not isinstance(settings, Mapping):
            raise DecodeError("a state without settings")
        known: dict[str, Setting] = {}
        for key, setting in settings.items():
            if not isinstance(setting, (int, str)):
                raise DecodeError(f"a state whose setting {key[:40]!r} is neither number nor text")
            known[key] = setting
        try:
            check(KNOBS, known)
        except PlanError as error:
            raise DecodeError(f"a state whose settings are not legal: {error.what}") from error
        model = local_model(known, classes)
        wanted = value["targets"]
        return CfdState(
            classes=classes,
            settings=known,
            seed=_bytes(value["seed"], "seed"),
            public=np.ascontiguousarray(task.public, dtype=np.float32),
            targets=None if wanted is None else _array(wanted, (len(task.public), classes), "targets"),
            start=model.from_bytes(_bytes(value["start"], "start")),
            student=model.from_bytes(_bytes(value["student"], "student")),
            own=model.from_bytes(_bytes(value["own"], "own")),
        )

    @staticmethod
    def _votes(state: CfdState, heard: Sequence[Contribution]) -> list[Labels | SoftLabels]:
        """The valid answers in the order of their senders; all are of one kind."""
        bits, samples = whole(KNOBS, state.settings, "bits"), len(state.public)
        form = LabelForm(samples, state.classes) if bits == 1 else SoftForm(samples, state.classes, bits)
        votes: dict[str, Labels | SoftLabels] = {}
        for said in heard:
            payload = said.payload
            if isinstance(payload, (Labels, SoftLabels)) and fault_of(payload, form) is None:
                votes.setdefault(said.sender, payload)
        return [votes[sender] for sender in sorted(votes)]


def replayed(state: CfdState, rng: Rng) -> Replay | None:
    """What a node goes over again beside its shard: public samples with the last targets, as many as the settings say.

    A model repeats what it has just been told of a sample, be it right or wrong. What it says of the others is news.
    """
    weight = decimal(KNOBS, state.settings, "replay")
    if state.targets is None or not weight:
        return None
    count = len(state.public)
    some = max(1, round(count * decimal(KNOBS, state.settings, "replay_share")))
    if some == count:
        return Replay(state.public, state.targets, weight)
    drawn = sorted(rng.split("replayed").sample(range(count), some))
    return Replay(state.public[drawn], state.targets[drawn], weight)


def _hard(vote: Labels | SoftLabels) -> bytes:
    return vote.classes if isinstance(vote, Labels) else harden(vote).classes


def _parts(vote: SoftLabels) -> npt.NDArray[np.int64]:
    return vote.units.astype(np.int64) * ONE // ((1 << vote.bits) - 1)


def _model(state: CfdState) -> Model:
    return local_model(state.settings, state.classes)


def _floats(array: Array) -> bytes:
    return array.astype("<f4").tobytes()


def _bytes(value: Plain, what: str) -> bytes:
    if not isinstance(value, bytes):
        raise DecodeError(f"a state whose {what} is not bytes")
    return value


def _array(value: Plain, shape: tuple[int, ...], what: str) -> Array:
    raw = _bytes(value, what)
    if len(raw) != 4 * int(np.prod(shape)):
        raise DecodeError(f"a state whose {what} have another size than their shape")
    array = np.frombuffer(raw, dtype="<f4").astype(np.float32).reshape(shape)
    if not np.isfinite(array).all():
        raise DecodeError(f"a state whose {what} are not all finite")
    return array

"""From text to a codec: ``parse("delta+topk:0.01+int8")``. Links are found under the entry points `p2pfd.codecs`."""

from __future__ import annotations

from p2pfd import plugins
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Labels, Payload, SoftLabels, Tensors
from p2pfd.learning.codecs.api import Codec
from p2pfd.learning.codecs.chain import TensorChain
from p2pfd.learning.codecs.labels import LabelCodec
from p2pfd.learning.codecs.prototypes import PrototypeCodec
from p2pfd.learning.codecs.soft import SoftCodec
from p2pfd.learning.codecs.stages import Stage

GROUP = "p2pfd.codecs"
_WHOLE = ("raw", "packed", "labels", "delta+labels", "soft", "delta+soft", "prototypes")
_HOW = 'write for example "raw", "delta+topk:0.01+int8", "svd:0.95+fp16", "delta+labels", "soft" or "prototypes"'
_ORDER = {"what": 0, "how": 1}


def parse(text: str) -> Codec:
    """The codec that a text describes; PlanError says what is wrong with any other text.

    For labels ``packed``, ``labels``, ``delta+labels``; for soft labels ``soft``, ``delta+soft``; for prototypes
    ``prototypes``; for tensors ``raw``, or in this order a memory (``delta``, ``feedback``), what is sent (``topk``,
    ``svd``), how exactly (``fp16``, ``int8``), ``deflate``. Without a memory ``topk`` gets ``feedback``: what it leaves
    out would be lost for good.
    """
    if text in _WHOLE:
        return _whole(text)
    links = text.split("+")
    memory = links.pop(0) if links[0] in ("delta", "feedback") else ""
    deflate = bool(links) and links[-1] == "deflate"
    if deflate:
        links.pop()
    stages = [_stage(link) for link in links]
    kinds = [_ORDER.get(stage.kind, -1) for stage in stages]
    if kinds != sorted(set(kinds)) or -1 in kinds:
        raise PlanError(f"the codecs {text[:80]!r} do not go together in this order", _HOW)
    if not memory and any(stage.name.startswith("topk:") for stage in stages):
        memory = "feedback"
    return TensorChain(memory, stages, deflate=deflate)


def plainest(payload: Payload) -> Codec:
    """The codec of a payload where a task names none: exact, and without a memory."""
    match payload:
        case Tensors():
            return parse("raw")
        case Labels():
            return parse("labels")
        case SoftLabels():
            return parse("soft")
    return parse("prototypes")


def _whole(text: str) -> Codec:
    match text:
        case "raw":
            return TensorChain()
        case "packed":
            return LabelCodec(coded=False)
        case "labels" | "delta+labels":
            return LabelCodec(delta=text != "labels")
        case "prototypes":
            return PrototypeCodec()
        case _:
            return SoftCodec(delta=text != "soft")


def _stage(link: str) -> Stage:
    """A link by its name; what stands behind a colon is its argument."""
    name, colon, argument = link.partition(":")
    if name not in plugins.names(GROUP):
        raise PlanError(f"there is no codec {link[:40]!r}", _HOW)
    factory = plugins.load(GROUP, name)
    try:
        stage: Stage = factory(argument) if colon else factory()
    except TypeError as error:
        takes = "takes nothing behind a colon" if colon else "needs a number behind a colon"
        raise PlanError(f"the codec {name!r} {takes}", _HOW) from error
    return stage

"""Payloads as bytes, small and bounded. `parse` makes a codec of a text; docs/reference/learning.md lists the links."""

from p2pfd.learning.codecs.api import (
    Codec,
    CodecState,
    Form,
    LabelForm,
    PrototypeForm,
    SoftForm,
    TensorForm,
    form_of,
)
from p2pfd.learning.codecs.memory import dump_state, load_state
from p2pfd.learning.codecs.parse import parse, plainest
from p2pfd.learning.codecs.quantise import harden, quantise, shares_of

__all__ = [
    "Codec",
    "CodecState",
    "Form",
    "LabelForm",
    "PrototypeForm",
    "SoftForm",
    "TensorForm",
    "dump_state",
    "form_of",
    "harden",
    "load_state",
    "parse",
    "plainest",
    "quantise",
    "shares_of",
]

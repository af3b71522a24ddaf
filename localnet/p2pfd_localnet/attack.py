"""Nodes of a local mesh that misbehave, as an option names them."""

from __future__ import annotations

import argparse

from p2pfd import plugins
from p2pfd.behaviours import GROUP
from p2pfd.core.tables import did_you_mean

_FORM = "write KIND:K, such as collude:4, collude:40% or copy:peer:2"


def wanted(text: str) -> tuple[str, int | str]:
    """A behaviour, with its argument if it has one, and for how many nodes: for ``--attack``."""
    kind, colon, many = text.rpartition(":")
    if not colon or not many.removesuffix("%").isascii() or not many.removesuffix("%").isdigit() or len(many) > 6:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} does not say how many: {_FORM}")
    name, known = kind.partition(":")[0], plugins.names(GROUP)
    if name not in known:
        raise argparse.ArgumentTypeError(f"there is no behaviour {name[:40]!r}: {did_you_mean(name, known)}")
    return kind, many if many.endswith("%") else int(many)

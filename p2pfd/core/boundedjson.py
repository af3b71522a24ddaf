"""JSON from elsewhere, read only when it is not nested deeper than anything that we expect.

Python's reader recurses, and py-evm raises the recursion limit of its process beyond what the stack can bear: there a
few kilobytes of brackets would end the process instead of raising an error.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 64
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_OPENING = b"[{"


def loads(raw: bytes) -> Any:
    """The value; ValueError for what is no JSON, or is nested too deep."""
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _depth(raw) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return json.loads(raw)


def _depth(raw: bytes) -> int:
    marks = _ESCAPE.sub(b"", raw).translate(None, _OTHERS)
    depth = deepest = 0
    for outside in marks.split(b'"')[::2]:
        for mark in outside:
            depth += 1 if mark in _OPENING else -1
            deepest = max(deepest, depth)
    return deepest

"""Text from elsewhere, fit to be shown: what would steer a terminal, or hide in it, is spelled out instead."""

from __future__ import annotations

import unicodedata

_STEERING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Controls, marks that turn the direction of writing or are not seen, halves of characters, and breaks of lines."""


def one_line(text: str, most: int = 500) -> str:
    """At most so many characters of it, in one line."""
    return harmless(" ".join(text[:most].split()), "")


def harmless(text: str, keep: str = "\n\t") -> str:
    """The text, with every character that is more than a sign written as its escape."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign in keep or unicodedata.category(sign) not in _STEERING else _escaped(sign) for sign in text
    )


def _escaped(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

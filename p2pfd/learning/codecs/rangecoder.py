"""An adaptive range coder in whole numbers: frequent symbols cost little, and both ends learn which are frequent.

The encoder narrows an interval of 48-bit numbers by each symbol's part of the counts seen so far, and writes sixteen
bits whenever the interval has become short. Carries run back into what is written already. Nothing depends on floats,
so every machine writes the same bytes.
"""

from __future__ import annotations

from p2pfd.errors import DecodeError

_WORD = 16
_BITS = 48
_SHORT = 1 << (_BITS - _WORD)
_MASK = _SHORT - 1
_MOST = 1 << 14
_STEP = 2


class Counts:
    """How often each of `size` symbols was seen: one to begin with, so that none is impossible, then two a time."""

    __slots__ = ("seen", "total")

    def __init__(self, size: int) -> None:
        self.seen = [1] * size
        self.total = size

    def learn(self, symbol: int) -> None:
        """Count a symbol; when the sum grows too large, everything is halved, and the past weighs less."""
        self.seen[symbol] += _STEP
        self.total += _STEP
        if self.total > _MOST:
            self.seen = [(count + 1) // 2 for count in self.seen]
            self.total = sum(self.seen)


class Encoder:
    """Symbols in, bytes out."""

    def __init__(self) -> None:
        self._low = 0
        self._range = (1 << _BITS) - 1
        self._out = bytearray()

    def put(self, counts: Counts, symbol: int, without: int = -1) -> None:
        """A symbol at the price that its count has; `without` names one that is known not to come."""
        seen, total = counts.seen, counts.total
        below = sum(seen[:symbol])
        if without >= 0:
            total -= seen[without]
            if without < symbol:
                below -= seen[without]
        part = self._range // total
        self._low += part * below
        self._range = part * seen[symbol]
        if self._range < _SHORT:
            self._shift()
        counts.learn(symbol)

    def put_bits(self, value: int, width: int) -> None:
        """A number of so many bits, sixteen at most, all values equally likely."""
        part = self._range >> width
        self._low += part * value
        self._range = part
        if part < _SHORT:
            self._shift()

    def bytes(self) -> bytes:
        """What was written: the shortest number within the interval, without zeros at its end."""
        width = self._range.bit_length()
        while True:
            rounded = -(-self._low >> width) << width
            if rounded < self._low + self._range:
                break
            width -= 1
        self._low = rounded
        for _ in range(_BITS // _WORD):
            self._shift()
        return bytes(self._out).rstrip(b"\0")

    def _shift(self) -> None:
        word = self._low >> (_BITS - _WORD)
        if word >> _WORD:
            self._carry()
            word &= (1 << _WORD) - 1
        self._out += word.to_bytes(_WORD // 8, "big")
        self._low = (self._low & _MASK) << _WORD
        self._range <<= _WORD

    def _carry(self) -> None:
        place = len(self._out) - 1
        while self._out[place] == 255:
            self._out[place] = 0
            place -= 1
        self._out[place] += 1


class Decoder:
    """Bytes in, symbols out, asked for in the order in which they were put. DecodeError when they make no sense."""

    def __init__(self, raw: bytes) -> None:
        if raw.endswith(b"\0"):
            raise DecodeError("coded symbols that end in a zero")
        self._raw = raw
        self._at = _BITS // 8
        self._code = int.from_bytes(raw[: self._at].ljust(self._at, b"\0"), "big")
        self._range = (1 << _BITS) - 1

    def get(self, counts: Counts, without: int = -1) -> int:
        """The next symbol."""
        seen, total = counts.seen, counts.total
        if without >= 0:
            total -= seen[without]
        part = self._range // total
        place = self._code // part
        if place >= total:
            raise DecodeError("coded symbols that no encoder writes")
        below = 0
        for symbol, count in enumerate(seen):
            if symbol == without:
                continue
            if place < below + count:
                break
            below += count
        self._code -= part * below
        self._range = part * seen[symbol]
        if self._range < _SHORT:
            self._shift()
        counts.learn(symbol)
        return symbol

    def get_bits(self, width: int) -> int:
        """The next number of so many bits."""
        part = self._range >> width
        value = self._code // part
        if value >> width:
            raise DecodeError("coded bits that no encoder writes")
        self._code -= part * value
        self._range = part
        if part < _SHORT:
            self._shift()
        return value

    def finish(self) -> None:
        """DecodeError where bytes are left over, or far too few were there."""
        if len(self._raw) > self._at:
            raise DecodeError(f"{len(self._raw) - self._at} bytes behind the last coded symbol")

    def _shift(self) -> None:
        word = self._raw[self._at : self._at + 2]
        self._at += 2
        self._code = self._code << _WORD | int.from_bytes(word.ljust(2, b"\0"), "big")
        self._range <<= _WORD

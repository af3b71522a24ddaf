"""Settings of adapters: each has a default and a legal range, and is checked in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Protocol

from p2pfd.core.spec import Setting
from p2pfd.errors import PlanError

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?\Z")


class Knob(Protocol):
    """One setting: what it is when nobody sets it, what it may be, and how it is read."""

    @property
    def default(self) -> Setting:
        """The value when the task does not name the setting."""
        ...

    @property
    def legal(self) -> str:
        """What it may be, in words."""
        ...

    def read(self, value: Setting) -> int | float | str | bool | None:
        """The value as the adapter uses it, or None when it is not legal."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""

    default: int
    low: int
    high: int

    @property
    def legal(self) -> str:
        """The range in words."""
        return f"a whole number from {self.low} to {self.high}"

    def read(self, value: Setting) -> int | None:
        """The number, if it lies in the range."""
        return (
            value if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high else None
        )


@dataclass(frozen=True, slots=True)
class Decimal:
    """A fraction, written as decimal text."""

    default: str
    low: str
    high: str

    @property
    def legal(self) -> str:
        """The range in words."""
        return f'a decimal text from "{self.low}" to "{self.high}"'

    def read(self, value: Setting) -> float | None:
        """The number, if it lies in the range; read exactly, then rounded once."""
        if not isinstance(value, str) or not _DECIMAL.match(value):
            return None
        number = Fraction(value)
        return float(number) if Fraction(self.low) <= number <= Fraction(self.high) else None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some names."""

    default: str
    options: tuple[str, ...]

    @property
    def legal(self) -> str:
        """The options in words."""
        return "one of " + ", ".join(f'"{option}"' for option in self.options)

    def read(self, value: Setting) -> str | None:
        """The name, if it is one of them."""
        return value if isinstance(value, str) and value in self.options else None


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    default: bool

    @property
    def legal(self) -> str:
        """Both values in words."""
        return "true or false"

    def read(self, value: Setting) -> bool | None:
        """The truth value, if it is one."""
        return value if isinstance(value, bool) else None


def defaults(knobs: Mapping[str, Knob]) -> Mapping[str, Setting]:
    """Every setting at its default."""
    return MappingProxyType({name: knob.default for name, knob in knobs.items()})


def check(knobs: Mapping[str, Knob], settings: Mapping[str, Setting]) -> None:
    """Refuse a setting that there is not, and any value out of its range; PlanError names the setting."""
    for name in settings:
        if name not in knobs:
            raise PlanError(f"settings has no {name!r}", f"the settings are {', '.join(sorted(knobs))}")
    for name in knobs:
        _value(knobs, settings, name)


def whole(knobs: Mapping[str, Knob], settings: Mapping[str, Setting], name: str) -> int:
    """A `Whole` setting's value."""
    value = _value(knobs, settings, name)
    assert isinstance(value, int)
    return value


def decimal(knobs: Mapping[str, Knob], settings: Mapping[str, Setting], name: str) -> float:
    """A `Decimal` setting's value."""
    value = _value(knobs, settings, name)
    assert isinstance(value, float)
    return value


def choice(knobs: Mapping[str, Knob], settings: Mapping[str, Setting], name: str) -> str:
    """A `Choice` setting's value."""
    value = _value(knobs, settings, name)
    assert isinstance(value, str)
    return value


def flag(knobs: Mapping[str, Knob], settings: Mapping[str, Setting], name: str) -> bool:
    """A `Flag` setting's value."""
    value = _value(knobs, settings, name)
    assert isinstance(value, bool)
    return value


def _value(knobs: Mapping[str, Knob], settings: Mapping[str, Setting], name: str) -> int | float | str | bool:
    knob = knobs[name]
    given = settings.get(name, knob.default)
    value = knob.read(given)
    if value is None:
        raise PlanError(f"settings.{name} is {given!r}", f"it must be {knob.legal}")
    return value

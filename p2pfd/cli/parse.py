"""argparse with the habits of this project: an example in every help, nothing abbreviated, a guess for every typo."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from p2pfd.core.tables import did_you_mean as did_you_mean
from p2pfd.errors import UsageError


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError instead of ending the process."""

    def __init__(self, prog: str, description: str, example: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.example = example
        self.suggestions: dict[str, tuple[str, ...]] = {}
        """Words that a shell may offer for a value that could be something else as well."""

    def error(self, message: str) -> NoReturn:
        """argparse calls this for whatever it cannot make sense of."""
        raise UsageError(message, f"for example: {self.example}; all of it: {self.prog} --help")

    def suggest(self, dest: str, words: Sequence[str]) -> None:
        """Have shells offer these words for the value of this name."""
        self.suggestions[dest] = tuple(words)

    def actions(self) -> list[argparse.Action]:
        """Every option and every word that the command takes."""
        return list(self._actions)

    def options(self) -> list[str]:
        """Every long option."""
        return [text for action in self._actions for text in action.option_strings if text.startswith("--")]

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The values of these words; UsageError, with a guess, when they make no sense."""
        values, rest = self.parse_known_args(list(words))
        if rest:
            word = rest[0].split("=")[0]
            if word.startswith("-"):
                raise UsageError(f"{self.prog} has no option {word}", did_you_mean(word, self.options()))
            raise UsageError(f"{self.prog} cannot use the word {rest[0]!r}", f"for example: {self.example}")
        return values


@dataclass(frozen=True, slots=True)
class OneOf:
    """The type of an option that takes one of some words."""

    legal: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """The word, if it is one of them."""
        if text not in self.legal:
            raise argparse.ArgumentTypeError(f"{text!r} is unknown: {did_you_mean(text, self.legal)}")
        return text


def one_of(*legal: str) -> OneOf:
    """The type of an option that takes one of some words."""
    return OneOf(legal)


def number(low: int, high: int) -> Callable[[str], int]:
    """The type of an option that takes a whole number between two."""

    def check(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} does not lie between {low} and {high}")
        return value

    return check


def seconds(low: float, high: float) -> Callable[[str], float]:
    """The type of an option that takes a time in seconds."""

    def check(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} does not lie between {low:g} and {high:g} seconds")
        return value

    return check

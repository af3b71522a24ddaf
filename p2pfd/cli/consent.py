"""What something costs in a chain's coin, and the explicit yes without which no real funds are spent."""

from __future__ import annotations

import sys
from decimal import Decimal

from p2pfd.cli.screen import Screen
from p2pfd.errors import UsageError
from p2pfd.settlement import profile_files

_COINS = {1: "ETH", 137: "POL", 11_155_111: "ETH"}
_WEI_DIGITS, _GWEI_DIGITS = 18, 9
_YES = ("y", "yes")


def coins(wei: int, chain_id: int) -> str:
    """An amount of the chain's coin, rounded up to a billionth: what it costs is never told too low."""
    gwei = -(-wei // 10**_GWEI_DIGITS)
    text = f"{Decimal(gwei).scaleb(-_GWEI_DIGITS):,.{_GWEI_DIGITS}f}".rstrip("0").rstrip(".")
    return f"{text} {_coin(chain_id)}"


def _coin(chain_id: int) -> str:
    known = profile_files.with_id(chain_id)
    return _COINS.get(chain_id, "coins") if known is None else known.coin


def gwei(wei: int) -> str:
    """A price of gas."""
    return f"{Decimal(wei).scaleb(-_GWEI_DIGITS):,.3f}".rstrip("0").rstrip(".") + " gwei"


def agree(question: str, yes: bool, screen: Screen) -> None:
    """Go on only after an explicit yes; UsageError where nobody can be asked, or whoever was asked said no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} nothing was sent", "say --yes if that is what you want")
    screen.words.write(question + " [y/N] ")
    screen.words.flush()
    if sys.stdin.readline().strip().lower() not in _YES:
        raise UsageError("nothing was sent", "say y, or --yes, if that is what you want")

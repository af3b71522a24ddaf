"""Many contributions to one. `parse` makes an aggregator of a text; docs/reference/learning.md lists them."""

from p2pfd.learning.aggregators.api import Aggregator, Need, usable
from p2pfd.learning.aggregators.parse import parse

__all__ = ["Aggregator", "Need", "parse", "usable"]

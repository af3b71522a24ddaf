"""Data sets by name, and how one is dealt out: private shards, public samples without labels, validation and test."""

from p2pfd.learning.data.deal import Deal, deal
from p2pfd.learning.data.sets import SETS, digest_of_set, load_set

__all__ = ["SETS", "Deal", "deal", "digest_of_set", "load_set"]

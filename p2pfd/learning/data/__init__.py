"""Data sets by name, and how one is dealt out: private shards, public samples without labels, validation and test."""

from p2pfd.learning.data.deal import Deal, deal
from p2pfd.learning.data.sets import SETS, classes_of_set, digest_of_set, load_set

__all__ = ["SETS", "Deal", "classes_of_set", "deal", "digest_of_set", "load_set"]

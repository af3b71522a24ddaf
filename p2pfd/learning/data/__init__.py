"""Data sets by name, and how one is dealt out: private shards, public samples without labels, validation and test."""

from p2pfd.learning.data.deal import Deal, deal
from p2pfd.learning.data.sets import SETS, classes_of_set, digest_of_set, load_set
from p2pfd.learning.data.source import Source

__all__ = ["SETS", "Deal", "Source", "classes_of_set", "deal", "digest_of_set", "load_set"]

"""Nodes that do not do what they should: for experiments and tests, by name, and never in the honest code.

A behaviour is a plug-in of the entry-point group `p2pfd.behaviours`; `docs/howto/experiments.md` shows how to add one.
"""

from p2pfd.behaviours.api import Behaviour, Misbehaving, Scene
from p2pfd.behaviours.names import GROUP, behaviour_class, check

__all__ = ["GROUP", "Behaviour", "Misbehaving", "Scene", "behaviour_class", "check"]

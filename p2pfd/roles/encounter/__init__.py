"""Encounters of learner, neighbor and validators (iDML), as pure machines. A `Device` is in any number of them."""

from p2pfd.roles.encounter.device import Device
from p2pfd.roles.encounter.learner import Learner
from p2pfd.roles.encounter.membership import Membership
from p2pfd.roles.encounter.neighbor import Neighbor
from p2pfd.roles.encounter.office import Desk, Habits
from p2pfd.roles.encounter.validator import Validator

__all__ = ["Desk", "Device", "Habits", "Learner", "Membership", "Neighbor", "Validator"]

"""The round of federated distillation: train, commit, reveal, vote, absorb, settle.

`DistillRound` is what every round has in common. Who says when a phase is over differs: the chain
(`SettledDistill`), or each node for itself, by what it heard and by deadlines (`GossipDistill`).
"""

from p2pfd.roles.distill.gossip import GossipDistill
from p2pfd.roles.distill.round import DistillRound
from p2pfd.roles.distill.seat import Phase, Seat
from p2pfd.roles.distill.settled import SettledDistill

__all__ = ["DistillRound", "GossipDistill", "Phase", "Seat", "SettledDistill"]

"""p2pfd: peer-to-peer federated distillation, with no server, settled on a chain."""

__version__ = "0.1.0"

"""Experiments: a grid of simulated meshes with real training, the reference chain, and nodes that misbehave."""

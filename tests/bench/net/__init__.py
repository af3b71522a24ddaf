"""Processes full of nodes, and what is measured of them, for `bench_net` and `bench_wire`."""
